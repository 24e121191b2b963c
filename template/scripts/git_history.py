"""What git knows of updates from the template: which commits they were, and who wrote which line first."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ANSWERS = ".copier-answers.yml"
# Nobody writes a lock by hand.
GENERATED = {ANSWERS, "uv.lock"}
# What people set to change what they see.
SETTINGS = ("core.quotePath=false", "color.ui=false", "log.showRoot=true", "log.showSignature=false")
# Within a hook, git names its own repository and index, which do not fit a folder of it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"GIT_DIR", "GIT_INDEX_FILE"}}
MARKERS = "^(<<<<<<< before updating|>>>>>>> after updating)\r?$"
HASH = re.compile(r"[0-9a-f]{40,64}")


def git(*arguments: str, may_fail: bool = False) -> str:
    """Return what git prints; nothing where it fails and may."""
    command = ["git", *(part for setting in SETTINGS for part in ("-c", setting)), *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)
    if done.returncode and not may_fail:
        sys.exit(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return "" if done.returncode else done.stdout.decode(errors="surrogateescape")


def lines(text: str) -> Counter[str]:
    """Return how often each line occurs; indentation, blank lines and mere brackets do not count."""
    return Counter(line.strip() for line in text.split("\n") if any(map(str.isalnum, line)))


def lines_now(path: str) -> Counter[str]:
    """Return the lines of a file as it stands."""
    return lines(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))


def lines_at(commit: str, path: str) -> Counter[str]:
    """Return the lines of a file in a commit."""
    return lines(git("show", f"{commit}:./{path}"))


def settled(after: str, path: str) -> Counter[str]:
    """Return the lines of a file as the update left it, or as they were once its conflicts were resolved."""
    for commit in [after, *git("rev-list", "--reverse", f"{after}..HEAD", "--", path).split()]:
        text = git("show", f"{commit}:./{path}", may_fail=True)
        if not re.search(MARKERS, text, re.MULTILINE):
            return lines(text)
    return Counter()


def updates() -> set[str]:
    """Return the commits that brought the project, or an update, wherever it was in its repository."""
    return set(git("rev-list", "--full-history", "HEAD", "--", f":(top,glob)**/{ANSWERS}").split())


def last_updates() -> list[tuple[str, str | None]]:
    """Return the commits before and after the last update, and of those right before it.

    None stands for the working tree, with an update that is not committed.
    """
    commits = git("rev-list", "--no-merges", "HEAD", "--", ANSWERS).split()
    is_merging = git("rev-parse", "--verify", "--quiet", "MERGE_HEAD", may_fail=True)
    is_pending = not is_merging and git("diff", "--name-only", "HEAD", "--", ANSWERS)
    after = None if is_pending or not commits else commits[0]
    found: list[tuple[str, str | None]] = []
    while before := git("rev-parse", "--verify", "--quiet", f"{after}^" if after else "HEAD", may_fail=True).strip():
        found.append((before, after))
        if before not in commits:
            break
        after = before
    return found


def yours(commit: str, path: str, theirs: set[str]) -> Counter[str]:
    """Return the lines of a file in a commit that none of those updates was the first to write."""
    writers: dict[str, str] = {}
    writer = ""
    patches = git("log", "--follow", "--patch", "--unified=0", "--text", "--format=%H", commit, "--", path)
    # They come from the newest to the oldest: the first writer of a line stays.
    for line in patches.split("\n"):
        if line.startswith("+"):
            writers[line[1:].strip()] = writer
        elif HASH.fullmatch(line):
            writer = line
    present = lines_at(commit, path)
    return Counter({line: count for line, count in present.items() if writers.get(line) not in theirs})


def changed(before: str, after: str | None, kinds: str) -> list[str]:
    """Return the files that were added, modified or deleted in between, by git's letters for it."""
    commits = [before] if after is None else [before, after]
    options = ["-z", "--name-only", "--relative", "--no-renames", "--ignore-submodules=all", f"--diff-filter={kinds}"]
    return [path for path in git("diff", *options, *commits).split("\0") if path and path not in GENERATED]


def untracked() -> list[str]:
    """Return the files that git does not know yet."""
    return git("ls-files", "-z", "--others", "--exclude-standard").split("\0")[:-1]
