"""The template as users get it, rendered without trust, each set of answers once."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
from plumbum import local

ROOT = Path(__file__).parents[1]
# Everything that a rendering reads.
TEMPLATE_PATHS = ["copier.yml", "questions", "extensions", "template"]
Render = Callable[..., Path]


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


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


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file of a project, but for its git."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in {".git", ".venv"}
    }


def commit(project: Path, message: str = "feat: start") -> None:
    """Make the project a repository, or commit its changes."""
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--allow-empty", "--message", message)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Answers and trust in ~/.config/copier/settings.yml must not change what is tested.
    settings = tmp_path_factory.mktemp("copier") / "settings.yml"
    settings.write_text("{}\n")
    before = os.environ.get("COPIER_SETTINGS_PATH")
    os.environ["COPIER_SETTINGS_PATH"] = local.env["COPIER_SETTINGS_PATH"] = str(settings)
    yield
    if before is None:
        del os.environ["COPIER_SETTINGS_PATH"]


@pytest.fixture(scope="session")
def copier_template_paths() -> list[str]:
    """Override pytest-copier's: what the template consists of."""
    return TEMPLATE_PATHS


@pytest.fixture(scope="session")
def template(copier_template: Path) -> Path:
    """Return a repository with the template as it stands here, committed and tagged 99.99.99."""
    return Path(copier_template)


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Return a function that renders answers to a folder: the same one for the same answers."""
    rendered: dict[str, Path] = {}

    def render_once(**answers: Any) -> Path:
        key = json.dumps(answers, sort_keys=True)
        if key not in rendered:
            rendered[key] = tmp_path_factory.mktemp("project") / "project"
            copier.run_copy(str(template), rendered[key], answers, defaults=True, quiet=True, unsafe=False)
        return rendered[key]

    return render_once


@pytest.fixture
def project(render: Render) -> Iterator[Callable[..., Path]]:
    """Return a function that renders answers to a folder of the test's own, committed."""
    with tempfile.TemporaryDirectory() as folder:

        def copy(**answers: Any) -> Path:
            target = Path(folder) / "project"
            shutil.copytree(render(**answers), target)
            commit(target)
            return target

        yield copy
