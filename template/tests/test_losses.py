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
    assert "more lines" not in found(project)


def test_git_that_fails_is_not_taken_for_no_loss(project: Path) -> None:
    (project / "removed").unlink()
    commit(project)
    git(project, "config", "blame.ignoreRevsFile", "no-such-file")
    assert found(project).startswith("git blame failed: ")


def test_project_that_moved_within_its_repository_keeps_its_history(project: Path) -> None:
    (project / "service").mkdir()
    for name in (".copier-answers.yml", "kept", "removed"):
        git(project, "mv", name, f"service/{name}")
    commit(project)
    write(project / "service", **{".copier-answers.yml": "_commit: v3\n", "kept": "newer\n", "removed": "yours\n"})
    said = found(project / "service")
    assert "  kept\n    yours too\n" in said
    assert "removed" not in said
    assert found(project) == ""


def test_file_that_the_update_renamed_and_cut_is_named(project: Path) -> None:
    template = "".join(f"line {number}\n" for number in range(20))
    git(project, "checkout", "--", ".copier-answers.yml")
    write(project, **{".copier-answers.yml": "_commit: v1.1\n", "long": template})
    commit(project)
    write(project, long=f"{template}mine\n")
    commit(project)
    (project / "long").rename(project / "longer")
    write(project, **{".copier-answers.yml": "_commit: v2\n", "longer": template})
    commit(project)
    assert "  long\n    mine\n" in found(project)


def test_long_losses_are_shortened(project: Path) -> None:
    git(project, "checkout", "--", ".copier-answers.yml")
    write(project, removed="theirs\n}\n" + "".join(f"mine {number}\n" for number in range(5)))
    commit(project)
    write(project, **{".copier-answers.yml": "_commit: v2\n", "removed": "theirs\n"})
    assert "  removed\n    mine 0\n    mine 1\n    mine 2\n    and 2 more lines\n" in found(project)


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
    write(project, kept="theirs, newer\nyours too\n")
    commit(project)
    (project / "removed").unlink()
    write(project, kept="theirs, newer\n")
    commit(project)
    assert found(project) == ""


def test_lock_is_nobodys(project: Path) -> None:
    git(project, "checkout", "--", ".copier-answers.yml")
    write(project, **{"uv.lock": "package 1\n"})
    commit(project)
    write(project, **{".copier-answers.yml": "_commit: v2\n", "uv.lock": "package 2\n"})
    assert found(project) == ""


def test_losses_that_are_meant_are_said_in_a_trailer(project: Path) -> None:
    (project / "removed").unlink()
    commit(project, "--trailer=Dropped: removed")
    assert found(project) == ""


def test_what_was_dropped_in_an_earlier_update_is_not_excused_in_this_one(project: Path) -> None:
    commit(project, "--trailer=Dropped: removed")
    write(project, **{".copier-answers.yml": "_commit: v3\n"})
    (project / "removed").unlink()
    assert "  removed\n    yours\n" in found(project)


def test_conflicts_are_named(project: Path) -> None:
    write(project, geändert="<<<<<<< before updating\nyours\n=======\ntheirs\n>>>>>>> after updating\n")
    commit(project)
    git(project, "config", "color.ui", "always")
    assert found(project) == "The update left conflicts, resolve them as after a merge:\n  geändert\n"


def test_shallow_clone_says_what_is_missing(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(project)
    clone = tmp_path_factory.mktemp("clones") / "shallow"
    git(project, "clone", "--depth=1", project.as_uri(), str(clone))
    assert "git fetch --unshallow" in found(clone)


def test_project_without_history_has_lost_nothing(tmp_path: Path) -> None:
    assert found(tmp_path) == ""
