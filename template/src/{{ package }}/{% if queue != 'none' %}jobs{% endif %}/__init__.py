"""The service's own jobs: a module a subject.

Every module here is imported by the workers; to add or remove jobs, add or remove their module.
"""

from importlib import import_module
from pkgutil import iter_modules


def load_all() -> None:
    """Make every job known."""
    for module in sorted(found.name for found in iter_modules(__path__)):
        import_module(f".{module}", __name__)
