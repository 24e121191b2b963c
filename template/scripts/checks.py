"""Lists of checks, and how they are gone through. Each module of a list is found; one of your own is found as well."""

import pkgutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

Check = Callable[[Namespace], str]


class NotReadyError(Exception):
    """Something is not as it has to be; the message says what, and what to do."""


class Checklist(dict[str, Check]):
    """Checks by name, in the order they were added."""

    def check(self, name: str) -> Callable[[Check], Check]:
        """Make a function a check: it returns what it found, or raises NotReadyError."""

        def register(function: Check) -> Check:
            self[name] = function
            return function

        return register


def passes(name: str, check: Check, given: Namespace) -> bool:
    """Make a check, print what came of it, and tell whether it passed."""
    print(f"{name:12} ", end="", flush=True)
    try:
        print(f"ok       {check(given)}")
    except NotReadyError as error:
        print(f"NOT OK   {error}")
        return False
    return True


def parser(package: ModuleType, checks: Checklist, prog: str, description: str | None) -> ArgumentParser:
    """Return what the command line of a list may say: every module of it may have options."""
    commands = ArgumentParser(prog=prog, description=description)
    for module in pkgutil.iter_modules(package.__path__):
        loaded = import_module(f"{package.__name__}.{module.name}")
        if hasattr(loaded, "add_options"):
            loaded.add_options(commands)
    commands.add_argument("--only", action="append", choices=checks, help="look at this and nothing else")
    commands.add_argument("--skip", action="append", choices=checks, default=[], help="leave this out")
    return commands


def go_through(checks: Checklist, given: Namespace, *, ready: str) -> None:
    """Make the checks that are asked for, and end with an error where one fails; `ready` is what all of them show."""
    asked = [name for name in given.only or checks if name not in given.skip]
    failed = [name for name in asked if not passes(name, checks[name], given)]
    if failed:
        sys.exit(f"Not {ready}: {', '.join(failed)}.")
    left = [name for name in checks if name not in asked]
    print(f"Left out: {', '.join(left)}." if left else f"{ready.capitalize()}.")
