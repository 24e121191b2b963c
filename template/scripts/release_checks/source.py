"""What the source is like: locked, without secrets, without what is known to be dangerous or not allowed."""

import sys
from argparse import Namespace

from preflights.source import lock, run
from preflights.verification import audit, security

from . import NotReadyError, check

check("lock")(lock)
check("security")(security)
check("audit")(audit)


def script(name: str) -> str:
    """Return the last line that a script prints. Raises NotReadyError with all that it says where it fails."""
    done = run(sys.executable, f"scripts/{name}.py")
    if done.returncode:
        raise NotReadyError("\n    ".join((done.stderr or done.stdout).strip().splitlines()))
    return "".join(done.stdout.splitlines()[-1:])


@check("secrets")
def secrets(_: Namespace) -> str:
    """No file has a secret in it."""
    return script("find_secrets") or "none in the source"


@check("licences")
def licences(_: Namespace) -> str:
    """All that the service is made of is under a licence that is allowed."""
    return script("check_licences")
