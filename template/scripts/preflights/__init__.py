"""What is looked at before a roll-out. Each module here is found; a check of your own is a module of its own."""

import tomllib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

SERVICE: str = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
Check = Callable[[Namespace], str]
CHECKS: dict[str, Check] = {}


class NotReadyError(Exception):
    """The service is not ready for production; the message says why, and what to do."""


def check(name: str) -> Callable[[Check], Check]:
    """Make a function a check: it returns what it found, or raises NotReadyError."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register
