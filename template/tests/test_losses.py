"""What an update takes away of your lines is named; what it may take away is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "find_losses.py"
WHO = {f"GIT_{role}_{part}": "somebody@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
# Within a hook of git, its variables name another repository.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | WHO


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "commit.gpgSign=false", *arguments]
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)  # noqa: S603 - our own


def write(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        (folder / name).write_text(text)


def commit(folder: Path, *options: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--allow-empty", "--message=a change", *options)


def found(folder: Path) -> str:
    """Return what the script says; it fails if it says anything."""
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert bool(done.stderr) == (done.returncode == 1)
    return done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a line of yours in each of two files, which an update is about to change."""
    git(tmp_path, "init", "--initial-branch=main")
    write(tmp_path, **{".copier-answers.yml": "_commit: v1\n", "kept": "theirs\n", "removed": "theirs\n"})
    commit(tmp_path)
    write(tmp_path, kept="theirs\n    yours too\n", removed="theirs\nyours\n")
    commit(tmp_path)
    write(tmp_path, **{".copier-answers.yml": "_commit: v2\n"})
    return tmp_path


@pytest.mark.parametrize("committed", [True, False])
def test_deleted_file_with_your_lines_is_named(project: Path, committed: bool) -> None:
    (project / "removed").unlink()
    if committed:
        commit(project)
    assert "  removed\n    yours\n" in found(project)
    assert "kept" not in found(project)


def test_settings_of_git_do_not_matter(project: Path) -> None:
    (project / "removed").unlink()
    commit(project)
    for name, value in {"color.ui": "always", "log.showSignature": "true"}.items():
        git(project, "config", name, value)
    assert "  removed\n    yours\n" in found(project)


def test_git_that_fails_is_not_taken_for_no_loss(project: Path) -> None:
    (project / "removed").unlink()
    commit(project)
    git(project, "config", "blame.ignoreRevsFile", "no-such-file")
    assert found(project).startswith("git blame failed: ")


def test_folder_of_a_larger_repository_is_looked_at_alone(project: Path) -> None:
    (project / "services").mkdir()
    for name in (".copier-answers.yml", "kept", "removed"):
        git(project, "mv", name, f"services/{name}")
    commit(project)
    write(project / "services", **{".copier-answers.yml": "_commit: v3\n", "kept": "theirs\n"})
    assert "  kept\n    yours too\n" in found(project / "services")
    assert found(project) == ""


def test_reverted_line_is_named(project: Path) -> None:
    write(project, kept="theirs, newer\n")
    commit(project)
    assert "  kept\n    yours too\n" in found(project)


def test_lines_of_the_template_may_go(project: Path) -> None:
    write(project, kept="theirs, newer\nyours too\n", removed="yours\n")
    commit(project)
    assert found(project) == ""


def test_line_that_moved_or_came_back_is_not_lost(project: Path) -> None:
    (project / "removed").rename(project / "renamed")
    write(project, kept="theirs\n")
    commit(project)
    write(project, kept="theirs\nyours too\n")
    assert found(project) == ""


def test_what_you_delete_yourself_is_not_lost(project: Path) -> None:
    commit(project)
    (project / "removed").unlink()
    commit(project)
    assert found(project) == ""


def test_losses_that_are_meant_are_said_in_a_trailer(project: Path) -> None:
    (project / "removed").unlink()
    commit(project, "--trailer=Dropped: removed")
    assert found(project) == ""


def test_conflicts_are_named(project: Path) -> None:
    write(project, kept="<<<<<<< before updating\nyours\n=======\ntheirs\n>>>>>>> after updating\n")
    commit(project)
    assert "  kept\n" in found(project)


def test_shallow_clone_says_what_is_missing(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(project)
    clone = tmp_path_factory.mktemp("clones") / "shallow"
    git(project, "clone", "--depth=1", project.as_uri(), str(clone))
    assert "git fetch --unshallow" in found(clone)


def test_project_without_history_has_lost_nothing(tmp_path: Path) -> None:
    assert found(tmp_path) == ""
