"""Adding an integration is what docs/adding-an-integration.md says, done to the letter: three files and no edit.

Whatever the toy integration consists of is read from the page; its name is written nowhere here.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.shell import ROOT, clean_environment, commit, files, git, uv
from tests.test_extensions import AGGREGATES
from tests.test_projects import passed

PAGE = (ROOT / "docs" / "adding-an-integration.md").read_text(encoding="utf-8")


def indented(text: str) -> list[str]:
    """Return the lines of the first indented block."""
    block = re.search(r"(?:^    .*\n)+", text, re.MULTILINE)
    assert block
    return [line.strip() for line in block[0].splitlines()]


PATHS = [re.split(r" {2,}", line)[0] for line in indented(PAGE)]
FENCED = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = indented(PAGE.partition("\n## Try it\n")[2])
ROW: dict[str, Any] = yaml.safe_load(FENCED[0][1])
OWN = {f"src/my_service/integrations/{ROW['name']}.py", f"tests/integrations/test_{ROW['name']}.py"}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with what is here, committed and tagged 1.0.0; without the toy, if it was tried out here."""
    folder = tmp_path_factory.mktemp("adding") / "slipway"
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name not in PATHS and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    commit(folder)
    git(folder, "tag", "1.0.0")
    return folder


@pytest.fixture
def clone(before: Path, tmp_path: Path) -> Path:
    """Return a clone in which somebody followed the page as far as its files go."""
    folder = tmp_path / "slipway"
    git(tmp_path, "clone", "--quiet", str(before), str(folder))
    for path, (_, contents) in zip(PATHS, FENCED, strict=True):
        (folder / path).write_text(contents, encoding="utf-8")
    return folder


def changes(folder: Path) -> tuple[set[str], set[str]]:
    """Return the new files, and those that are changed."""
    new = git(folder, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    return set(new) - {""}, set(git(folder, "diff", "--name-only").splitlines())


def rendered(template: Path, folder: Path, ref: str, **answers: Any) -> dict[str, bytes]:
    """Render without trust, and return the files; of the stored answers only what was answered."""
    copier.run_copy(str(template), folder, answers, defaults=True, quiet=True, unsafe=False, vcs_ref=ref)
    found = files(folder)
    stored = found[".copier-answers.yml"].decode()
    found[".copier-answers.yml"] = re.sub(r"^_(commit|src_path): .*\n", "", stored, flags=re.MULTILINE).encode()
    return found


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this Python in a folder."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_three_new_files_are_found_and_pass_our_tests(clone: Path) -> None:
    assert [language for language, _ in FENCED] == ["yaml", "python", "python"]
    assert changes(clone) == (set(PATHS), set())
    assert python(clone, *shlex.split(COMMANDS[0].removeprefix("uv run "))).returncode == 0
    assert changes(clone)[0] == set(PATHS)
    assert changes(clone)[1] <= {"docs/reference.md"}, "generated, not edited"
    done = python(clone, "pytest", "--verbose", "tests/test_extensions.py")
    assert passed(done) > 10
    of_each_row = (clone / "tests" / "test_extensions.py").read_text().count("\n@ROWS\n")
    assert done.stdout.count(f"[{ROW['name']}] PASSED") == of_each_row > 3


def test_row_that_nobody_chose_changes_nothing(clone: Path, tmp_path: Path) -> None:
    old = rendered(clone, tmp_path / "old", "1.0.0")
    commit(tmp_path / "old")
    commit(clone, "feat: toy")
    git(clone, "tag", "1.1.0")
    assert rendered(clone, tmp_path / "new", "1.1.0") == old
    copier.run_update(str(tmp_path / "old"), defaults=True, overwrite=True, quiet=True, unsafe=False)
    assert changes(tmp_path / "old") == (set(), {".copier-answers.yml"})
    assert files(tmp_path / "old") == files(tmp_path / "new")


def test_preset_that_takes_it_gets_it_and_nothing_else(clone: Path, tmp_path: Path) -> None:
    assert ROW["presets"] == ["full"]
    commit(clone, "feat: toy")
    old = rendered(clone, tmp_path / "old", "1.0.0", preset="full")
    new = rendered(clone, tmp_path / "new", "HEAD", preset="full")
    assert new.keys() - old.keys() == OWN
    assert {name for name in old if old[name] != new.get(name)} <= AGGREGATES


def test_queue_that_is_added_is_one_to_choose(clone: Path, tmp_path: Path) -> None:
    row = (clone / PATHS[0]).read_text()
    assert f"\nkind: {ROW['kind']}\n" in row
    (clone / PATHS[0]).write_text(row.replace(f"\nkind: {ROW['kind']}\n", "\nkind: queue\n"))
    commit(clone, "feat: toy")
    assert rendered(clone, tmp_path / "new", "HEAD", preset="worker", queue=ROW["name"]).keys() >= OWN
    for arguments in (["check"], ["format", "--check"]):
        done = python(tmp_path / "new", "ruff", *arguments, "--no-cache")
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_service_made_by_the_pages_commands_passes_its_own_gate(clone: Path) -> None:
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(COMMANDS)]
    environment = clean_environment(COPIER_SETTINGS_PATH=os.environ["COPIER_SETTINGS_PATH"])
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert passed(done) > 130
    (service,) = clone.parent.glob(f"{ROW['name']}-service")
    assert passed(uv(service, "run", "pytest", "--quiet", f"tests/integrations/test_{ROW['name']}.py")) > 0
