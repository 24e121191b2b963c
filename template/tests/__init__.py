"""Tests, laid out like the service."""
