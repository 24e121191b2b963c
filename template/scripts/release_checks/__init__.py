"""What is looked at before a release. Each module here is found; a check of your own is a module of its own."""

from checks import Checklist, NotReadyError

CHECKS = Checklist()
check = CHECKS.check

__all__ = ["CHECKS", "NotReadyError", "check"]
