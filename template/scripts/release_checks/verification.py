"""What takes its time: that it builds to a sound distribution, and that the tests pass."""

from argparse import Namespace

from preflights.verification import tests, verify

from . import check

check("tests")(tests)


@check("build")
def build(_: Namespace) -> str:
    """It builds, to the same bytes each time, and what is built runs."""
    return verify("build")
