"""Updates: an updated project equals a fresh one, and what the user wrote survives. Nothing asks for trust."""

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.coverage import SAMPLE, WALKS
from tests.covering import as_answers, covering
from tests.edits import EDITS, Edit, make, named
from tests.releases import is_shallow, releases
from tests.shell import ROOT, commit, differing, files
from tests.updates import HERE, Cell, cells, losses, sample, start, stored, update

Project = Callable[..., Path]
Render = Callable[..., Path]
NEEDS_HISTORY = pytest.mark.skipif(is_shallow(), reason="a shallow clone has no history: git fetch --unshallow")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        seed, whole = metafunc.config.getoption("--seed"), metafunc.config.getoption("--whole")
        chosen = cells(seed, WALKS) if whole else sample(seed, SAMPLE)
        first, *others = chosen
        marked = [first, *(pytest.param(cell, marks=pytest.mark.slow) for cell in others)]
        metafunc.parametrize("cell", marked, ids=[cell.id for cell in chosen])


def edit(project: Path) -> list[Edit]:
    """Make every edit of the catalogue that is possible, and return those."""
    possible = make(project, EDITS)
    commit(project, "feat: ours")
    return possible


def test_updated_project_equals_a_fresh_one_with_the_same_edits(
    template: Path, render: Render, tmp_path: Path, cell: Cell
) -> None:
    project, fresh = tmp_path / "project", tmp_path / "fresh"
    start(template, project, cell.version, cell.before)
    commit(project)
    rendered = files(project)
    edits = edit(project) if cell.edited else []
    before = files(project)
    assert update(project, **cell.after) == []
    assert cell.after.items() <= stored(project).items()
    shutil.copytree(render(**stored(project)), fresh)
    possible = make(fresh, edits)
    impossible = [each for each in edits if each not in possible]
    own = {name for each in impossible for name in each.files}
    # Part of the example that came with the new answers.
    own |= {named(project, name) for each in edits for name in each.deleted_too} - rendered.keys()
    left, right = files(project), files(fresh)
    assert differing(left, right) <= own
    # What goes along with a choice that is switched off is edits in files of it, and goes loudly.
    gone = {name for each in impossible for name in each.losses(project)}
    assert not gone & right.keys()
    said = losses(project)
    assert {name for name in left | before if f"  {name}\n" in said} == gone


@pytest.mark.slow
def test_any_walk_over_answers_ends_where_a_fresh_rendering_does(
    template: Path, render: Render, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311 - it is to be repeated
    steps = [as_answers(row | {"package": "orders"}) for row in draw.sample(covering(3), 4)]
    project = tmp_path / "project"
    start(template, project, draw.choice([*releases(), HERE]), steps[0])
    for step in steps[1:]:
        commit(project, "chore: update")
        assert update(project, **step) == []
        assert files(project) == files(render(**stored(project)))


@pytest.mark.slow
def test_there_and_back_is_where_it_began(project: Project) -> None:
    folder = project()
    before = files(folder)
    there: dict[str, Any] = {"observability": [], "example": "none", "deploy": "none", "license": "BSD-3-Clause"}
    back = {name: stored(folder)[name] for name in there}
    update(folder, **there)
    assert files(folder).keys() < before.keys()
    commit(folder, "chore: update")
    update(folder, **back)
    assert files(folder) == before


def test_own_edit_of_a_line_that_changes_is_a_readable_conflict(project: Project) -> None:
    folder = project()
    page = folder / "README.md"
    page.write_text(page.read_text().replace("A production service\n", "Ours, and the best\n"))
    commit(folder, "docs: describe it")
    assert update(folder, description="Takes orders") == ["README.md"]
    conflict = "<<<<<<< before updating\nOurs, and the best\n=======\nTakes orders\n>>>>>>> after updating\n"
    assert conflict in page.read_text()
    assert losses(folder) == "The update left conflicts, resolve them as after a merge:\n  README.md\n"


@pytest.mark.slow
def test_own_file_where_the_template_adds_one_is_a_conflict(project: Project) -> None:
    folder = project(observability=[])
    module = folder / "src" / "my_service" / "integrations" / "prometheus.py"
    module.write_text('"""Ours."""\n')
    commit(folder, "feat: metrics of our own")
    assert module.relative_to(folder).as_posix() in update(folder, observability=["prometheus"])
    assert '"""Ours."""\n' in module.read_text()


@pytest.mark.slow
def test_package_is_not_renamed_by_an_update(project: Project) -> None:
    folder = project()
    before = files(folder)
    with pytest.raises(ValueError, match="An update cannot rename the package my_service"):
        update(folder, package="orders")
    assert files(folder) == before
    assert update(folder, package="my_service") == []


def test_package_renamed_by_hand_as_the_page_says_updates(project: Project, render: Render) -> None:
    folder = project()
    edits = edit(folder)
    page = (ROOT / "docs" / "update.md").read_text().partition("\n## Rename the package\n")[2].partition("\n## ")[0]
    commands = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    assert len(commands) == 3
    subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(commands)], cwd=folder, check=True, capture_output=True)
    assert update(folder, license="Apache-2.0") == []
    assert not [each.name for each in edits if each.losses(folder)]
    assert losses(folder) == ""
    assert files(folder).keys() >= files(render(package="orders", example="none")).keys()


@NEEDS_HISTORY
def test_every_version_is_in_the_matrix() -> None:
    found = releases()
    assert "0.1.0" in found
    assert {cell.version for cell in sample(1, SAMPLE)} == {*found, HERE}


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
