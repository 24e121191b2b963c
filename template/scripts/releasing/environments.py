"""Environments that hold what production has, and nothing else."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from . import NoReleaseError, last_line


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Return what a command prints. Raises NoReleaseError with the last line of its complaint where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        what = " ".join(map(str, command[:2]))
        raise NoReleaseError(f"{what} failed: {last_line(done.stderr or done.stdout)}.")
    return done.stdout.strip()


@contextmanager
def empty_environment() -> Iterator[Path]:
    """Yield the Python of an environment with nothing in it, for a while."""
    with TemporaryDirectory() as folder:
        run("uv", "venv", "--quiet", folder)
        yield Path(folder, "bin", "python")


@contextmanager
def runtime_environment(*wheels: Path) -> Iterator[Path]:
    """Yield the Python of an environment with the locked dependencies, each by its hash, and with these wheels."""
    with TemporaryDirectory() as folder, empty_environment() as python:
        locked = Path(folder, "requirements.txt")
        export = ("uv", "export", "--locked", "--no-dev", "--no-emit-project", "--quiet")
        run(*export, "--output-file", locked)
        run("uv", "pip", "sync", "--quiet", "--python", python, "--require-hashes", locked)
        if wheels:
            run("uv", "pip", "install", "--quiet", "--python", python, "--no-deps", *wheels)
        yield python
