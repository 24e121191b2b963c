"""Release the template, `uv run doit release`: a commit `release: vX.Y.Z` and its tag, which is what Copier takes.

What a rendered service does to release itself serves here as well. Only the version and its notes come from
CHANGELOG.md, since no commit says what an updating project has to do.
"""

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "template" / "scripts"))
from packaging.version import Version
from releasing import NoReleaseError
from releasing.notes import entry_of
from releasing.repository import git, release, require_new, require_releasable, taken_back_on_failure

SUBJECT = re.compile(r"release: v([0-9]+\.[0-9]+\.[0-9]+)")


def next_version() -> str:
    """Return the version of the topmost entry of the changelog. Raises NoReleaseError where that is not a new one."""
    headings = re.findall(r"^## (.+)$", Path("CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    if not headings or not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", headings[0]):
        raise NoReleaseError("The topmost entry of CHANGELOG.md has to be called like the version: `## 1.2.3`.")
    subjects = git("log", "--format=%s").splitlines()
    released = [Version(found[1]) for each in subjects if (found := SUBJECT.fullmatch(each))]
    if released and Version(headings[0]) <= max(released):
        raise NoReleaseError(f"{headings[0]} is released: CHANGELOG.md has no entry for what came since.")
    return str(headings[0])


def notes_of(version: str) -> str:
    """Return the notes of a version. Raises NoReleaseError where they do not say what to do."""
    notes = entry_of(version)
    if "To do when updating" not in notes:
        raise NoReleaseError(f"The entry for {version} does not say what an updating project has to do.")
    return notes


def require_green() -> None:
    """Raise NoReleaseError where the quick tests fail."""
    if subprocess.run([sys.executable, "-m", "pytest", "-m", "not slow"], check=False).returncode:
        raise NoReleaseError("The tests fail.")


def main() -> None:
    """Make a release, or say in one sentence why there is none."""
    parser = ArgumentParser(prog="release.py", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="show the version and its notes, and change nothing")
    parser.add_argument("--skip-tests", action="store_true", help="where CI has passed for this commit")
    given = parser.parse_args()
    try:
        require_releasable()
        version = next_version()
        tag, notes = f"v{version}", notes_of(version)
        require_new(tag)
        print(f"{notes}\n")
        if given.dry_run:
            print(f"This would be released as {tag}.")
            return
        if not given.skip_tests:
            require_green()
            require_releasable()
        with taken_back_on_failure(tag, "CHANGELOG.md"):
            release(tag, notes, "CHANGELOG.md")
    except NoReleaseError as error:
        sys.exit(f"No release: {error}")
    print(f"Released {tag}.")


if __name__ == "__main__":
    main()
