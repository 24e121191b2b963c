"""What one part of a rendered service says of another is true."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import Render
from tests.settings import settings


def manifest(project: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((project / "kubernetes" / "base" / f"{name}.yaml").read_text())
    return loaded


def test_environment_of_the_image_is_settings(render: Render) -> None:
    keys = re.findall(r"\b(GIT_COMMIT|BUILD_TIME)=", (render() / "Dockerfile").read_text())
    assert len(keys) == 2
    assert set(keys) <= settings(render()).keys()


def test_commands_without_doit_name_what_is_there(render: Render) -> None:
    project = render()
    page = (project / "docs" / "deployment" / "production.md").read_text()
    image = manifest(project, "kustomization")["images"][0]
    for command in (
        "docker build -t my-service:1.2.3 .",
        f"docker push {image['newName']}:1.2.3",
        "kubectl apply -k kubernetes/",
        f"kubectl rollout status deployment/{manifest(project, 'deployment')['metadata']['name']}",
    ):
        assert f"    {command}" in page


def test_ways_to_roll_out_are_documented_with_their_commands(render: Render) -> None:
    tasks = re.findall(r'"scripts/roll_out.py", "(\w+)"', (render() / "dodo.py").read_text())
    assert len(tasks) > 10
    page = (render() / "docs" / "deployment" / "production.md").read_text()
    assert not [task for task in tasks if f"`doit {task}" not in page]
    assert "roll_out" not in (render(deploy="none") / "dodo.py").read_text()


def test_job_that_looks_for_losses_has_the_whole_history(render: Render) -> None:
    jobs = yaml.safe_load((render() / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    (check,) = (job for job in jobs if any("doit check" in step.get("run", "") for step in job.get("steps", [])))
    (checkout,) = (step for step in check["steps"] if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["fetch-depth"] == 0


def test_images_are_pinned_by_digest(render: Render) -> None:
    bases = re.findall(r"^FROM (\S+:\S+)", (render() / "Dockerfile").read_text(), re.MULTILINE)
    assert len(bases) == 2
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", base) for base in bases)
