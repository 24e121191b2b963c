"""Updates: an updated project equals a fresh one, and what the user wrote survives. Nothing asks for trust."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.conftest import ROOT, Render, commit, files, git

Project = Callable[..., Path]
RELEASE = "release: v"


def releases() -> dict[str, str]:
    """Return the released versions and their commits, from the history of this repository."""
    log = git(ROOT, "log", "--reverse", "--format=%H %s").splitlines()
    found = (line.split(" ", 1) for line in log)
    return {subject.removeprefix(RELEASE): sha for sha, subject in found if subject.startswith(RELEASE)}


def is_shallow() -> bool:
    return git(ROOT, "rev-parse", "--is-shallow-repository") == "true"


def update(project: Path, **answers: Any) -> None:
    """Update a project without trust; nothing may be left in conflict."""
    copier.run_update(str(project), answers, defaults=True, overwrite=True, quiet=True, unsafe=False)
    assert not git(project, "diff", "--name-only", "--diff-filter=U")
    assert not list(project.rglob("*.rej"))


TOGGLES: list[dict[str, Any]] = [
    {},
    {"observability": []},
    {"example": "none"},
    {"deploy": "none"},
    {"license": "BSD-3-Clause", "python": "3.12"},
    {"description": "Something else", "author_name": "Somebody", "cpu_limit": "none"},
]


@pytest.mark.parametrize(
    "answers", [*TOGGLES[:1], *(pytest.param(later, marks=pytest.mark.slow) for later in TOGGLES[1:])], ids=str
)
def test_updated_project_equals_a_fresh_one_there_and_back(
    project: Project, render: Render, answers: dict[str, Any]
) -> None:
    folder = project()
    before = files(folder)
    update(folder, **answers)
    assert files(folder) == files(render(**answers))
    commit(folder, "chore: update")
    back = {name: value for name, value in copier_answers(render()).items() if name in answers}
    update(folder, **back)
    assert files(folder) == before


def copier_answers(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return loaded


def test_what_the_user_wrote_survives(project: Project) -> None:
    folder = project()
    own = "# What the service adds.\n"
    edits = {
        "pyproject.toml": (f"    {own}]\n\n[project.urls]", f'    {own}    "httpx-sse>=0.4",\n]\n\n[project.urls]'),
        "src/my_service/settings.py": (f"    {own}", f'    {own}    colour: str = "blue"\n'),
        "src/my_service/app.py": (f"    {own}    app.include", f"    {own}    app.state.mine = 1\n    app.include"),
        "dodo.py": (own, f"{own}\n\ndef task_mine() -> Task:\n    return {{}}\n"),
        "README.md": ("## Licence", "## Ours\n\nText.\n\n## Licence"),
    }
    for name, (old, new) in edits.items():
        text = (folder / name).read_text()
        assert old in text, name
        (folder / name).write_text(text.replace(old, new))
    (folder / "src/my_service/api/orders.py").write_text('"""Ours."""\n')
    (folder / "src/my_service/api/items.py").unlink()
    commit(folder, "feat: ours")
    update(folder, observability=[], license="Apache-2.0", python="3.12")
    for name, (_, new) in edits.items():
        assert new in (folder / name).read_text(), name
    assert (folder / "src/my_service/api/orders.py").is_file()
    assert not (folder / "src/my_service/api/items.py").exists()
    assert not (folder / "src/my_service/integrations/prometheus.py").exists()


@pytest.mark.skipif(is_shallow(), reason="a shallow clone has no history: released versions cannot be tested")
def test_every_released_version_updates_to_this_one(template: Path, tmp_path: Path, render: Render) -> None:
    found = releases()
    if not found:
        pytest.skip("nothing is released yet: no commit says `release: vX.Y.Z`")
    source = tmp_path / "template"
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(template), str(source))
    git(source, "fetch", "--quiet", str(ROOT), "HEAD")
    for version, sha in found.items():
        git(source, "tag", "--force", f"v{version}", sha)
        folder = tmp_path / version
        copier.run_copy(str(source), folder, {}, defaults=True, quiet=True, unsafe=False, vcs_ref=f"v{version}")
        commit(folder)
        update(folder)
        ours = {name: text for name, text in files(folder).items() if name != ".copier-answers.yml"}
        fresh = {name: text for name, text in files(render()).items() if name != ".copier-answers.yml"}
        assert ours == fresh


@pytest.mark.parametrize("mistake", ["dirty", "no git"])
def test_project_that_cannot_be_updated_is_left_alone(project: Project, mistake: str) -> None:
    folder = project()
    if mistake == "dirty":
        (folder / "README.md").write_text("mine\n")
    else:
        shutil.rmtree(folder / ".git")
    before = files(folder)
    done = subprocess.run(
        ["copier", "update", "--defaults", "--skip-answered"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert files(folder) == before
