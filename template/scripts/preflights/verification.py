"""What looks at the whole service, and takes its time: tests, insecure code, known vulnerabilities."""

import sys
from argparse import Namespace

from . import NotReadyError, check
from .source import run


def verify(task: str) -> str:
    """Run a task of doit. Raises NotReadyError with the end of what it says where it fails."""
    done = run(sys.executable, "-m", "doit", task)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise NotReadyError("\n    ".join([f"`doit {task}` fails:", *lines[-5:]]))
    return f"doit {task}"


@check("tests")
def tests(_: Namespace) -> str:
    """The tests pass."""
    return verify("test")


@check("security")
def security(_: Namespace) -> str:
    """No code is known to be insecure."""
    return verify("security")


@check("audit")
def audit(_: Namespace) -> str:
    """No locked dependency is known to be vulnerable; it fails as well where nobody could be asked."""
    return verify("audit")
