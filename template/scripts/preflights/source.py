"""What is here: committed, locked, documented and released."""

import re
import subprocess
import sys
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path

from releases import engine_with, image_here, is_release, labels

from . import SERVICE, NotReadyError, check

REVISION = "org.opencontainers.image.revision"
STAGE = re.compile(r"^FROM (?:--platform=\S+ )?(\S+)(?: AS (\S+))?", re.MULTILINE | re.IGNORECASE)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command and return what came of it."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


@check("lock")
def lock(_: Namespace) -> str:
    """uv.lock is committed and goes with pyproject.toml."""
    if run("git", "ls-files", "--error-unmatch", "uv.lock").returncode:
        raise NotReadyError("uv.lock is not committed: `git add uv.lock`, and commit.")
    if run("uv", "lock", "--check").returncode:
        raise NotReadyError("uv.lock is older than pyproject.toml: `uv lock`, and commit.")
    return "uv.lock is committed and up to date"


@check("release")
def release(_: Namespace) -> str:
    """What is here is a release, to the last line."""
    changed = run("git", "status", "--porcelain").stdout.splitlines()
    if changed:
        raise NotReadyError(f"{len(changed)} files are not committed, such as {changed[0][3:]}: commit, and tag.")
    here = version(SERVICE)
    if not is_release(here):
        raise NotReadyError(f"{here} is no release: tag this commit, and `uv sync`.")
    return here


@check("image")
def image(_: Namespace) -> str:
    """There is an image of this very commit."""
    name = image_here(SERVICE)
    engine = engine_with(name)
    if engine is None:
        raise NotReadyError(f"There is no image {name} here: `doit image` builds it.")
    if (labels(engine, name) or {}).get(REVISION) != run("git", "rev-parse", "HEAD").stdout.strip():
        raise NotReadyError(f"{name} was built from another commit: `doit image` builds it anew.")
    return name


@check("bases")
def bases(_: Namespace) -> str:
    """The image is built on bases that stay what they are."""
    stages = STAGE.findall(Path("Dockerfile").read_text(encoding="utf-8"))
    named = {name for _, name in stages}
    outside = [base for base, _ in stages if base not in named and base != "scratch"]
    if loose := [base for base in outside if "@sha256:" not in base]:
        raise NotReadyError(f"{loose[0]} may be another one tomorrow: give it its digest, in the Dockerfile.")
    return f"{len(outside)} pinned by digest"


@check("variables")
def variables(_: Namespace) -> str:
    """The documents have every setting that the code has."""
    done = run(sys.executable, "scripts/document_settings.py", "--check")
    if done.returncode:
        raise NotReadyError(done.stderr.strip())
    return "documented"
