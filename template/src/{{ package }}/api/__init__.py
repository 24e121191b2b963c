"""The service's own API: a module a resource.

Every module here that has a `router` is served; to add or remove a resource, add or remove its module.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from fastapi import APIRouter


def routers() -> Iterator[APIRouter]:
    """Yield the routes of every resource."""
    for module in sorted(found.name for found in iter_modules(__path__)):
        if resource := getattr(import_module(f".{module}", __name__), "router", None):
            yield resource
