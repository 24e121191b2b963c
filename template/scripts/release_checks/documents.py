"""What a release is read by: its version, its notes, its README and its licence."""

import re
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

from releasing.notes import NOTHING, next_version, notes_for, tells_something, versions
from releasing.repository import git

from . import NotReadyError, check

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def project() -> dict[str, Any]:
    """Return what pyproject.toml says of the project."""
    found: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def coming(given: Namespace) -> str:
    """Return the version that would be released."""
    return next_version(getattr(given, "version", None), versions(git("tag").splitlines()))


@check("version")
def version(given: Namespace) -> str:
    """The version follows from tags and commits, and from nothing that somebody wrote."""
    if "version" not in project().get("dynamic", ()):
        raise NotReadyError("pyproject.toml names a version: the tag does, so take it out, and `dynamic` names it.")
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise NotReadyError("The history is not here, and with it the tags: `git fetch --unshallow --tags`.")
    return f"{coming(given)} is next"


@check("changelog")
def changelog(given: Namespace) -> str:
    """There is something to tell of the version."""
    notes = notes_for(coming(given))
    if not tells_something(notes) and not getattr(given, "version", None):
        raise NotReadyError(NOTHING)
    return f"{len(notes.splitlines()) - 1} lines to add"


@check("readme")
def readme(_: Namespace) -> str:
    """README.md has a title, and its links lead somewhere."""
    page = Path("README.md")
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if not re.match(r"# \S", text):
        raise NotReadyError("README.md is missing or does not begin with a title: it is the page of the release.")
    if lost := [target for target in LINK.findall(text) if not Path(target).exists()]:
        raise NotReadyError(f"README.md links to {lost[0]}, which is not there.")
    return f"{len(text.splitlines())} lines"


@check("licence")
def licence(_: Namespace) -> str:
    """The licence is named, and its text is there."""
    known = project()
    if not known.get("license"):
        raise NotReadyError("pyproject.toml names no licence: `license` is an SPDX expression.")
    missing = [pattern for pattern in known.get("license-files", ["LICENSE"]) if not any(Path().glob(pattern))]
    if missing:
        raise NotReadyError(f"{missing[0]} is not there: a licence without its text is none.")
    return str(known["license"])
