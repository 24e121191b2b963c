"""Every rendering is what a careful colleague would have committed, and says nothing of its making."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.answers import HOSTILE, LONG, RENDERED
from tests.conftest import Render
from tests.covering import STRENGTHS, as_answers, covering
from tests.shell import ROOT, clean_environment, differing, files
from tests.test_rules import OWN_TEMPLATES


@pytest.fixture(scope="module", params=STRENGTHS)
def renderings(request: pytest.FixtureRequest, render: Render) -> list[Path]:
    """Return all that is rendered here: every combination of the answers to any two or three questions is in it."""
    return [render(**each) for each in [*RENDERED, *map(as_answers, covering(request.param))]]


def documents(renderings: list[Path], pattern: str) -> list[Path]:
    """Return the files of all renderings that match, those with the same contents once."""
    found = {path.read_bytes(): path for folder in renderings for path in folder.rglob(pattern)}
    assert found, f"nothing matches {pattern}"
    return list(found.values())


def sources(renderings: list[Path]) -> list[Path]:
    """Return the Python files of all renderings, once those that are the same and are read by the same rules."""
    found = {}
    for folder in renderings:
        rules = (folder / "pyproject.toml").read_text().partition("\n[tool.ruff]")[2].partition("\n[tool.mypy]")[0]
        python = re.search(r"requires-python = .*", (folder / "pyproject.toml").read_text())
        assert python
        for path in folder.rglob("*.py"):
            found[path.relative_to(folder), path.read_bytes(), rules, python[0]] = path
    return list(found.values())


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_code_is_formatted_and_lint_clean(renderings: list[Path]) -> None:
    found = sources(renderings)
    assert len(found) < len(renderings) * 25, "nothing is checked twice"
    run("ruff", "format", "--no-cache", "--check", "--quiet", *found)
    run("ruff", "check", "--no-cache", "--quiet", "--output-format=concise", *found)


def test_every_file_parses(renderings: list[Path]) -> None:
    for path in documents(renderings, "*.toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))
    for path in [*documents(renderings, "*.yaml"), *documents(renderings, "*.yml")]:
        assert list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    for path in documents(renderings, "*.py"):
        compile(path.read_text(encoding="utf-8"), path, "exec")


def test_no_trace_of_the_template_is_left(render: Render) -> None:
    for answers in RENDERED:
        if HOSTILE.items() <= answers.items():
            continue
        for name, contents in files(render(**answers)).items():
            if name == OWN_TEMPLATES:
                continue
            text = contents.decode()
            # Of workflows, of Go, and of the SQL that Vault runs.
            others = r"\$\{\{.*?\}\}|'\{\{ \.\S+ \}\}'|(?<=['\"/:])\{\{\w+\}\}(?=['\":@])"
            without_expressions = re.sub(others, "", text)
            assert "{{" not in without_expressions, name
            assert "{%" not in text, name
            if name != "LICENSE":
                assert text.endswith("\n") or not text, name
                assert not text.endswith("\n\n"), name
            assert not re.search(r"[ \t]+$", text, re.MULTILINE) or name == "LICENSE", name
            assert "\n\n\n\n" not in text, name


def test_file_names_are_legal_everywhere(renderings: list[Path]) -> None:
    names = {path.relative_to(ROOT / "template").as_posix() for path in (ROOT / "template").rglob("*")}
    assert not [name for name in names if set(name) & set('"<>:|?*\\')]
    for folder in renderings:
        assert not [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_same_answers_give_the_same_bytes(render: Render) -> None:
    left, right = files(render(license="MIT")), files(render())
    assert differing(left, right) == set()


def test_env_file_is_ignored_by_git_and_left_out_of_the_image(render: Render) -> None:
    assert ".env" in (render() / ".gitignore").read_text().splitlines()
    patterns = (render() / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    assert patterns[1] == "*"
    assert allowed == {"LICENSE", "README.md", "pyproject.toml", "src", "uv.lock"}


@pytest.mark.parametrize(
    "page",
    [
        "docs/configuration.md",
        "docs/operations.md",
        "docs/deployment/production.md",
        "docs/deployment/development.md",
        "docs/development/ci-cd-testing.md",
        "docs/development/release-and-automation.md",
    ],
)
def test_pages_are_there_and_speak_of_what_was_chosen(render: Render, page: str) -> None:
    for answers in ({}, {"preset": "minimal"}):
        text = (render(**answers) / page).read_text()
        front = yaml.safe_load(text.split("---\n")[1])
        assert front.keys() == {"title", "description", "audience", "tags"}
        assert f"# {front['title']}\n" in text
    assert "kubectl" not in text
    assert "Prometheus" not in text


def test_log_levels_are_documented_by_use(render: Render) -> None:
    page = (render() / "docs" / "operations.md").read_text()
    for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        assert f"| {level} | " in page


def test_common_issues_are_documented(render: Render) -> None:
    page = (render() / "docs" / "operations.md").read_text().partition("\n## When something is wrong\n")[2]
    for symptom in ("OOMKilled", "the pool is exhausted", "slow to start", "Answers are slow"):
        assert symptom in page


def test_compose_has_the_servers_on_this_machine_only(render: Render) -> None:
    text = (render() / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    assert services.keys() == {"postgres", "redis"}
    for service in services.values():
        assert re.search("@sha256:[0-9a-f]{64}$", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["healthcheck"]["test"][0] == "CMD"
    assert not (render(preset="minimal") / "compose.yaml").exists()
    commented = dict(re.findall(r"^#   ([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert commented.keys() == {"DATABASE_URL", "REDIS_URL"}


def test_hostile_answers_arrive_as_they_were_given(render: Render) -> None:
    project = tomllib.loads((render(package="a", preset="full", **HOSTILE) / "pyproject.toml").read_text())["project"]
    assert project["description"] == HOSTILE["description"]
    assert project["authors"] == [{"name": HOSTILE["author_name"], "email": HOSTILE["author_email"]}]
    deployment = render(package="a", preset="full", **HOSTILE) / "kubernetes" / "base" / "kustomization.yaml"
    assert yaml.safe_load(deployment.read_text())["images"][0]["newName"] == "ghcr.io/some-org/my.repo_1"


def automation(renderings: list[Path], folder: str) -> list[Path]:
    """Return the different files of all renderings that GitHub reads from a folder, and ours."""
    found = [path for path in documents(renderings, "*.yml") if path.parent.name == folder]
    return found + [path for path in (ROOT / ".github").rglob("*.yml") if path.parent.name == folder]


def test_workflows_are_without_findings(renderings: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    workflows, others = automation(renderings, "workflows"), automation(renderings, ".github")
    assert {path.name for path in workflows} >= {"ci.yml", "release.yml", "relock.yml", "template-update.yml"}
    run("zizmor", "--offline", "--persona", "auditor", "--quiet", *workflows, *others)
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    with capsys.disabled():
        print(f"\nno finding in the {len(workflows)} different workflows of {len(renderings)} renderings")


def test_bots_understand_their_settings(renderings: list[Path]) -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.dependabot", *automation(renderings, ".github"))
    ours = ROOT / "renovate.json"
    run("check-jsonschema", "--builtin-schema", "vendor.renovate", *documents(renderings, "renovate.json"), ours)


def test_our_bot_finds_every_pin_of_the_template() -> None:
    settings = json.loads((ROOT / "renovate.json").read_text())
    custom = settings["customManagers"][0]
    pinned = re.compile(r"@(sha256:)?[0-9a-f]{40}")
    patterns = [settings[name]["managerFilePatterns"] for name in ("github-actions", "dockerfile")]
    patterns.append(custom["managerFilePatterns"])
    plain = [pattern.strip("/") for each in patterns for pattern in each]
    for path in [*(ROOT / "template").rglob("*"), *(ROOT / "extensions").glob("*.yml")]:
        if path.is_file() and pinned.search(path.read_text(encoding="utf-8")):
            name = path.relative_to(ROOT).as_posix()
            assert [pattern for pattern in plain if re.search(pattern, name)], f"nobody keeps the pins in {name} fresh"
    images = re.compile(custom["matchStrings"][0].replace("(?<", "(?P<"))
    rows = [path.read_text() for path in (ROOT / "extensions").glob("*.yml")]
    assert sum(len(images.findall(row)) for row in rows) == sum(row.count("@sha256:") for row in rows) > 0


def test_scripts_of_workflows_are_without_findings(renderings: list[Path], tmp_path: Path) -> None:
    workflows = automation(renderings, "workflows")
    jobs = [job for path in workflows for job in yaml.safe_load(path.read_text())["jobs"].values()]
    scripts = {step["run"] for job in jobs for step in job["steps"] if "run" in step}
    assert scripts
    for number, script in enumerate(sorted(scripts)):
        (tmp_path / f"{number}.sh").write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{script}")
    run("shellcheck", *tmp_path.iterdir())


def test_dockerfiles_are_without_findings(renderings: list[Path]) -> None:
    run("hadolint", *documents(renderings, "Dockerfile"))


def pairs(answers: dict[str, Any], other: dict[str, Any], render: Render) -> tuple[dict[str, bytes], dict[str, bytes]]:
    return files(render(**answers)), files(render(**other))


@pytest.mark.parametrize(
    ("answers", "other", "changed"),
    [
        ({"license": "MIT"}, {"license": "Apache-2.0"}, {"LICENSE", "pyproject.toml", "README.md", "Dockerfile"}),
        ({"python": "3.11"}, {"python": "3.12"}, {"pyproject.toml", "README.md"}),
        ({"description": "One"}, {"description": "Two"}, {"pyproject.toml", "README.md"}),
        ({"author_name": "A"}, {"author_name": "B"}, {"pyproject.toml", "LICENSE"}),
        ({"author_email": "a@x.org"}, {"author_email": "b@x.org"}, {"pyproject.toml"}),
        ({"cpu_limit": "1"}, {"cpu_limit": "none"}, {"kubernetes/base/deployment.yaml"}),
    ],
    ids=lambda each: str(sorted(each) if isinstance(each, set) else each),
)
def test_answer_changes_its_own_files_only(
    render: Render, answers: dict[str, str], other: dict[str, str], changed: set[str]
) -> None:
    left, right = pairs(answers, other, render)
    documents_ = {name for name in left if name.startswith("docs/")}
    different = differing(left, right)
    assert changed <= different
    assert different - changed - documents_ == {".copier-answers.yml"}


def test_long_names_change_no_layout(render: Render) -> None:
    # Formatting must not depend on the length of a name: the same lines, but for the name in them.
    short, long = files(render(package="a", preset="full")), files(render(package=LONG, preset="full"))
    for name, contents in short.items():
        if name.endswith(".py"):
            other = long[name.replace("src/a/", f"src/{LONG}/")]
            assert contents.count(b"\n") == other.count(b"\n"), name
