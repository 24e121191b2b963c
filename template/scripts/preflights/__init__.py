"""What is looked at before a roll-out. Each module here is found; a check of your own is a module of its own."""

import tomllib
from pathlib import Path

from checks import Checklist, NotReadyError

SERVICE: str = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
CHECKS = Checklist()
check = CHECKS.check

__all__ = ["CHECKS", "SERVICE", "NotReadyError", "check"]
