"""This repository: its README's commands, its tools, its history."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.releases import is_shallow, releases
from tests.shell import ROOT, git

KINDS = re.compile(r"(feat|fix|docs|test|chore|refactor|perf|build|ci|release|style)(\(.+\))?!?: ")


def tracked() -> list[Path]:
    return [ROOT / name for name in git(ROOT, "ls-files").splitlines() if (ROOT / name).is_file()]


def commands() -> list[str]:
    """Return the README's commands, which are indented."""
    return re.findall(r"^    (\S.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_readme_has_two_commands_near_its_top() -> None:
    first, second, everywhere = commands()
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.index(f"    {second}") < 16
    assert first.endswith("uv run doit serve")
    assert "--defaults" in first
    assert second.endswith("uv run doit test")
    assert everywhere == "uvx --from 'copier>=9.19,<10' copier copy https://github.com/OWNER/slipway.git my-service"
    assert "trust" not in first + second + everywhere


def test_gate_runs_the_readmes_command() -> None:
    gate = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"sed -n '(.*)' README.md", gate)
    assert pattern
    found = subprocess.run(
        ["sed", "-n", pattern[1], "README.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found[0] == commands()[1]


def test_uv_installs_where_pip_may_not_install(tmp_path: Path) -> None:
    # Debian's pip refuses to install into the system (PEP 668); a folder of one's own is always allowed.
    install = re.match(r"python3 -m (pip install --quiet --target) \.uv uv ", commands()[1])
    assert install
    done = subprocess.run(
        [f"{sys.base_prefix}/bin/python3", "-m", *install[1].split(), str(tmp_path), "uv"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named pip" in done.stderr:
        pytest.skip("this Python has no pip")
    assert (tmp_path / "bin" / "uv").is_file()


def test_scripts_are_without_findings() -> None:
    done = subprocess.run(
        ["shellcheck", "--external-sources", ".ci/run", ".ci/containers.sh"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_links_between_our_pages_lead_somewhere() -> None:
    for page in [path for path in tracked() if path.suffix == ".md" and "template" not in path.parts]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_dependency_has_its_reason() -> None:
    decisions = (ROOT / "docs" / "decisions.md").read_text()
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())
    requirements = ours["project"]["dependencies"] + ours["dependency-groups"]["dev"]
    rendered = (ROOT / "template" / "pyproject.toml.jinja").read_text()
    requirements += re.findall(r'^    "([a-z0-9-]+>=.*)",$', rendered, re.MULTILINE)
    for row in (ROOT / "extensions").glob("*.yml"):
        read = yaml.safe_load(row.read_text())
        requirements += read["requires"] + read.get("develop", [])
    for requirement in requirements:
        name = re.split(r"[>\[]", requirement)[0]
        assert f"**{name}**" in decisions, f"{name} has no reason in docs/decisions.md"


def test_nothing_names_a_machine_or_an_index() -> None:
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org"]
    for path in tracked():
        if path.name == "uv.lock" or path.suffix == ".pyc":
            continue
        text = path.read_text(encoding="utf-8")
        for word in [*hosts, "/work" + "/main", "/work" + "/shared"]:
            assert word not in text, f"{path.relative_to(ROOT)} names {word}"


def test_every_released_version_has_its_changelog() -> None:
    if is_shallow():
        pytest.skip("a shallow clone has no history")
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for version in releases():
        entry = changelog.partition(f"\n## {version}\n")[2].partition("\n## ")[0]
        assert "To do when updating" in entry, f"{version} does not say what an updating project has to do"


def test_subjects_of_commits_are_conventional_and_short() -> None:
    for subject in git(ROOT, "log", "--format=%s").splitlines():
        assert re.match(r"(feat|fix|docs|test|chore|refactor|perf|build|ci|release|style)(\(.+\))?!?: ", subject), (
            subject
        )
        assert len(subject) <= 60, subject
