"""Tell what an update from the template took away of what you wrote, and which conflicts it left.

Copier merges an update into your files. But it deletes the files of what is switched off with all that is in them,
and a conflict may be resolved for the wrong side. An update is the last commit that changed .copier-answers.yml, or
such a change that is not committed yet. A line is yours unless an update was the first to write it into its file.
"""

import re
import shlex
import shutil
import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

from git_history import (
    ANSWERS,
    MARKERS,
    changed,
    git,
    last_updates,
    lines_at,
    lines_now,
    settled,
    untracked,
    updates,
    yours,
)

# Anywhere in a message, since a squash merge puts a trailer into its middle.
DROPPED = re.compile(r"^dropped:[ \t]*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
SHOWN = 3
WIDTH = 100


def is_raised(line: str, others: Counter[str]) -> bool:
    """Tell whether the line is there with higher numbers: bots raise versions, and so does the template."""

    def parted(text: str) -> tuple[str, list[int]]:
        unpinned = re.sub("@[0-9a-f]{40,64}", "@", text)
        return re.sub(r"\d+", "0", unpinned), [int(number) for number in re.findall(r"\d+", unpinned)]

    shape, numbers = parted(line)
    return any(shape == other and numbers <= theirs for other, theirs in map(parted, others))


def is_meant(path: str, patterns: list[str]) -> bool:
    """Tell whether somebody said that this file may lose lines."""
    return any(path == pattern or fnmatchcase(path, pattern) for pattern in patterns)


def losses(before: str, after: str | None, theirs: set[str]) -> dict[str, list[str]]:
    """Return your lines, by file, which the update took away and nobody brought back; `theirs` are all updates."""
    added = [path for path in [*changed(before, None, "A"), *untracked()] if Path(path).is_file()]
    moved = sum(map(lines_now, added), Counter[str]())
    found = {}
    for path in changed(before, after, "MDT"):
        left = lines_now(path) if Path(path).is_file() else moved
        if after is not None:
            left = left | settled(after, path)
        # Who wrote a line takes time to find out.
        if not lines_at(before, path) - left:
            continue
        gone = (yours(before, path, theirs) - left).elements()
        if lost := [line for line in gone if not is_raised(line, left)]:
            found[path] = lost
    return found


def report(found: dict[str, list[str]]) -> str:
    """Return the losses in words, and what to do about them."""
    said = ["The update took away what you wrote:"]
    for path, lost in found.items():
        said += [f"  {path}", *(f"    {line[:WIDTH]}" for line in lost[:SHOWN])]
        said += [f"    and {len(lost) - SHOWN} more lines"] if len(lost) > SHOWN else []
    trailers = " ".join(f"--trailer {shlex.quote(f'Dropped: {path}')}" for path in found)
    said += [
        "Bring it back, or say that you mean it, once the rest is as you want it:",
        f"  git add --all && git commit --allow-empty --message 'chore: drop what we had' {trailers}",
    ]
    return "\n".join(said)


def has_history() -> bool:
    """Tell whether this is a project from the template, in a repository with a commit."""
    is_project = Path(ANSWERS).is_file() and shutil.which("git") is not None
    return is_project and git("rev-parse", "--verify", "HEAD", may_fail=True) != ""


def main() -> str:
    """Return what is wrong after an update, or nothing."""
    if not has_history():
        return ""
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        return "An update cannot be told from your work in a shallow clone: run `git fetch --unshallow`."
    if conflicts := git("grep", "--files-with-matches", "--extended-regexp", MARKERS, may_fail=True).split("\n")[:-1]:
        return "\n".join(["The update left conflicts, resolve them as after a merge:", *(f"  {c}" for c in conflicts)])
    found: dict[str, list[str]] = {}
    theirs = updates()
    for before, after in last_updates():
        meant = DROPPED.findall(git("log", "--format=%B", f"{before}..HEAD"))
        found |= {path: lost for path, lost in losses(before, after, theirs).items() if not is_meant(path, meant)}
    return report(found) if found else ""


if __name__ == "__main__":
    sys.exit(main() or None)
