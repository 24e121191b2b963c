"""Rendered projects are installed for real and pass their own gates, on the newest and on the oldest requirements."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from extensions.rows import KINDS, rows
from tests import reserved
from tests.conftest import Render
from tests.covering import TRIED, as_answers, covering
from tests.shell import clean_environment, commit, files, git, has_python, uv
from tests.updates import update

pytestmark = pytest.mark.slow
Project = Callable[..., Path]
PASSED = re.compile(r"(\d+) passed")


def passed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tests passed; none failed or was skipped."""
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    summary = done.stdout.splitlines()
    counts = [int(found[1]) for line in summary if (found := PASSED.search(line))]
    assert counts, done.stdout[-2000:]
    assert not re.search(r"\d+ (skipped|failed|error|xfailed)", done.stdout)
    return counts[-1]


def alternatives() -> list[dict[str, Any]]:
    """Return the fewest answers that have, one by one of each kind, the integrations the full service does without."""
    left = [(row["kind"], row["name"]) for row in rows() if "full" not in row["presets"]]
    turns = zip_longest(*([(kind, name) for other, name in left if other == kind] for kind in KINDS))
    chosen = [dict(filter(None, turn)) for turn in turns]
    return [
        {"preset": "full"} | {kind: [name] if kind == "observability" else name for kind, name in answers.items()}
        for answers in chosen
    ]


@pytest.mark.parametrize(
    ("answers", "least"),
    [
        ({"preset": "minimal", "package": "a"}, 130),
        ({}, 160),
        ({"preset": "full", "package": "orders", "license": "Apache-2.0"}, 160),
        *((answers, 160) for answers in alternatives()),
    ],
    ids=str,
)
def test_project_passes_its_own_gates(project: Project, answers: dict[str, str], least: int) -> None:
    folder = project(**answers)
    assert uv(folder, "lock", "--quiet").returncode == 0
    commit(folder, "chore: lock")
    git(folder, "tag", "v1.2.3")
    assert uv(folder, "sync", "--locked", "--quiet").returncode == 0
    checked = uv(folder, "run", "--locked", "doit", "check", UV_OFFLINE="1")
    assert passed(checked) >= least
    tasks = [line.removeprefix(".  ") for line in checked.stdout.splitlines() if line.startswith(".  ")]
    assert sorted(tasks) == ["check", "lint", "losses", "secrets", "security", "test", "types"]
    assert git(folder, "status", "--porcelain") == ""
    names = reserved.required_names(folder / "uv.lock")
    assert {name for name in names if reserved.PACKAGE.fullmatch(name)} <= reserved.listed() | {"colorama"}
    version = uv(folder, "run", "python", "-m", answers.get("package", "my_service"), "--version")
    assert version.stdout.strip() == "1.2.3"


@pytest.mark.parametrize("queue", ["celery", "arq"])
def test_every_pair_of_answers_is_strictly_typed(queue: str, project: Project, render: Render) -> None:
    folder = project(preset="full", queue=queue)
    assert uv(folder, "sync", "--quiet").returncode == 0
    # What the full service does without as well; of the queues one, for they ask for other versions of redis-py.
    together = [row for row in rows() if row["kind"] != "queue" or row["name"] == queue]
    everything = [each for row in together for each in [*row["requires"], *row.get("develop", ())]]
    assert uv(folder, "pip", "install", "--quiet", *everything).returncode == 0
    texts = {name: values[0] for name, values in TRIED.items()} | {"python": "3.11"}
    typed = set()
    for row in covering(2):
        if row["queue"] not in {queue, "none"}:
            continue
        rendered = render(**as_answers(row | texts))
        sources = tuple((path.relative_to(rendered), path.read_bytes()) for path in sorted(rendered.rglob("*.py")))
        if sources not in typed:
            typed.add(sources)
            command = [str(folder / ".venv" / "bin" / "mypy")]
            done = subprocess.run(command, cwd=rendered, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout
    assert len(typed) > 1


def test_dependency_added_with_uv_survives_an_update(project: Project) -> None:
    folder = project()
    assert uv(folder, "add", "--quiet", "--no-sync", "httpx-sse").returncode == 0
    commit(folder, "feat: events")
    assert update(folder, observability=[]) == []
    brought, own = (folder / "pyproject.toml").read_text().split("# What the service adds.\n")[:2]
    assert "prometheus-client" not in brought
    assert own.lstrip().startswith('"httpx-sse>=')


@pytest.mark.parametrize(
    ("answers", "tests", "least"),
    [({"preset": "full"}, "tests", 160), *((answers, "tests/integrations", 40) for answers in alternatives())],
    ids=str,
)
def test_project_passes_on_its_oldest_requirements(
    project: Project, answers: dict[str, str], tests: str, least: int
) -> None:
    folder = project(**answers)
    synced = uv(folder, "sync", "--quiet", "--resolution", "lowest-direct")
    assert synced.returncode == 0, synced.stderr
    assert passed(uv(folder, "run", "--no-sync", "pytest", "--quiet", tests)) >= least


@pytest.mark.parametrize("python", ["3.12", "3.13", "3.14"])
def test_project_passes_on_newer_pythons(project: Project, python: str) -> None:
    if not has_python(python):
        pytest.skip(f"there is no Python {python} on this machine")
    folder = project(preset="full", python=python)
    assert passed(uv(folder, "run", "doit", "check", UV_PYTHON=python)) >= 160


def test_distribution_holds_the_service_and_its_version(project: Project) -> None:
    folder = project(package="orders")
    git(folder, "tag", "v0.4.0")
    built = uv(folder, "run", "doit", "build")
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(folder / "dist" / "orders-0.4.0-py3-none-any.whl") as wheel:
        names = wheel.namelist()
        metadata = wheel.read("orders-0.4.0.dist-info/METADATA").decode()
    assert {"orders/app.py", "orders/py.typed", "orders-0.4.0.dist-info/licenses/LICENSE"} <= set(names)
    assert not [name for name in names if "tests" in name]
    assert "License-Expression: MIT" in metadata
    with tarfile.open(folder / "dist" / "orders-0.4.0.tar.gz") as source:
        assert "orders-0.4.0/CHANGELOG.md" in source.getnames()


def test_fresh_rendering_without_git_is_version_zero(project: Project) -> None:
    folder = project(preset="minimal")
    shutil.rmtree(folder / ".git")
    done = uv(folder, "run", "--no-dev", "python", "-m", "my_service", "--version")
    assert done.stdout.strip() == "0.0.0", done.stderr


def test_documents_are_written_by_the_project_as_rendered(project: Project) -> None:
    folder = project(preset="full")
    before = files(folder)
    assert uv(folder, "run", "doit", "docs").returncode == 0
    after = files(folder)
    assert {name for name in before if before[name] != after[name]} == set()


def test_own_setting_gets_into_the_documents(project: Project) -> None:
    folder = project(preset="minimal")
    settings = folder / "src" / "my_service" / "settings.py"
    own = '    # What the service adds.\n    colour: str = Field(default="blue", description="Colour of the shed")\n'
    settings.write_text(settings.read_text().replace("    # What the service adds.\n", own))
    stale = uv(folder, "run", "pytest", "--quiet", "tests/test_documents.py")
    assert stale.returncode == 1
    assert "run `uv run doit docs`" in stale.stdout
    assert uv(folder, "run", "doit", "docs").returncode == 0
    assert "# Colour of the shed. Default: blue.\n# COLOUR=blue\n" in (folder / ".env.example").read_text()
    assert "| `COLOUR` | Colour of the shed | `blue` |" in (folder / "docs" / "configuration.md").read_text()


def test_example_is_gone_in_one_step(project: Project) -> None:
    folder = project()
    for path in folder.rglob("*item*"):
        path.unlink()
    assert passed(uv(folder, "run", "pytest", "--quiet", "tests/test_app.py", "tests/test_server.py")) > 5


def test_missing_lock_is_one_sentence(project: Project) -> None:
    folder = project(preset="minimal")
    assert uv(folder, "sync", "--quiet").returncode == 0
    (folder / "uv.lock").unlink()
    environment = clean_environment()
    environment["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
    command = [str(folder / ".venv" / "bin" / "doit"), "image"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "There is no uv.lock".lower() in (done.stdout + done.stderr).lower()
    assert "Traceback" not in done.stderr


def test_doctor_tells_what_is_here(project: Project) -> None:
    done = uv(project(preset="minimal"), "run", "doit", "doctor")
    assert done.returncode == 0, done.stderr
    assert f"Python                  {'.'.join(map(str, sys.version_info[:2]))}" in done.stdout
    assert "uv.lock                 up to date" in done.stdout
