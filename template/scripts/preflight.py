"""Tell whether what is here is ready for production, item by item: `preflight.py --skip=audit`."""

import pkgutil
import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module

import preflights
from preflights import CHECKS, NotReadyError


def discover(parser: ArgumentParser) -> None:
    """Import every module with checks, and let it say which options it has."""
    for module in pkgutil.iter_modules(preflights.__path__):
        loaded = import_module(f"preflights.{module.name}")
        if hasattr(loaded, "add_options"):
            loaded.add_options(parser)


def passes(name: str, given: Namespace) -> bool:
    """Make a check, print what came of it, and tell whether it passed."""
    print(f"{name:12} ", end="", flush=True)
    try:
        print(f"ok       {CHECKS[name](given)}")
    except NotReadyError as error:
        print(f"NOT OK   {error}")
        return False
    return True


def main() -> None:
    parser = ArgumentParser(prog="preflight.py", description=__doc__)
    discover(parser)
    parser.add_argument("--only", action="append", choices=CHECKS, help="look at this and nothing else")
    parser.add_argument("--skip", action="append", choices=CHECKS, default=[], help="leave this out")
    given = parser.parse_args()
    asked = [name for name in given.only or CHECKS if name not in given.skip]
    failed = [name for name in asked if not passes(name, given)]
    if failed:
        sys.exit(f"Not ready for production: {', '.join(failed)}.")
    left = [name for name in CHECKS if name not in asked]
    print(f"Left out: {', '.join(left)}." if left else "Ready for production.")


if __name__ == "__main__":
    main()
