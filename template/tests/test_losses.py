"""What an update takes away of your lines is named; what it may take away is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "find_losses.py"
WHO = {f"GIT_{role}_{part}": "somebody@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
# Neither a hook of git, whose variables name another repository, nor the settings of whoever runs this.
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
ENVIRONMENT = INHERITED | WHO | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def run(folder: Path, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = ENVIRONMENT | environment
    return subprocess.run(command, cwd=folder, env=variables, check=check, capture_output=True, text=True)  # noqa: S603 - git and our script


def git(folder: Path, *arguments: str) -> None:
    run(folder, "git", *arguments)


def write(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        (folder / name).write_text(text)


def commit(folder: Path, *options: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--allow-empty", "--message=a change", *options)


def found(folder: Path, **environment: str) -> str:
    """Return what the script says; it fails if it says anything."""
    done = run(folder, sys.executable, str(SCRIPT), check=False, **environment)
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


def work_before_the_update(project: Path, **contents: str) -> None:
    """Commit more work of yours, and begin the update again."""
    git(project, "checkout", "--", ".copier-answers.yml")
    write(project, **contents)
    commit(project)
    write(project, **{".copier-answers.yml": "_commit: v2\n"})


@pytest.mark.parametrize("committed", [True, False])
def test_deleted_file_with_your_lines_is_named(project: Path, committed: bool) -> None:
    (project / "removed").unlink()
    if committed:
        commit(project)
    assert "  removed\n    yours\n" in found(project)
    assert "kept" not in found(project)
    assert "more lines" not in found(project)


def test_staged_update_is_looked_at(project: Path) -> None:
    git(project, "rm", "--quiet", "removed")
    git(project, "add", "--all")
    assert "  removed\n    yours\n" in found(project)


def test_line_that_another_file_has_as_well_is_not_taken_for_yours(project: Path) -> None:
    work_before_the_update(project, removed="theirs\nyours\ntheirs\n")
    write(project, removed="yours\n")
    assert found(project) == ""


def test_line_that_you_indented_stays_the_templates(project: Path) -> None:
    work_before_the_update(project, kept="    theirs\nyours too\n")
    write(project, kept="yours too\n")
    assert found(project) == ""


@pytest.mark.parametrize(("theirs", "lost"), [("pin@2.0 # v2", False), ("pin@1.9 # v1", True), ("gone", True)])
def test_version_that_you_raised_may_be_raised_further(project: Path, theirs: str, lost: bool) -> None:
    work_before_the_update(project, kept="theirs\nyours too\npin@1.10 # v1\n")
    write(project, kept=f"theirs\nyours too\n{theirs}\n")
    assert ("  kept\n    pin@1.10 # v1\n" in found(project)) == lost


def test_git_that_fails_is_not_taken_for_no_loss(project: Path) -> None:
    (project / "removed").unlink()
    git(project, "config", "diff.renameLimit", "nonsense")
    assert found(project).startswith("git diff failed: ")


def test_hook_of_git_is_no_obstacle(project: Path) -> None:
    (project / "removed").unlink()
    assert "  removed\n    yours\n" in found(project, GIT_DIR="elsewhere", GIT_INDEX_FILE="elsewhere")


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
    work_before_the_update(project, removed="theirs\n}\n" + "".join(f"mine {number}\n" for number in range(5)))
    write(project, removed="theirs\n")
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
    work_before_the_update(project, **{"uv.lock": "package 1\n"})
    write(project, **{"uv.lock": "package 2\n"})
    assert found(project) == ""


@pytest.mark.parametrize("said", ["Dropped: removed", "dropped: *", "Dropped: rem*\n\n* and a squash merge goes on"])
def test_losses_that_are_meant_are_said_in_a_trailer(project: Path, said: str) -> None:
    (project / "removed").unlink()
    commit(project, f"--message={said}")
    assert found(project) == ""


@pytest.mark.parametrize("committed", [True, False])
def test_advice_followed_to_the_letter_settles_it(project: Path, committed: bool) -> None:
    (project / "removed").unlink()
    write(project, kept="theirs\n")
    if committed:
        commit(project)
    advice = found(project).splitlines()[-1]
    run(project, "sh", "-c", advice)
    assert found(project) == ""


def test_merge_of_an_update_is_not_another_one(project: Path) -> None:
    git(project, "checkout", "-b", "update")
    (project / "removed").unlink()
    commit(project, "--trailer=Dropped: removed")
    git(project, "checkout", "main")
    write(project, own="yours\n")
    commit(project)
    git(project, "merge", "--no-commit", "--no-ff", "update")
    assert found(project) == ""
    commit(project)
    assert found(project) == ""


def test_losses_of_updates_in_a_row_are_all_named(project: Path) -> None:
    (project / "removed").unlink()
    commit(project)
    write(project, **{".copier-answers.yml": "_commit: v3\n", "kept": "theirs\n"})
    commit(project)
    said = found(project)
    assert "  removed\n    yours\n" in said
    assert "  kept\n    yours too\n" in said


def test_conflict_that_was_resolved_for_the_wrong_side_is_named(project: Path) -> None:
    write(project, kept="<<<<<<< before updating\nyours too\n=======\nnewer\n>>>>>>> after updating\n")
    commit(project)
    write(project, kept="newer\n")
    commit(project)
    assert "  kept\n    yours too\n" in found(project)


def test_what_was_dropped_in_an_earlier_update_is_not_excused_in_this_one(project: Path) -> None:
    commit(project, "--trailer=Dropped: removed")
    write(project, **{".copier-answers.yml": "_commit: v3\n"})
    (project / "removed").unlink()
    assert "  removed\n    yours\n" in found(project)


def test_conflicts_are_named(project: Path) -> None:
    write(project, geändert="<<<<<<< before updating\r\nyours\r\n=======\r\ntheirs\r\n>>>>>>> after updating\r\n")
    commit(project)
    git(project, "config", "color.ui", "always")
    assert found(project) == "The update left conflicts, resolve them as after a merge:\n  geändert\n"


def test_shallow_clone_says_what_is_missing(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(project)
    clone = tmp_path_factory.mktemp("clones") / "shallow"
    git(project, "clone", "--depth=1", project.as_uri(), str(clone))
    assert "git fetch --unshallow" in found(clone)


@pytest.mark.parametrize("is_repository", [True, False])
def test_project_without_history_has_lost_nothing(tmp_path: Path, is_repository: bool) -> None:
    write(tmp_path, **{".copier-answers.yml": "_commit: v1\n"})
    if is_repository:
        git(tmp_path, "init")
    assert found(tmp_path) == ""
