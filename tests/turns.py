"""Tests side by side: the longest modules first, and whatever measures time or load alone, when nothing else runs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LONGEST = (
    "test_projects",
    "test_workers",
    "test_release",
    "test_traces",
    "test_roll_out",
    "test_manifests",
    "test_tasks",
    "test_faults",
    "test_fleet",
    "test_workflows",
    "test_update",
    "test_rendering",
    "test_adding",
    "test_image",
    "test_preflight",
    "test_secrets_page",
)
"""Modules that take minutes, the longest first: the end would wait for one that came late."""


def is_alone(item: pytest.Item) -> bool:
    """Tell whether nothing else may run beside a test."""
    return item.get_closest_marker("alone") is not None


def place(item: pytest.Item) -> tuple[bool, int]:
    """Return what tests are sorted by; those of a module stay in its order."""
    name = item.path.stem
    return is_alone(item), LONGEST.index(name) if name in LONGEST else len(LONGEST)


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold a turn of one process among others that use the same folder: beside those of the others, or alone."""
    with (folder / "queue").open("w") as queue, (folder / "turn").open("w") as held:
        # Whoever waits is first in the queue: a test that runs alone gets its turn however many others would like to.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield
