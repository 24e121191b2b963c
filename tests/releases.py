"""The released versions of the template: commits that say `release: vX.Y.Z`."""

from pathlib import Path

from tests.shell import ROOT, git

RELEASE = "release: v"


def is_shallow() -> bool:
    """Tell whether this clone has no history: released versions cannot be tested then."""
    return git(ROOT, "rev-parse", "--is-shallow-repository") == "true"


def releases() -> dict[str, str]:
    """Return the released versions and their commits, the oldest first."""
    if is_shallow():
        return {}
    log = git(ROOT, "log", "--reverse", "--format=%H %s").splitlines()
    found = (line.split(" ", 1) for line in log)
    return {subject.removeprefix(RELEASE): commit for commit, subject in found if subject.startswith(RELEASE)}


def tag_releases(template: Path) -> None:
    """Bring the released versions, with their tags, into a repository of the template."""
    if versions := releases():
        git(template, "fetch", "--quiet", "--no-tags", str(ROOT), "HEAD")
        for version, commit in versions.items():
            git(template, "tag", f"v{version}", commit)
