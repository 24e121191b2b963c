"""Conditions and loops: each is rendered both ways, and one that cannot be is found."""

import shutil
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier._jinja_ext import SandboxedEnvironment
from jinja2 import StrictUndefined
from jinja2.exceptions import TemplateError, UndefinedError
from jinja2.sandbox import SandboxedEnvironment as Stock
from jsonschema import validate

from extensions.rows import SCHEMA
from tests import conditions
from tests.answers import HOSTILE, REFUSED, RENDERED
from tests.conftest import TEMPLATE_PATHS, Render
from tests.planting import copy_of
from tests.shell import files

# Rows as there may be, and are not yet: of other kinds, with nothing to them, or with a secret that has no default.
# They follow the schema; what comes of them is only rendered, and has no modules that could run.
ROWS: list[dict[str, Any]] = [
    {"name": "pigeons", "kind": "errors", "help": "Pigeons", "presets": ["worker", "full"], "requires": []},
    {
        "name": "safe",
        "kind": "secrets",
        "help": "A safe",
        "presets": ["full"],
        "requires": ["safe>=1,<2"],
        "egress": [{"port": 443, "to": "internet"}],
        "variables": [
            {"name": "SAFE_KEY", "help": "Key to the safe", "example": "abc", "required": True, "secret": True}
        ],
    },
]


def run_copy(template: Path, folder: Path, answers: dict[str, Any]) -> Path:
    """Render answers to a folder, without trust."""
    copier.run_copy(str(template), folder, answers, defaults=True, quiet=True, unsafe=False)
    return folder


def complaints(root: Path, unreachable: dict[str, str]) -> list[str]:
    """Return each way that never ran and has no excuse, and each excuse for none."""
    never = conditions.missing(root)
    places = {conditions.without_line(sentence) for sentence in never}
    found = [sentence for sentence in never if conditions.without_line(sentence) not in unreachable]
    return found + [f"{key}: not so, take it out of UNREACHABLE" for key in unreachable if key not in places]


def render_everything(render: Render, template: Path, folder: Path) -> None:
    """Render all answers, an existing project again, rows as there may be, and answers that are refused."""
    for answers in RENDERED:
        render(**answers)
    project = str(shutil.copytree(render(), folder / "project"))
    copier.run_recopy(project, defaults=True, overwrite=True, quiet=True)
    with pytest.raises(ValueError, match="cannot rename the package"):
        copier.run_recopy(project, {"package": "another"}, defaults=True, overwrite=True, quiet=True)
    extended = copy_of(template, folder / "template", *TEMPLATE_PATHS)
    for row in ROWS:
        validate(row, SCHEMA)
        (extended / "extensions" / f"{row['name']}.yml").write_text(yaml.safe_dump(row))
    run_copy(extended, folder / "full", {"preset": "full"})
    for answers, _ in REFUSED:
        with pytest.raises((ValueError, TemplateError)):
            run_copy(extended, folder / "refused", answers)


def test_every_condition_and_loop_was_rendered_both_ways(render: Render, template: Path, tmp_path: Path) -> None:
    render_everything(render, template, tmp_path)
    found = complaints(template, conditions.UNREACHABLE)
    assert not found, "\n".join(found)


PLANTED = {
    "template/one.txt.jinja": "{% if package == 'never' %}x{% endif %}\n",
    "template/two.txt.jinja": "{% for row in rows | selectattr('name', 'equalto', 'never') %}\nx\n{% endfor %}\n",
    "template/{% if 'nothing' == package %}x.txt{% endif %}": "",
    "template/{% yield x from chosen | reject %}x{% endyield %}": "",
    "questions/more.jinja": "{% macro more(x) %}{{ 'a' if x else 'b' }}{% endmacro %}",
}


def test_planted_mistakes_are_named(template: Path, tmp_path: Path) -> None:
    root = copy_of(template, tmp_path / "template", *TEMPLATE_PATHS)
    for name, source in PLANTED.items():
        (root / name).write_text(source)
    project = run_copy(root, tmp_path / "project", {})
    assert (project / "two.txt").is_file()
    assert set(conditions.missing(root)) - set(conditions.missing(template)) == {
        "template/one.txt.jinja: `package == 'never'` was never true (line 1)",
        "template/two.txt.jinja: `rows | selectattr('name', 'equalto', 'never')` was never non-empty (line 1)",
        "template/{% if 'nothing' == package %}x.txt{% endif %}: `'nothing' == package` was never true",
        "template/{% yield x from chosen | reject %}x{% endyield %}: `chosen | reject` was never non-empty",
        "questions/more.jinja: `x` was never true",
        "questions/more.jinja: `x` was never false",
    }
    assert conditions.count(root)[1] == conditions.count(template)[1] + 10


def test_excuses_without_a_reason_and_ways_without_an_excuse_are_named(template: Path) -> None:
    said = complaints(template, conditions.UNREACHABLE | {"README.md: `a` was never true": "There is none."})
    assert "README.md: `a` was never true: not so, take it out of UNREACHABLE" in said
    assert any("catalogue | sort" in sentence for sentence in complaints(template, {}))


@pytest.mark.parametrize("answers", [{"preset": "full", **HOSTILE}, {"preset": "minimal"}], ids=["full", "minimal"])
def test_recording_changes_no_byte(
    render: Render, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]
) -> None:
    recorded = files(render(**answers))
    monkeypatch.setattr(conditions, "SEEN", set())
    monkeypatch.setattr(SandboxedEnvironment, "compile", Stock.compile)
    monkeypatch.setattr(SandboxedEnvironment, "_parse", Stock._parse)
    assert files(run_copy(template, tmp_path / "project", answers)) == recorded
    assert not conditions.SEEN


@pytest.mark.parametrize(
    ("source", "gives", "ways"),
    [
        ("{{ (empty or nowhere) is defined }}", "False", {(0, False)}),
        ("{{ 1 if nowhere is defined and nowhere else 2 }}", "2", {(0, False), (1, False)}),
        ("{{ 'x' if 0 else empty or letters | first }}", "a", {(0, False), (1, True)}),
        ("{% for x in letters | map('upper') %}{{ x }}{{ loop.index }} {% endfor %}", "A1 B2 ", {(0, True)}),
        ("{% for x in letters if x == 'b' %}{{ x }}{% endfor %}", "b", {(0, True), (1, True), (1, False)}),
        ("{% for x in letters | reject %}{{ x }}{% else %}none{% endfor %}", "none", {(0, False)}),
        ("{% for x in 'no' %}{{ x if x != 'n' }}{% endfor %}", "o", {(0, True), (1, True), (1, False)}),
        ("{% if nowhere %}{% endif %}", "'nowhere' is undefined", set()),
        ("{% for x in nowhere %}{% endfor %}", "'nowhere' is undefined", set()),
        ("{% for x in number %}{% endfor %}", "'int' object is not iterable", set()),
    ],
)
def test_recording_keeps_what_jinja_does(source: str, gives: str, ways: set[tuple[int, bool]]) -> None:
    for environment in (Stock(undefined=StrictUndefined), SandboxedEnvironment(undefined=StrictUndefined)):
        try:
            said = environment.from_string(source).render(letters=["a", "b"], empty=[], number=5)
        except (UndefinedError, TypeError) as error:
            said = str(error)
        assert said == gives
    assert {(index, way) for seen, index, way in conditions.SEEN if seen == source} == ways
