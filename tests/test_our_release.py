"""The template is released by a tag, which Copier takes; what is not ready is refused in one sentence."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import copier
import pytest
import yaml

from tests.releases import is_shallow
from tests.shell import ROOT, clean_environment, commit, files, git

pytestmark = pytest.mark.skipif(is_shallow(), reason="a shallow clone has no history: git fetch --unshallow")
Done = subprocess.CompletedProcess[str]
ENTRY = "\n## 98.0.0\n\nA great step.\n\nTo do when updating: nothing.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of this repository as it stands, with an entry for the next version, and an origin of its own."""
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--bare", str(ROOT), str(origin))
    git(origin, "update-ref", "refs/heads/main", "HEAD")
    git(origin, "symbolic-ref", "HEAD", "refs/heads/main")
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    for name in git(
        ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "release.py", "template/scripts", "CHANGELOG.md"
    ).splitlines():
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    write(clone, ENTRY)
    push(clone)
    return clone


def write(clone: Path, entry: str) -> None:
    """Put an entry above those of the changelog."""
    page = clone / "CHANGELOG.md"
    page.write_text(page.read_text().replace("\n## ", f"{entry}\n## ", 1))


def push(clone: Path) -> None:
    """Commit what is there, and push it."""
    commit(clone, "docs: what is next")
    git(clone, "push", "--quiet", "origin", "main")


def release(clone: Path, *arguments: str) -> Done:
    """Run the release of a clone, without the tests, which would be these."""
    command = [sys.executable, "release.py", "--skip-tests", *arguments]
    return subprocess.run(command, cwd=clone, env=clean_environment(), capture_output=True, text=True, check=False)


def test_release_is_what_copier_takes(repository: Path, tmp_path: Path) -> None:
    assert release(repository, "--dry-run").stdout.endswith("This would be released as v98.0.0.\n")
    assert git(repository, "tag") == git(tmp_path / "origin.git", "tag")
    done = release(repository)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Released v98.0.0."), done.stderr
    origin = tmp_path / "origin.git"
    assert git(origin, "log", "-1", "--format=%s", "v98.0.0") == "release: v98.0.0"
    assert git(origin, "rev-parse", "main") == git(origin, "rev-parse", "v98.0.0^{commit}")
    assert "A great step." in git(repository, "for-each-ref", "--format=%(contents)", "refs/tags/v98.0.0")
    project = tmp_path / "project"
    copier.run_copy(origin.as_uri(), project, {"preset": "minimal"}, defaults=True, quiet=True, unsafe=False)
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["_commit"] == "v98.0.0"
    assert len(files(project)) > 50
    again = release(repository)
    assert again.stderr == "No release: 98.0.0 is released: CHANGELOG.md has no entry for what came since.\n"


def unnamed(clone: Path) -> None:
    write(clone, "\n## Unreleased\n\nMore.\n")
    push(clone)


def silent(clone: Path) -> None:
    write(clone, "\n## 99.0.0\n\nMore.\n")
    push(clone)


def dirty(clone: Path) -> None:
    (clone / "README.md").write_text("# Ours\n")


def on_a_branch(clone: Path) -> None:
    git(clone, "switch", "--quiet", "--create", "topic")


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (unnamed, "The topmost entry of CHANGELOG.md has to be called like the version: `## 1.2.3`."),
        (silent, "The entry for 99.0.0 does not say what an updating project has to do."),
        (dirty, "1 files are not committed, such as README.md: commit first."),
        (on_a_branch, "This is topic, and releases are made from main."),
    ],
)
def test_refusal_is_one_sentence(repository: Path, mistake: Callable[[Path], None], said: str) -> None:
    mistake(repository)
    before = git(repository, "for-each-ref")
    done = release(repository)
    assert (done.returncode, done.stderr) == (1, f"No release: {said}\n")
    assert git(repository, "for-each-ref") == before
