"""Write into about/ what is told of a built release: its notes, and what it is made of.

The latter is CycloneDX (https://cyclonedx.org/docs/1.6/json/).
"""

import json
import sys
from pathlib import Path

from releasing import NoReleaseError
from releasing.distribution import DIST, version_of, wheel_in
from releasing.environments import run, runtime_environment
from releasing.notes import entry_of

ABOUT = Path("about")


def bill_of_materials(wheel: Path) -> str:
    """Return what a wheel and the locked dependencies are, as JSON; the same for the same lock."""
    command = ("cyclonedx-py", "environment", "--output-reproducible", "--pyproject=pyproject.toml")
    with runtime_environment(wheel) as python:
        bill = json.loads(run(*command, python))
    # It is in no file that the tool reads: the tag has it.
    bill["metadata"]["component"]["version"] = version_of(wheel)
    return json.dumps(bill, indent=2) + "\n"


def main() -> None:
    try:
        wheel = wheel_in(DIST)
        bill = bill_of_materials(wheel)
    except NoReleaseError as error:
        sys.exit(f"No bill of materials: {error}")
    name, version = wheel.name.split("-")[:2]
    written = {f"{name}-{version}.cdx.json": bill, "notes.md": entry_of(version) + "\n"}
    ABOUT.mkdir(exist_ok=True)
    for file, text in written.items():
        (ABOUT / file).write_text(text, encoding="utf-8")
        print(ABOUT / file)


if __name__ == "__main__":
    main()
