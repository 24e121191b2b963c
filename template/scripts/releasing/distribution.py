"""The distribution: a source distribution and a wheel, the same bytes whenever and wherever they are built."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from releases import is_release

from . import NoReleaseError
from .environments import run, runtime_environment

DIST = Path("dist")
ENDINGS = (".tar.gz", ".whl")


def build(source: Path, target: Path) -> dict[str, str]:
    """Build from a folder into another one, which is emptied, and return the hash of each file by its name."""
    target.mkdir(parents=True, exist_ok=True)
    for old in files(target):
        old.unlink()
    run("uv", "build", "--no-sources", "--quiet", "--out-dir", target.resolve(), cwd=source)
    return hashes(target)


def files(folder: Path) -> list[Path]:
    """Return the distributions in a folder."""
    return sorted(path for path in folder.glob("*") if path.name.endswith(ENDINGS))


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each distribution in a folder, by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files(folder)}


def wheel_in(folder: Path) -> Path:
    """Return the wheel in a folder. Raises NoReleaseError where there is none, or more than one."""
    found = [path for path in files(folder) if path.suffix == ".whl"]
    if len(found) != 1:
        raise NoReleaseError(f"There are {len(found)} wheels in {folder}: `doit build` makes one.")
    return found[0]


def version_of(wheel: Path) -> str:
    """Return the version that a wheel is of, as its name says."""
    return wheel.name.split("-")[1]


def tag_here() -> str:
    """Return the tag of this very commit where nothing is changed since, or nothing."""
    command = ["git", "describe", "--exact-match", "--tags", "--dirty=-changed", "--match=v[0-9]*"]
    tag = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return "" if tag.endswith("-changed") else tag


def require_version(version: str) -> None:
    """Raise NoReleaseError where a version is not that of the tag, or is that of a release without a tag."""
    tag = tag_here()
    if tag and version != tag.removeprefix("v"):
        raise NoReleaseError(f"The wheel is {version}, and the tag here is {tag}.")
    if not tag and is_release(version) and version != "0.0.0":
        raise NoReleaseError(f"The wheel is {version}, and there is no such tag here.")


def require_same(wanted: dict[str, str], found: dict[str, str], what: str) -> None:
    """Raise NoReleaseError where files are not the same, to the byte."""
    if different := sorted(name for name in wanted | found if wanted.get(name) != found.get(name)):
        raise NoReleaseError(f"{different[0]} {what}.")


def require_sound(wheel: Path, package: str) -> None:
    """Raise NoReleaseError where metadata or contents are wrong, or the wheel does not run with what is locked."""
    run("twine", "check", "--strict", *files(wheel.parent))
    run("check-wheel-contents", f"--package=src/{package}", wheel)
    with runtime_environment(wheel) as python:
        run(python, "-I", "-c", f"import {package}.app")
        said = run(python, "-I", "-m", package, "--version")
    if said != version_of(wheel):
        raise NoReleaseError(f"The wheel is {version_of(wheel)}, and says that it is {said}.")


@contextmanager
def built_from(tag: str) -> Iterator[Path]:
    """Yield a folder with what a tag builds, from a tree of its own; what is here does not take part."""
    if not re.fullmatch(r"v[0-9][0-9a-z.]*", tag):
        raise NoReleaseError(f"{tag} is no tag of a version: it is like v1.2.3.")
    with TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        run("git", "worktree", "add", "--quiet", "--detach", tree, f"refs/tags/{tag}")
        try:
            build(tree, Path(folder, "dist"))
            yield Path(folder, "dist")
        finally:
            run("git", "worktree", "remove", "--force", tree)
