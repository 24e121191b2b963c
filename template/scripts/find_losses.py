"""Tell what an update from the template took away of what you wrote, and which conflicts it left.

Copier merges an update into your files. But it deletes the files of what is switched off with all that is in them,
and a conflict may be resolved for the wrong side. An update is the last commit that changed .copier-answers.yml, or
such a change that is not committed yet. Your lines are those that no update wrote.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ANSWERS = ".copier-answers.yml"
# Nobody writes a lock by hand.
GENERATED = {ANSWERS, "uv.lock"}
# What people set to change what they see.
SETTINGS = ("core.quotePath=false", "color.ui=false")
MARKERS = "^(<<<<<<< before updating|>>>>>>> after updating)$"
# What `git blame --line-porcelain` says above each line: the commit that wrote it.
HEADER = re.compile(r"([0-9a-f]{40,64}) \d+ \d+")
SHOWN = 3


def git(*arguments: str, may_fail: bool = False) -> str:
    """Return what git prints; nothing where it fails and may."""
    command = ["git", *(part for setting in SETTINGS for part in ("-c", setting)), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode and not may_fail:
        sys.exit(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return "" if done.returncode else done.stdout


def words(text: str) -> Counter[str]:
    """Return how often each line occurs; indentation, blank lines and mere brackets do not count."""
    return Counter(line.strip() for line in text.split("\n") if any(map(str.isalnum, line)))


def yours(before: str, path: str, updates: set[str]) -> Counter[str]:
    """Return your lines in a file, as it was before the update."""
    found: list[str] = []
    commit = ""
    for line in git("blame", "--line-porcelain", before, "--", path).split("\n"):
        if line.startswith("\t") and commit not in updates:
            found.append(line)
        elif header := HEADER.match(line):
            commit = header[1]
    return words("\n".join(found))


def changed(before: str, after: str | None, kinds: str) -> list[str]:
    """Return the files that the update added, modified or deleted, by git's letters for it."""
    commits = [before] if after is None else [before, after]
    options = ["-z", "--name-only", "--relative", "--no-renames", "--ignore-submodules=all", f"--diff-filter={kinds}"]
    listed = git("diff", *options, *commits)
    return [path for path in listed.split("\0") if path and path not in GENERATED]


def now(path: str) -> Counter[str]:
    """Return the lines of a file as it stands."""
    return words(Path(path).read_text(encoding="utf-8", errors="replace")) if Path(path).is_file() else Counter()


def losses(before: str, after: str | None) -> dict[str, list[str]]:
    """Return your lines, by file, which the update took away and nobody brought back."""
    # Wherever it was: the project may have moved within its repository.
    updates = set(git("rev-list", "--full-history", "HEAD", "--", f":(top,glob)**/{ANSWERS}").split())
    moved = Counter[str]()
    for path in changed(before, after, "A"):
        moved += now(path)
    found = {}
    for path in changed(before, after, "MDTU"):
        left = now(path)
        if after is not None:
            left |= words(git("show", f"{after}:./{path}", may_fail=True))
        if not Path(path).is_file():
            left += moved
        gone = words(git("show", f"{before}:./{path}")) - left
        if lost := list((gone & yours(before, path, updates)).elements()):
            found[path] = lost
    return found


def report(found: dict[str, list[str]]) -> str:
    """Return the losses in words, and what to do about them."""
    lines = ["The update took away what you wrote:"]
    for path, lost in found.items():
        lines += [f"  {path}", *(f"    {line}" for line in lost[:SHOWN])]
        lines += [f"    and {len(lost) - SHOWN} more lines"] if len(lost) > SHOWN else []
    path = next(iter(found))
    lines += [
        "Bring it back, or say that you mean it, with a line for each file:",
        f'  git commit --allow-empty --message "chore: drop what we had" --trailer "Dropped: {path}"',
    ]
    return "\n".join(lines)


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
    after = git("rev-list", "--max-count=1", "HEAD", "--", ANSWERS).strip() or None
    before = f"{after}^"
    if git("diff", "--name-only", "HEAD", "--", ANSWERS):
        before, after = "HEAD", None
    if not git("rev-parse", "--verify", "--quiet", before, may_fail=True):
        return ""
    dropped = git("log", "--format=%(trailers:key=Dropped,valueonly)", f"{before}..HEAD").split("\n")
    found = {path: lost for path, lost in losses(before, after).items() if path not in dropped}
    return report(found) if found else ""


if __name__ == "__main__":
    sys.exit(main() or None)
