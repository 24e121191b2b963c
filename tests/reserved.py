"""Names that a package cannot have: questions/reserved.yaml is written from here (`doit reserved`)."""

import keyword
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LIST = ROOT / "questions" / "reserved.yaml"
HEAD = "# Keywords, modules of the standard library and libraries of the service. Written by `doit reserved`.\n"
# Folders of a project, and modules that are not called like their distribution.
FIXED = (
    "checks conftest docs dodo dotenv embedded interlock kubernetes migrations observability piplicenses preflight "
    "preflights release_checks releases releasing roll_out rolling_out scripts src test tests verifications"
)
PACKAGE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def required_names(lock: Path) -> set[str]:
    """Return the names of everything that a project's lock holds, as modules are spelt."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    return {package["name"].replace("-", "_") for package in packages if "editable" not in package["source"]}


def here() -> set[str]:
    """Return the names that this Python and a project's layout take."""
    return {*sys.stdlib_module_names, *keyword.kwlist, *keyword.softkwlist, *FIXED.split()}


def listed() -> set[str]:
    """Return the names in the list."""
    return set(yaml.safe_load(LIST.read_text(encoding="utf-8")))


def main() -> None:
    """Add what this Python, and the projects whose locks are given, take; names are never taken out."""
    found = listed() | here() | set().union(*(required_names(Path(lock)) for lock in sys.argv[1:]))
    names = sorted(name for name in found if PACKAGE.fullmatch(name))
    LIST.write_text(HEAD + yaml.safe_dump(names, default_flow_style=False), encoding="utf-8")


if __name__ == "__main__":
    main()
