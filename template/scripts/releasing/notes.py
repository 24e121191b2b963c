"""The next version and its notes, from the commits since the last one."""

import re
from pathlib import Path

from packaging.version import Version

from . import NoReleaseError
from .environments import run

CHANGELOG = Path("CHANGELOG.md")
NOTHING = "Nothing that users notice was committed since the last version: no feat, fix, perf or revert."
FORM = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?")


def git_cliff(*arguments: str) -> str:
    """Return what git-cliff prints. Raises NoReleaseError where it fails."""
    return run("git-cliff", *arguments)


def next_version(wanted: str | None, tags: list[str]) -> str:
    """Return the version that the commits ask for, or the one that is wanted.

    Raises NoReleaseError for one that is none, or that is not above all that are tagged.
    """
    version = (wanted or git_cliff("--bumped-version")).removeprefix("v")
    if not FORM.fullmatch(version):
        raise NoReleaseError(f"{version} is no version: it is like 1.2.3 or 1.2.3rc1.")
    if tags and Version(version) < (highest := max(map(Version, tags))):
        raise NoReleaseError(f"{version} is below {highest}, which is released: say which it is with --version.")
    return version


def versions(tags: list[str]) -> list[str]:
    """Return those of the tags that are versions, without their v."""
    return [tag.removeprefix("v") for tag in tags if tag.startswith("v") and FORM.fullmatch(tag.removeprefix("v"))]


def notes_for(version: str) -> str:
    """Return what there is to say of the next version, as Markdown.

    That is what somebody wrote into the changelog under its heading, or what follows from the commits.
    """
    return entry_of(version) or git_cliff("--unreleased", "--tag", f"v{version}", "--strip", "all")


def tells_something(notes: str) -> bool:
    """Tell whether there is more than a heading."""
    return "\n" in notes


def entry_of(version: str) -> str:
    """Return what the changelog says of a version, or nothing."""
    text = CHANGELOG.read_text(encoding="utf-8") if CHANGELOG.is_file() else ""
    found = re.search(rf"^## v?{re.escape(version)}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0].strip() if found else ""


def add_to_changelog(version: str, notes: str) -> None:
    """Put notes above those of the versions before, unless they are there."""
    if not entry_of(version):
        text = CHANGELOG.read_text(encoding="utf-8") if CHANGELOG.is_file() else "# Changelog\n"
        head, heading, rest = text.partition("\n## ")
        CHANGELOG.write_text(f"{head.rstrip()}\n\n{notes}\n{heading}{rest}", encoding="utf-8")
