"""Mistakes that break existing projects are not in this template, and would be caught by name."""

import shutil
from datetime import datetime
from pathlib import Path

import copier
import pytest
from copier.errors import UnsafeTemplateError

from tests import guards
from tests.conftest import Render
from tests.planting import about, plant
from tests.shell import ROOT


def test_our_template_has_none_of_them(root: Path) -> None:
    assert guards.code_that_runs(root) == []
    assert guards.varying_answers_of_the_clock(root) == []


@pytest.mark.parametrize(
    ("name", "planted", "caught"),
    [
        ("copier.yml", "_tasks: [echo]", "_tasks"),
        ("questions/project.yml", "_jinja_extensions: [jinja2.ext.do]", "_jinja_extensions"),
        ("questions/project.yml", "_migrations: [{version: 1.0.0, command: echo}]", "_migrations"),
        ("copier.yml", "_external_data: {other: ../other.yml}", "_external_data"),
        ("copier.yml", "_external_data: {other: /etc/passwd}", "_external_data"),
        ("copier.yml", "_external_data: {other: '{{ package }}'}", "_external_data"),
        ("copier.yml", "_exclude: [\"{% if deploy == 'none' %}kubernetes{% endif %}\"]", "_exclude"),
        ("questions/project.yml", "_skip_if_exists: ['{{ package }}.md']", "_skip_if_exists"),
    ],
    ids=str,
)
def test_settings_that_run_code_or_break_updates_are_caught(root: Path, name: str, planted: str, caught: str) -> None:
    plant(root, name, r"\Z", f"\n---\n{planted}\n")
    complaints = guards.code_that_runs(root)
    assert len(complaints) == 1
    assert about(complaints, caught)
    if caught in {"_tasks", "_jinja_extensions"}:
        with pytest.raises(UnsafeTemplateError, match=caught[1:]):
            copier.run_copy(str(root), root / "refused", defaults=True, quiet=True, unsafe=False)


def test_no_rendered_file_is_ignored(render: Render) -> None:
    assert guards.ignored_files(render()) == []
    assert guards.ignored_files(render(preset="minimal")) == []


def test_ignored_files_are_caught(tmp_path: Path) -> None:
    (tmp_path / "src" / "dist").mkdir(parents=True)
    shutil.copy(ROOT / "template" / ".gitignore", tmp_path)
    for name in ("src/dist/a é.txt", "src/.env", "uv.lock", "src/dist.py"):
        (tmp_path / name).touch()
    caught = {"src/dist/a é.txt", "src/.env", "uv.lock"}
    complaints = guards.ignored_files(tmp_path)
    assert len(complaints) == len(caught)
    assert about(complaints, *caught) == caught


def test_what_varies_is_caught_in_files_paths_and_questions(root: Path) -> None:
    planted = {
        "strftime": "{{ '%Y' | strftime }}",
        "ans_random": "{{ 100 | ans_random }}",
        "shuffle": "{{ [[1, 2]] | map('shuffle') | list }}",
        "now": "{{ ('2020-01-01 00:00:00' | to_datetime).now() }}",
        "lipsum": "{{ lipsum() }}",
        "existing": "{{ existing }}",
        "_copier_conf": "{{ _copier_conf.os }}",
        "_copier_python": "{% if _copier_python %}{% endif %}",
    }
    for word, jinja in planted.items():
        (root / "template" / f"{word}.md.jinja").write_text(jinja)
    (root / "template" / "{{ 3 | random }}.md").touch()
    plant(root, "questions/delivery.yml", r"\Z", "\nhome: {type: str, default: \"{{ '~' | expanduser }}\"}\n")
    plant(root, "copier.yml", r"_message_after_copy: \|\n", "_message_after_copy: |\n  {{ '%Y' | strftime }}\n")
    found = {complaint.split(" is not")[0] for complaint in guards.varying_answers_of_the_clock(root)}
    assert found == {
        *(f"template/{word}.md.jinja: `{word}`" for word in planted),
        "template/{{ 3 | random }}.md: `random`",
        "questions/delivery.yml home.default: `expanduser`",
    }


def test_what_varies_is_something_that_jinja_offers() -> None:
    assert set(guards.FILTERS) <= guards.JINJA.filters.keys()
    assert all(hasattr(datetime, method) for method in guards.METHODS)


def test_renderings_are_the_same_on_every_machine_and_day(template: Path) -> None:
    assert guards.varying_renderings(template, preset="full") == []


def test_folder_and_date_in_a_rendering_are_caught_by_reading_and_by_rendering(root: Path) -> None:
    shutil.rmtree(root / "template" / "src")
    shutil.rmtree(root / "template" / "tests")
    (root / "template" / "folder.md.jinja").write_text("{{ _folder_name }}")
    (root / "template" / "date.md.jinja").write_text("{{ '%d' | strftime }}")
    assert len(guards.varying_answers_of_the_clock(root)) == 2
    assert about(guards.varying_renderings(root, preset="minimal"), "date.md", "folder.md") == {"date.md", "folder.md"}
