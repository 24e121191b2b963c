"""Questions: what is asked, what is stored, what is refused, and how kindly."""

import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import meta
from jinja2.exceptions import TemplateError

from extensions.rows import KINDS, choices, questions, rows
from tests import reserved
from tests.answers import REFUSED
from tests.conftest import Render
from tests.covering import TRIED
from tests.guards import JINJA
from tests.shell import ROOT, clean_environment, differing, files
from tests.sources import sources
from tests.updates import toggles

FOR_GOOD = """project_name package description repository author_name author_email license python preset example
database cache queue secrets errors observability deploy publish updates
cpu_request cpu_limit memory_request memory_limit gateway managed_cidr image_pull_secret
availability_objective latency_objective latency_seconds""".split()  # noqa: SIM905 - a list of strings would be four times as long
ASKED = {"project_name", "package", "description", "repository", "author_name", "author_email", "license", "python"}
ASKED |= {"preset", "example", "deploy", "publish", "updates", *(row["kind"] for row in rows())}


def refusal(template: Path, folder: Path, **answers: Any) -> str:
    """Return what Copier says when it refuses the answers."""
    with pytest.raises((ValueError, TemplateError)) as caught:
        copier.run_copy(str(template), folder / "refused", answers, defaults=True, quiet=True, unsafe=False)
    assert not (folder / "refused").exists()
    return str(caught.value)


def test_names_are_for_good_and_every_answer_is_stored(render: Render) -> None:
    assert list(questions()) == FOR_GOOD
    stored = yaml.safe_load((render() / ".copier-answers.yml").read_text())
    assert sorted(stored) == sorted([*FOR_GOOD, "_commit", "_src_path"])


def test_only_questions_with_a_choice_are_asked() -> None:
    for name, question in questions().items():
        offered = choices(name, question)
        ask = question.get("ask", True)
        if ask is True or ("catalogue" in str(ask) and offered != ["none"]):
            assert name in ASKED
        else:
            assert name not in ASKED
            assert not offered or offered == ["none"], f"{name} offers a choice that is not asked for"


def test_what_is_shown_is_text_and_ends_in_a_question_mark_or_a_parenthesis() -> None:
    for name, question in questions().items():
        labels = question.get("choices")
        if isinstance(labels, dict | list):
            assert all(isinstance(label, str) for label in labels), f"{name}: YAML reads a label as something else"
        if name in ASKED:
            assert re.search(r"\?|\)$", question["help"]), name


def choices_that_matter() -> list[Any]:
    """Return every choice of every question that has more than one, the preset apart: it only sets defaults."""
    found = {name: choices(name, question) for name, question in questions().items()}
    offered = {name: names for name, names in found.items() if name != "preset" and len(names) > 1}
    several = {name: names for name, names in found.items() if questions()[name].get("multiselect")}
    return [(name, choice) for name, names in (offered | several).items() for choice in names]


@pytest.mark.parametrize(("name", "choice"), choices_that_matter(), ids=str)
def test_every_choice_changes_some_file(render: Render, name: str, choice: str) -> None:
    several = questions()[name].get("multiselect")
    renderings = [files(render(preset="full", **{name: [choice] if several else choice}))]
    others: list[Any] = [[]] if several else [other for other in choices(name, questions()[name]) if other != choice]
    for other in others:
        renderings.append(files(render(preset="full", **{name: other})))
        changed = differing(renderings[0], renderings[-1]) - {".copier-answers.yml"}
        assert changed, f"{name} {choice} is the same as {other}"


@pytest.mark.parametrize("name", TRIED)
def test_every_free_answer_changes_some_file(render: Render, name: str) -> None:
    rows = [row for row in toggles() if name in row][: len(TRIED[name])]
    renderings = [files(render(**row)) for row in rows]
    for left, right in pairwise(renderings):
        assert differing(left, right) - {".copier-answers.yml"}


def test_template_reads_no_preset() -> None:
    # It sets defaults, and does nothing else: what it once stood for may change.
    for place, source in sources(ROOT):
        if place.startswith("template/"):
            assert "preset" not in meta.find_undeclared_variables(JINJA.parse(source)), place


def test_answers_that_tests_give_are_answers_to_questions(render: Render) -> None:
    with pytest.raises(LookupError, match="there is no question licence"):
        render(licence="MIT")


def test_presets_only_set_defaults(render: Render) -> None:
    minimal = yaml.safe_load((render(preset="minimal") / ".copier-answers.yml").read_text())
    assert (minimal["deploy"], minimal["example"], minimal["observability"]) == ("none", "none", [])
    right = yaml.safe_load((render() / ".copier-answers.yml").read_text())
    changed = {name: right[name] for name in ("deploy", "example", "publish", "updates", *KINDS)}
    left = yaml.safe_load((render(preset="minimal", **changed) / ".copier-answers.yml").read_text())
    assert left | {"preset": "api"} == right


@pytest.mark.parametrize(("answer", "sentence"), REFUSED)
def test_refusal_is_one_sentence(template: Path, tmp_path: Path, answer: dict[str, Any], sentence: str) -> None:
    said = refusal(template, tmp_path, **answer)
    assert sentence in said
    assert said.count("\n") == 0


def test_refusal_is_the_last_line_on_the_command_line(template: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "copier", "copy", "--defaults", "-d", "package=class", str(template), "x"]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("take one of your own.")


def test_reserved_names_are_those_of_every_python_and_library() -> None:
    missing = {name for name in reserved.here() if reserved.PACKAGE.fullmatch(name)} - reserved.listed()
    assert not missing, "run `uv run doit reserved`"


TEXT = st.text(min_size=0, max_size=60)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(project_name=TEXT, description=TEXT, repository=TEXT, author_name=TEXT, author_email=TEXT, package=TEXT)
def test_hostile_answers_are_refused_kindly(template: Path, tmp_path: Path, **answers: str) -> None:
    with pytest.raises((ValueError, TemplateError)) as caught:
        copier.run_copy(str(template), tmp_path / "refused", answers, defaults=True, quiet=True, unsafe=False)
    assert "Validation error" in str(caught.value)


# Letters of every kind, and all that TOML, YAML, Jinja and shells give a meaning.
SHARP = st.text(st.sampled_from("aZ 9'\"\\{}%#:$`<>&|;*?[]!,~=@-éß漢🚀\u200b"), min_size=1, max_size=80)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(description=SHARP.map(str.strip).filter(bool))
def test_sharp_descriptions_give_a_valid_project(template: Path, tmp_path_factory: Any, description: str) -> None:
    folder = tmp_path_factory.mktemp("sharp") / "project"
    answers = {"description": description, "preset": "minimal"}
    copier.run_copy(str(template), folder, answers, defaults=True, quiet=True, unsafe=False)
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["description"] == description
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["description"] == description
    assert description in (folder / "README.md").read_text()
