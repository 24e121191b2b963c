"""Existing projects can rely on what the last release promised, or the changelog tells them otherwise."""

from pathlib import Path

import pytest

from tests import promises
from tests.planting import about, plant
from tests.releases import is_shallow, releases


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the last release, unpacked."""
    if is_shallow():
        pytest.skip("a shallow clone has no history: nothing can be compared with the last release")
    if not releases():
        pytest.skip("nothing is released yet: no commit says `release: vX.Y.Z`")
    return promises.last_release(tmp_path_factory.mktemp("release"))


def say(root: Path, release: Path, entry: str) -> None:
    """Write the entry of the version in the making."""
    (root / "CHANGELOG.md").write_text(f"# Changelog\n\n{entry}\n\n## {release.name}\n\n`dodo.py` `updates`\n")


def test_our_changelog_names_what_changes_existing_projects(root: Path, release: Path) -> None:
    assert promises.paths_without_a_note(root, release) == []
    assert promises.questions_without_a_note(root, release) == []


def test_removed_and_renamed_paths_are_caught_until_the_changelog_names_them(root: Path, release: Path) -> None:
    package = root / "template" / "src" / "{{ package }}"
    (root / "template" / "CHANGELOG.md").unlink()
    (package / "client.py").rename(package / "http_client.py")
    gone = ("CHANGELOG.md", "src/<package>/client.py")
    say(root, release, "## 9.0.0\n\nThe client.py is `http_client.py`.")
    assert about(promises.paths_without_a_note(root, release), *gone) == set(gone)
    say(root, release, "To do when updating: `src/<package>/client.py` was renamed.")
    assert about(promises.paths_without_a_note(root, release), *gone) == {"CHANGELOG.md"}
    say(root, release, "To do when updating: `CHANGELOG.md` is gone, and all in `src/<package>/`.")
    assert about(promises.paths_without_a_note(root, release), *gone) == set()
    (root / "CHANGELOG.md").write_text("The last release has no heading: `CHANGELOG.md`, `src/<package>/`")
    assert about(promises.paths_without_a_note(root, release), *gone) == set(gone)


def test_conditions_and_suffixes_rename_no_path(root: Path, release: Path) -> None:
    before = promises.paths_without_a_note(root, release)
    (root / "template" / "CHANGELOG.md").rename(root / "template" / "{% if package %}CHANGELOG.md{% endif %}.jinja")
    assert promises.paths_without_a_note(root, release) == before


def test_questions_that_change_projects_are_caught_until_the_changelog_names_them(root: Path, release: Path) -> None:
    regions = "regions: {type: yaml, default: \"{{ ['eu'] if preset == 'full' else [] }}\"}"
    plant(root, "questions/delivery.yml", r"\Z", f"\n{regions}\nnowhere: {{type: str, default: none}}\n")
    plant(root, "questions/delivery.yml", r"\nupdates:.*?\n\n", "\n")
    plant(root, "questions/delivery.yml", r"cpu_limit:\n  type: str", "cpu_limit:\n  type: yaml")
    plant(root, "questions/project.yml", r"    Apache 2.0: Apache-2.0\n", "")
    plant(root, "questions/project.yml", r'\["3.11", .*?: "3.11"', '["3.12"]\n  default: "3.12"')
    caught = {"regions", "updates", "cpu_limit", "license", "python"}
    say(root, release, "The license and the python change.")
    complaints = promises.questions_without_a_note(root, release)
    assert about(complaints, "nowhere", *caught) == caught
    text = "\n".join(complaints)
    assert "`regions` is new, and an update sets it to ['eu'] in a project of preset `full`" in text
    assert text.count("`regions` is new") == 1
    assert "`python` falls back from '3.11' to '3.12'" in text
    assert "`python` no longer offers `3.11`" in text
    assert "`license` no longer offers `Apache-2.0`" in text
    say(root, release, "`regions`, no `updates`, another `cpu_limit`, no `license` `Apache-2.0`, another `python`")
    assert about(promises.questions_without_a_note(root, release), *caught) == {"python"}


def test_questions_without_a_default_are_caught(root: Path, release: Path) -> None:
    plant(root, "questions/delivery.yml", r"\Z", "\nregion: {type: str}\n")
    (complaint, *_) = promises.questions_without_a_note(root, release)
    assert 'can no longer be updated with --defaults: Question "region" is required' in complaint
