"""The repository: whether a release can be made from it, and the commit and the tag that make one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from . import NoReleaseError, last_line

MAIN = "main"


# What a line begins with that says why, the more telling first; others say what to try, or that something failed.
TELLING = ("remote: error", "fatal:", "! [", "error:")


def reason(text: str) -> str:
    """Return the line of git's complaint that says why."""
    lines = [line.strip() for line in text.splitlines()]
    found = [line for beginning in TELLING for line in lines if line.startswith(beginning)]
    return found[0].rstrip(".") if found else last_line(text)


def git(*arguments: str) -> str:
    """Return what git prints. Raises NoReleaseError where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoReleaseError(f"git {arguments[0]} failed: {reason(done.stderr or done.stdout)}.")
    return done.stdout.strip()


def require_releasable() -> None:
    """Raise NoReleaseError unless what is here is main, committed, and the same at origin."""
    branch = git("branch", "--show-current")
    if branch != MAIN:
        raise NoReleaseError(f"This is {branch or 'no branch'}, and releases are made from {MAIN}.")
    if changed := git("status", "--porcelain").splitlines():
        raise NoReleaseError(f"{len(changed)} files are not committed, such as {changed[0].split()[-1]}: commit first.")
    git("fetch", "--quiet", "--tags", "origin", MAIN)
    behind, ahead = git("rev-list", "--left-right", "--count", f"origin/{MAIN}...{MAIN}").split()
    if behind != "0":
        raise NoReleaseError(f"{MAIN} lacks {behind} commits that origin has: `git pull --rebase`.")
    if ahead != "0":
        raise NoReleaseError(f"{MAIN} has {ahead} commits that origin lacks: push them, and let CI pass.")


def is_tagged(tag: str) -> bool:
    """Tell whether there is such a tag, here or at origin, which was asked before."""
    return git("tag", "--list", tag) != ""


def require_new(tag: str) -> None:
    """Raise NoReleaseError where there is such a tag."""
    if is_tagged(tag):
        raise NoReleaseError(f"{tag} exists already: a version is released once.")


def is_signing() -> bool:
    """Tell whether a key is configured to sign with."""
    done = subprocess.run(["git", "config", "user.signingKey"], capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def taken_back_on_failure(tag: str, path: str) -> Iterator[None]:
    """Take the tag, the commit and the change of a file back where what is done within fails, and nothing else."""
    before = git("rev-parse", "HEAD")
    try:
        yield
    except BaseException:
        subprocess.run(["git", "tag", "--delete", tag], capture_output=True, check=False)
        git("reset", "--soft", before)
        subprocess.run(["git", "restore", "--staged", "--worktree", path], capture_output=True, check=False)
        raise


def release(tag: str, notes: str, path: str) -> None:
    """Commit a file, tag the commit with the notes, and push both or neither."""
    git("add", path)
    git("commit", "--quiet", "--allow-empty", "--message", f"release: {tag}")
    # Its headings would be taken for comments; and a signature begins a line.
    message = ("--cleanup=verbatim", "--message", f"{notes}\n")
    git("tag", "--sign" if is_signing() else "--annotate", *message, tag)
    # git 2.39 goes on without a signature where the key is an SSH key that is not there.
    if is_signing() and "-----BEGIN " not in git("cat-file", "tag", tag):
        raise NoReleaseError("The tag could not be signed: user.signingKey names a key that does not work.")
    git("push", "--quiet", "--atomic", "origin", f"HEAD:refs/heads/{MAIN}", f"refs/tags/{tag}")
