"""Rows: of one form, one name everywhere, and with a footprint that is exactly their own."""

import ast
import re
from difflib import ndiff
from typing import Any

import jsonschema
import pytest

from dodo import reference
from extensions.rows import KINDS, ROOT, SCHEMA, rows
from tests.conftest import Render
from tests.shell import differing, files

SOURCES = ROOT / "template" / "src" / "{{ package }}" / "integrations"
TESTS = ROOT / "template" / "tests" / "integrations"
AGGREGATES = {
    "README.md",
    ".copier-answers.yml",
    ".env.example",
    ".github/dependabot.yml",
    ".github/workflows/ci.yml",
    "compose.yaml",
    "dodo.py",
    "pyproject.toml",
    "docs/configuration.md",
    "docs/operations.md",
    "docs/deployment/production.md",
    "docs/deployment/development.md",
    "docs/development/ci-cd-testing.md",
    "kubernetes/base/deployment.yaml",
    "kubernetes/base/kustomization.yaml",
    "kubernetes/base/network-policy.yaml",
    "kubernetes/components/blue/kustomization.yaml",
    "kubernetes/components/canary/kustomization.yaml",
    "kubernetes/components/cron-job/kustomization.yaml",
    "kubernetes/components/green/kustomization.yaml",
    "src/my_service/__main__.py",
    "src/my_service/app.py",
    "src/my_service/settings.py",
    "tests/conftest.py",
}
TEMPLATE = ROOT / "template"
ROWS = pytest.mark.parametrize("row", rows(), ids=lambda row: row["name"])


def leaf(name: str, path: str) -> str:
    """Return a file name that is there only where the row is chosen."""
    return f"{{% if '{name}' in chosen %}}{path}{{% endif %}}"


@ROWS
def test_row_follows_the_schema(row: dict[str, Any]) -> None:
    jsonschema.validate(row, SCHEMA)


def test_schema_refuses_what_it_does_not_know() -> None:
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        jsonschema.validate({**rows()[0], "colour": "blue"}, SCHEMA)


@ROWS
def test_one_name_everywhere(row: dict[str, Any]) -> None:
    name = row["name"]
    assert (ROOT / "extensions" / f"{name}.yml").is_file()
    assert (SOURCES / leaf(name, f"{name}.py")).is_file()
    assert [path.name for path in TESTS.iterdir() if path.name.startswith(leaf(name, f"test_{name}.py"))]
    assert f"### {name}\n" in reference()


@ROWS
def test_module_offers_what_every_module_offers(row: dict[str, Any]) -> None:
    tree = ast.parse((SOURCES / leaf(row["name"], f"{row['name']}.py")).read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.AsyncFunctionDef)}
    assert {"Settings", "run"} <= names
    settings = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    fields = [ast.unparse(node.target).upper() for node in settings.body if isinstance(node, ast.AnnAssign)]
    assert fields == [variable["name"] for variable in row.get("variables", [])]


def test_settings_of_modules_do_not_override_each_other() -> None:
    """All of them are bases of one class, where the first of a name hides the others, validators too.

    Of a kind there is one, but for `observability`.
    """
    seen: dict[str, str] = {}
    for row in rows():
        part = row["name"] if row["kind"] == "observability" else row["kind"]
        tree = ast.parse((SOURCES / leaf(row["name"], f"{row['name']}.py")).read_text())
        settings = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
        for node in settings.body:
            name = node.name if isinstance(node, ast.FunctionDef) else ast.unparse(getattr(node, "target", node))
            if not name.startswith(('"', "'")):
                assert seen.setdefault(name, part) == part, f"{name} is in {seen[name]} as well"


def rendered(condition: str) -> set[str]:
    """Return the files of a project whose path, in the template, has this in a condition."""
    paths = [path.relative_to(TEMPLATE).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()]
    names = {re.sub(r"\{%.*?%\}", "", path) for path in paths if condition in path}
    return {name.replace("{{ package }}", "my_service").removesuffix(".jinja") for name in names}


def own_pods(row: dict[str, Any]) -> set[str]:
    """Return the files that are there because commands of the row have pods of their own."""
    found = set()
    for command in (command for command in row.get("commands", ()) if "pods" in command):
        paths = rendered("yield process from processes %}") | rendered("{% if deploy == 'kubernetes' and processes %}")
        paths -= rendered("{% if process.pods == 'many' %}") if command["pods"] == "one" else set()
        found |= {path.replace("{{ process.name }}", command["name"]) for path in paths}
    return found


def queue_files(row: dict[str, Any]) -> set[str]:
    """Return the files that every queue brings to a service without a database."""
    with_database = rendered("'postgres' in chosen") - rendered("'postgres' not in chosen")
    return rendered("queue != 'none'") - with_database if row["kind"] == "queue" else set()


def own_files(row: dict[str, Any]) -> set[str]:
    """Return the files that are there because of the row, and for no other reason."""
    servers = {name for name in rendered("{% if servers %}") if name not in rendered("' in chosen")}
    jobs = rendered("{% if jobs %}") if any("job" in command for command in row.get("commands", ())) else set()
    secrets = rendered("{% if secrets != 'none' %}") if row["kind"] == "secrets" else set()
    errors = rendered("{% if errors != 'none'") if row["kind"] == "errors" else set()
    if secrets and row["name"] != "kubernetes":
        secrets |= rendered("{% if secrets not in ['none', 'kubernetes'] %}")
    own = rendered(f"'{row['name']}' in chosen") - rendered("{% if processes and") - rendered("queue != 'none'")
    own |= rendered("queue != 'none' or '" + row["name"])
    return own | own_pods(row) | queue_files(row) | jobs | secrets | errors | (servers if "container" in row else set())


def own_words(row: dict[str, Any]) -> set[str]:
    """Return what a line of the row has in it: its name, or something that the row says."""
    variables, ports = row.get("variables", []), row.get("ports", [])
    lines = [*variables, *ports, *row.get("commands", []), *row.get("tasks", []), *row.get("egress", [])]
    said = {str(value) for each in lines for value in each.values() if not isinstance(value, bool)}
    said |= {"0.0.0.0/0"} if any(way["to"] == "internet" for way in row.get("egress", ())) else set()
    said |= {"pytest-xdist", "--numprocesses", "--dist", "docker-compose"} if "container" in row else set()
    said |= {"part-of=", "$patch: delete"} if own_pods(row) else set()
    said |= {"docs/jobs.md"} if row["kind"] == "queue" else set()
    listed = [text for key in ("requires", "develop", "untyped", "unlicensed", "warnings") for text in row.get(key, ())]
    return {row["name"], *listed, *said}


@ROWS
def test_footprint_is_exactly_its_own(row: dict[str, Any], render: Render) -> None:
    name, kind = row["name"], row["kind"]
    answer = [name] if kind == "observability" else name
    nothing: object = [] if kind == "observability" else "none"
    others: dict[str, object] = dict.fromkeys(KINDS[:-1], "none") | {"observability": []}
    without = files(render(**others | {kind: nothing}))
    with_it = files(render(**others | {kind: answer}))
    added = with_it.keys() - without.keys()
    variants = rendered("not in chosen") - rendered("queue != 'none'") | {"src/my_service/api/items.py"}
    assert added == own_files(row) - variants
    assert {f"src/my_service/integrations/{name}.py", f"tests/integrations/test_{name}.py"} <= added
    assert not without.keys() - with_it.keys()
    changed = differing(without, with_it) - added - variants
    expected = {".copier-answers.yml", "src/my_service/app.py"}
    expected |= {"pyproject.toml"} if row["requires"] else set()
    assert expected <= changed <= AGGREGATES
    for path in changed - {".copier-answers.yml"}:
        if not path.startswith("docs/"):
            lines = list(ndiff(without[path].decode().splitlines(), with_it[path].decode().splitlines()))
            assert not [line for line in lines if line.startswith("- ")], f"{path} loses lines to {name}"
            for line in [line for line in lines if line.startswith("+ ") and line.strip() != "+"]:
                assert any(word.lower() in line.lower() for word in own_words(row)), (
                    f"{path} has a line that is not of {name}: {line}"
                )


@ROWS
def test_ports_are_numbers_with_a_default(row: dict[str, Any]) -> None:
    defaults = {variable["name"]: variable.get("default", "") for variable in row.get("variables", [])}
    for port in row.get("ports", []):
        assert defaults[port["variable"]].isdigit(), f"{port['name']} needs a default for the manifests"


def test_requirements_have_both_bounds(render: Render) -> None:
    pyproject = (render(preset="full") / "pyproject.toml").read_text()
    listed, building = pyproject.split("\nbuild-constraint-dependencies = ")
    requirements = re.findall(r'^    "([a-z][a-z0-9-]*(?:\[[a-z,]+\])?[>=<].*)",$', listed, re.MULTILINE)
    assert len(requirements) > 12
    assert "hatchling==" in building
    for requirement in requirements:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z,]+\])?>=[\d.]+(b\d+)?,<[\d.]+", requirement), requirement


def test_reference_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == reference(), "run `uv run doit docs`"


def test_nothing_here_runs_when_a_project_is_rendered() -> None:
    for path in [ROOT / "copier.yml", *(ROOT / "questions").iterdir()]:
        assert "rows.py" not in path.read_text()


@pytest.mark.parametrize("errors", ["sentry", "rollbar"])
def test_each_process_has_somebody_to_tell_about_errors(render: Render, errors: str) -> None:
    sources = render(queue="celery", errors=errors) / "src" / "my_service"
    for process in ("app", "celery_worker", "celery_beat"):
        assert (sources / f"{process}.py").read_text().count(f"run_{errors}") == 2, "it is imported, and run"


PYTHON_TEMPLATES = sorted(path for path in (ROOT / "template").rglob("*.py*") if path.suffix in {".py", ".jinja"})


def test_python_reads_as_python() -> None:
    """No conditions inside Python, and loops in the aggregates only."""
    assert len(PYTHON_TEMPLATES) > 30
    with_loops = set()
    for path in PYTHON_TEMPLATES:
        text = path.read_text()
        assert "{% if" not in text, path.name
        if "{% for" in text:
            with_loops.add(path.name)
        if path.suffix == ".py":
            assert "{{" not in text, f"{path.name} needs .jinja"
        else:
            assert "{{" in text or "{%" in text, f"{path.name} needs no .jinja"
    names = {re.sub(r"\{%.*?%\}", "", name).removesuffix(".py.jinja") for name in with_loops}
    assert names == {"__main__", "dodo", "app", "settings", "conftest", "celery_worker", "celery_beat"}
