"""What is looked at after a release. Each module here is found; a check of your own is a module of its own."""

import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

from checks import Checklist, NotReadyError
from releasing.distribution import tag_here

CHECKS = Checklist()
check = CHECKS.check
PROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME: str = PROJECT["name"]
SOURCE: str = PROJECT["urls"]["Source"]


def version(given: Namespace) -> str:
    """Return the version that is asked for. Raises NotReadyError where none is given and no tag is here."""
    asked: str = given.version or tag_here()
    if not asked:
        raise NotReadyError("What is here is no release: say which with --version=1.2.3.")
    return asked.removeprefix("v")


__all__ = ["CHECKS", "NAME", "SOURCE", "NotReadyError", "check", "version"]
