"""What the workflows of a rendered project run does what they say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.planting import plant
from tests.shell import commit, files, git, uv
from tests.updates import start
from tests.workflows import Machine, jobs, script

pytestmark = pytest.mark.slow
Project = Callable[..., Path]
SENTENCE = "::error::The environment 'updates' has no UPDATE_TOKEN: docs/development/release-and-automation.md"


def with_origin(project: Path, folder: Path) -> Path:
    """Give a project a repository to push to, which has what is on main, and return that."""
    origin = folder / "origin.git"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(project, "remote", "add", "origin", str(origin))
    git(project, "push", "--quiet", "origin", "main")
    return origin


def test_jobs_are_there_where_they_are_chosen(render: Render) -> None:
    for chosen in (["github"], ["image"], ["pypi"], ["github", "image", "pypi"]):
        found = jobs(render(publish=chosen), "release")
        assert found.keys() == {"build", *chosen}
        assert "github" not in found or set(found["github"]["needs"]) == found.keys() - {"github"}
    assert not (render(publish=[]) / ".github" / "workflows" / "release.yml").exists()
    assert "manifests" in jobs(render(), "ci")
    assert "manifests" not in jobs(render(deploy="none"), "ci")
    for answers in ({}, {"deploy": "none"}):
        found = jobs(render(**answers), "ci")
        assert set(found["passed"]["needs"]) == found.keys() - {"passed"}


def test_what_runs_code_of_the_project_holds_no_credential(render: Render) -> None:
    for name, job in jobs(render(preset="full"), "release").items():
        credentials = {right for right, kind in job["permissions"].items() if kind == "write"}
        assert bool(credentials) == (name != "build") == ("environment" in job)
        used = [step.get("uses", "") for step in job["steps"]]
        assert not [each for each in used if "cache" in each or ("setup-uv" in each and name != "build")]
        assert not [step for step in job["steps"] if credentials and "uv " in step.get("run", "")]
        given = [step.get("with", {}) for step in job["steps"]]
        assert not [each for each in given if each.get("enable-cache") or each.get("cache-image")]
    for updates, workflow in (("renovate", "relock"), ("dependabot", "template-update")):
        for job in jobs(render(updates=updates), workflow).values():
            tools = {tool for step in job["steps"] for tool in ("uv lock", "uvx ") if f"{tool}" in step.get("run", "")}
            told = "Or run" in json.dumps(job)
            assert not (tools - ({"uv lock"} if told else set()) and "environment" in job)


def test_distribution_is_built_once_and_published_as_it_is(render: Render) -> None:
    found = jobs(render(preset="full"), "release")
    builds = [step["run"] for job in found.values() for step in job["steps"] if "doit build" in step.get("run", "")]
    assert len(builds) == 1
    fetched = [
        name for name, job in found.items() if any("download-artifact" in step.get("uses", "") for step in job["steps"])
    ]
    assert sorted(fetched) == ["github", "pypi"]


def test_image_gets_its_version_when_it_is_scanned_and_attested(render: Render) -> None:
    steps = jobs(render(publish=["image"]), "release")["image"]["steps"]
    names = [step["name"] for step in steps]
    order = [
        "Refuse a version that is there",
        "Build, and push without a name",
        "Scan",
        "Attest",
        "Give it its version",
    ]
    assert names[-5:] == order
    build = steps[-4]["with"]
    assert build["platforms"] == "linux/amd64,linux/arm64"
    assert "push-by-digest=true" in build["outputs"]
    assert (build["provenance"], build["sbom"]) == ("mode=max", True)
    arguments = {line.partition("=")[0] for line in build["build-args"].splitlines()}
    assert arguments == {"VERSION", "COMMIT", "BUILT"}
    assert all(f"ARG {name}" in (render() / "Dockerfile").read_text() for name in arguments)


def test_distribution_and_image_are_attested(render: Render) -> None:
    found = jobs(render(preset="full"), "release")
    attested = [
        name for name, job in found.items() if any("actions/attest@" in step.get("uses", "") for step in job["steps"])
    ]
    assert attested == ["image", "github"]
    assert all(found[name]["permissions"]["attestations"] == "write" for name in attested)
    (publish,) = (step for step in found["pypi"]["steps"] if "gh-action-pypi-publish" in step.get("uses", ""))
    assert publish["with"] == {"skip-existing": True}, "no token is needed, and attestations are on"
    assert found["pypi"]["permissions"] == {"id-token": "write"}


def test_name_of_the_image_is_one_that_registries_take(project: Project, tmp_path: Path) -> None:
    machine = Machine(project(publish=["image"]), tmp_path / "machine")
    step = script(machine.project, "release", "image", "Name")
    assert machine.run(step, GITHUB_REPOSITORY="Some-Org/My.Repo", GITHUB_REF_NAME="v1.2.3rc1").returncode == 0
    named = machine.output()
    assert (named["image"], named["version"]) == ("ghcr.io/some-org/my.repo", "1.2.3rc1")


def test_tag_that_is_not_on_main_is_refused(project: Project, tmp_path: Path) -> None:
    folder = project(publish=["github"])
    with_origin(folder, tmp_path)
    machine = Machine(folder, tmp_path / "machine")
    step = script(folder, "release", "build", "Refuse")
    head = git(folder, "rev-parse", "HEAD")
    assert machine.run(step, GITHUB_SHA=head, GITHUB_REF_NAME="v1.0.0").returncode == 0
    git(folder, "switch", "--quiet", "--create", "topic")
    commit(folder, "feat: not reviewed")
    refused = machine.run(step, GITHUB_SHA=git(folder, "rev-parse", "HEAD"), GITHUB_REF_NAME="v1.0.0")
    assert (refused.returncode, refused.stdout) == (
        1, "::error::v1.0.0 is not on main: only what was reviewed is released.\n",
    )  # fmt: skip


@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq")
@pytest.mark.parametrize(("results", "code"), [("success success", 0), ("success failure", 1), ("success skipped", 1)])
def test_checks_passed_when_all_did(project: Project, tmp_path: Path, results: str, code: int) -> None:
    machine = Machine(project(), tmp_path / "machine")
    needs = json.dumps({str(number): {"result": each} for number, each in enumerate(results.split())})
    done = machine.run(script(machine.project, "ci", "passed", "Compare"), JOBS=needs)
    assert done.returncode == code


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_manifests_are_compared_with_their_schemas(project: Project, tmp_path: Path) -> None:
    machine = Machine(project(preset="full"), tmp_path / "machine")
    assert uv(machine.project, "lock", "--quiet").returncode == 0
    step = script(machine.project, "ci", "manifests", "Write")
    good = machine.run(step)
    assert good.returncode == 0, good.stderr
    assert {path.name for path in (machine.project / "dist").iterdir()} >= {"staging.yaml", "production.yaml"}
    plant(machine.project, "kubernetes/base/deployment.yaml", "minReadySeconds", "minReadySecond")
    assert "minReadySecond" in machine.run(step).stdout


def test_renovates_branch_gets_its_lock(project: Project, tmp_path: Path) -> None:
    folder = project(updates="renovate", preset="minimal")
    assert uv(folder, "lock", "--quiet").returncode == 0
    commit(folder, "chore: lock")
    origin = with_origin(folder, tmp_path)
    git(folder, "switch", "--quiet", "--create", "renovate/template")
    machine = Machine(folder, tmp_path / "machine")
    lock, push = script(folder, "relock", "lock", "Lock"), script(folder, "relock", "push", "Commit")
    assert machine.run(lock).returncode == 0
    assert machine.output() == {}, "there is nothing to do"
    plant(folder, "pyproject.toml", "    # What the service adds.\n", '    "attrs>=26",\n')
    commit(folder, "chore(deps): update the template")
    assert machine.run(lock).returncode == 0
    assert machine.output() == {"changed": "yes"}
    branch = "refs/heads/renovate/template"
    lacking = machine.run(push, GITHUB_REF=branch, GH_TOKEN="")
    assert lacking.returncode == 1
    assert lacking.stdout.startswith(SENTENCE)
    assert machine.run(push, GITHUB_REF=branch, GH_TOKEN="a token").returncode == 0
    assert git(origin, "log", "-1", "--format=%s %an", branch) == "chore: lock github-actions[bot]"
    assert uv(folder, "lock", "--check", "--quiet").returncode == 0


@pytest.fixture
def outdated(template: Path, tmp_path: Path) -> Path:
    """A project of an earlier version, which now has its updates proposed, with its lock committed."""
    folder = tmp_path / "outdated"
    start(template, folder, "0.4.0", {"preset": "minimal"})
    commit(folder)
    assert uv(folder, "lock", "--quiet").returncode == 0
    commit(folder, "chore: lock")
    return folder


def test_new_version_of_the_template_is_proposed(outdated: Path, render: Render, tmp_path: Path) -> None:
    origin = with_origin(outdated, tmp_path)
    machine = Machine(outdated, tmp_path / "machine")
    proposing = render(updates="dependabot")
    update = script(proposing, "template-update", "update", "Update")
    propose = script(proposing, "template-update", "propose", "Propose")
    updated = machine.run(update)
    assert updated.returncode == 0, updated.stderr
    version = machine.output()["version"]
    assert version == "99.99.99"
    assert git(outdated, "log", "-1", "--format=%s") == f"chore: update the template to {version}"
    made = git(outdated, "rev-parse", "HEAD")
    # What proposes has main, and the commit that was handed over.
    git(outdated, "switch", "--quiet", "main")
    git(outdated, "branch", "--quiet", "--delete", "--force", "template-update")
    assert machine.run(propose, GH_TOKEN="", VERSION=version).stdout.startswith(SENTENCE)
    for requests in ("0", "1"):
        assert machine.run(propose, GH_TOKEN="a token", VERSION=version, REQUESTS=requests).returncode == 0
    assert git(origin, "rev-parse", "template-update") == made
    calls = [line.split()[:2] for line in machine.calls.read_text().splitlines()]
    assert [call for call in calls if call[0] == "pr"] == [
        ["pr", "list"],
        ["pr", "create"],
        ["pr", "list"],
        ["pr", "edit"],
    ]
    assert "a token" not in machine.calls.read_text()
    assert "CHANGELOG, up to 99.99.99." in (machine.folder / "update" / "body.md").read_text()
    git(outdated, "switch", "--quiet", "--detach", made)
    assert uv(outdated, "lock", "--check", "--quiet").returncode == 0
    written = {name: text for name, text in files(outdated).items() if name != "uv.lock"}
    fresh = files(render(preset="minimal", publish=[], updates="none"))
    assert written == fresh
    (machine.folder / "output").unlink()
    assert machine.run(update).returncode == 0
    assert machine.output() == {}, "there is nothing newer"
    # Somebody goes on with it: that is not pushed over.
    commit(outdated, "fix: what the update asks of us")
    theirs = git(outdated, "rev-parse", "HEAD")
    git(outdated, "push", "--quiet", "origin", "HEAD:refs/heads/template-update")
    git(outdated, "switch", "--quiet", "main")
    left = machine.run(propose, GH_TOKEN="a token", VERSION=version)
    assert (left.returncode, left.stdout.startswith("::notice::Somebody works on the branch")) == (0, True)
    assert git(origin, "rev-parse", "template-update") == theirs


def test_conflicts_of_an_update_are_named_in_the_request(outdated: Path, render: Render, tmp_path: Path) -> None:
    plant(outdated, "pyproject.toml", r'"bandit>=1\.9,<2",', '"bandit>=1.9,<2", # ours')
    commit(outdated, "build: ours")
    machine = Machine(outdated, tmp_path / "machine")
    done = machine.run(script(render(updates="dependabot"), "template-update", "update", "Update"))
    assert done.returncode == 0, done.stderr
    body = (machine.folder / "update" / "body.md").read_text()
    assert "These files have conflicts, to be resolved on this branch as after a merge, and uv.lock by" in body
    assert body.endswith("\n\npyproject.toml\n")
    assert b"<<<<<<< before updating" in (outdated / "pyproject.toml").read_bytes()
    assert machine.output() == {"version": "99.99.99"}
