"""Commands that the tests run, in an environment of their own."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(project: Path, message: str = "feat: start") -> None:
    """Make the project a repository, or commit its changes."""
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--allow-empty", "--message", message)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment without what belongs to this repository's own tools."""
    ours = ("VIRTUAL_ENV", "UV_", "PYTEST_", "COPIER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables


def uv(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run uv in a project and return what came of it."""
    environment = clean_environment(**variables)
    return subprocess.run(
        ["uv", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


def has_python(version: str) -> bool:
    """Tell whether this machine has a Python, as uv sees it."""
    return subprocess.run(["uv", "python", "find", version], capture_output=True, check=False).returncode == 0


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file of a project, but for its git."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in {".git", ".venv"}
    }


def differing(left: dict[str, bytes], right: dict[str, bytes]) -> set[str]:
    """Return the files that are not the same in two projects, by their contents as `files` gives them."""
    return {name for name in left | right if left.get(name) != right.get(name)}
