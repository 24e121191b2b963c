"""Rules of the template that keep it readable and its updates clean; others are tested where their subject is."""

import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import Render
from tests.shell import ROOT

TEMPLATE = ROOT / "template"
FILES = sorted(path for path in TEMPLATE.rglob("*") if path.is_file())
# Jinja's marks, but for the expressions of workflows and of Go, which docker takes.
JINJA = re.compile(r"\{%|\{#|(?<![$'])\{\{")
# It has templates of its own, which are none of ours.
OWN_TEMPLATES = "cliff.toml"
ZONE = "# What the service adds.\n"


def test_conditions_in_names_are_at_the_leaf() -> None:
    folders = {part for path in FILES for part in path.relative_to(TEMPLATE).parent.parts if "{%" in part}
    # These hold nothing else; where the user has files in one, an update leaves them.
    assert folders == {
        "{% if deploy == 'kubernetes' %}kubernetes{% endif %}",
        "{% if deploy == 'kubernetes' %}rolling_out{% endif %}",
        "{% if 'postgres' in chosen %}migrations{% endif %}",
        "{% if queue != 'none' %}jobs{% endif %}",
        "{% if 'prometheus' in chosen %}observability{% endif %}",
        "{% if servers %}embedded{% endif %}",
        "{% if jobs %}migration{% endif %}",
        "{% if gateway != 'none' %}http-route{% endif %}",
        "{% if 'prometheus' in chosen %}monitoring{% endif %}",
        "{% if processes and 'prometheus' in chosen %}queue-scaling{% endif %}",
        "{% if publish %}verifications{% endif %}",
        "{% if secrets not in ['none', 'kubernetes'] %}external-secrets{% endif %}",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: re.sub(r"\{%.*?%\}", "", path.name))
def test_suffix_says_whether_there_is_something_to_render(path: Path) -> None:
    if path.name != OWN_TEMPLATES:
        assert bool(JINJA.search(path.read_text(encoding="utf-8"))) == (path.suffix == ".jinja")


def test_tasks_and_dockerfile_have_no_conditions() -> None:
    found = [path for path in FILES if path.name in {"dodo.py.jinja", "Dockerfile.jinja"}]
    assert len(found) == 2
    assert not [path for path in found if "{% if" in path.read_text()]


def test_conditions_in_workflows_are_about_a_job_each() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FILES if path.parent.name == "workflows"]
    conditional = [
        part for text in texts for part in re.findall(r"\{% if .*?%\}\n(.*?)\{% endif %\}\n", text, re.DOTALL)
    ]
    assert len(conditional) == sum(text.count("{% if") for text in texts) >= 4
    for part in conditional:
        jobs = yaml.safe_load(re.sub(r"\{%.*?%\}|\{\{ ', .*?\}\}", "", part))
        assert [job.keys() >= {"name", "runs-on", "steps"} for job in jobs.values()] == [True]


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        ("pyproject.toml", 3),
        ("dodo.py", 1),
        ("src/my_service/app.py", 3),
        ("src/my_service/settings.py", 1),
        ("kubernetes/kustomization.yaml", 1),
        ("kubernetes/overlays/production/kustomization.yaml", 1),
        ("kubernetes/overlays/staging/kustomization.yaml", 1),
    ],
)
def test_lines_of_the_user_have_a_place_of_their_own(render: Render, name: str, zones: int) -> None:
    assert (render() / name).read_text().count(ZONE) == zones


def test_dependencies_are_not_sorted_so_that_uv_appends(render: Render) -> None:
    listed = (render() / "pyproject.toml").read_text().partition("\ndependencies = [")[2].partition("\n]")[0] + "\n"
    names = re.findall(r'^    "([a-z0-9-]+)', listed, re.MULTILINE)
    assert names != sorted(names)
    assert listed.endswith(ZONE)


def test_tests_give_no_trust() -> None:
    given = re.compile(r"unsafe=" + "True|--" + "trust|--" + "UNSAFE")
    assert not [path.name for path in (ROOT / "tests").glob("*.py") if given.search(path.read_text())]
