"""What one part of a rendered service says of another is true."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Render

KUBECTL = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl, which holds kustomize, is not installed")


def manifest(project: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((project / "kubernetes" / "base" / f"{name}.yaml").read_text())
    return loaded


def container(project: Path) -> dict[str, Any]:
    pod = manifest(project, "deployment")["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


def settings(project: Path) -> dict[str, str]:
    """Return the documented variables and their examples."""
    text = (project / ".env.example").read_text()
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", text, re.MULTILINE))


def default(project: Path, name: str) -> float:
    """Return the default of a number in production, from the configuration table."""
    row = re.search(
        rf"^\| `{name}` \|[^|]*\| `([\d.]+)`", (project / "docs/configuration.md").read_text(), re.MULTILINE
    )
    assert row
    return float(row[1])


def test_probe_paths_are_routes(render: Render) -> None:
    health = next(render().glob("src/*/health.py")).read_text()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert f'"{container(render())[probe]["httpGet"]["path"]}"' in health


def test_liveness_and_readiness_are_different_questions(render: Render) -> None:
    paths = {
        name: container(render())[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness", "startup")
    }
    assert paths == {"liveness": "/livez", "readiness": "/readyz", "startup": "/livez"}


def test_ports_agree(render: Render) -> None:
    project = render(preset="minimal", deploy="kubernetes", observability=["prometheus"])
    ports = {port["name"]: port["containerPort"] for port in container(project)["ports"]}
    assert ports == {"http": default(project, "PORT"), "metrics": default(project, "METRICS_PORT")}
    assert ports == {"http": 8080, "metrics": 9090}
    assert manifest(project, "service")["spec"]["ports"][0]["targetPort"] == "http"
    assert f"EXPOSE {ports['http']}" in (project / "Dockerfile").read_text()
    assert [port["name"] for port in container(render(preset="minimal", deploy="kubernetes"))["ports"]] == ["http"]


def test_pools_of_all_pods_fit_the_database(render: Render) -> None:
    spec = manifest(render(), "deployment")["spec"]
    pods = spec["replicas"] + spec["strategy"]["rollingUpdate"]["maxSurge"]
    connections = default(render(), "DATABASE_POOL_SIZE") + default(render(), "DATABASE_MAX_OVERFLOW")
    # https://www.postgresql.org/docs/current/runtime-config-connection.html: 100, of which 3 are reserved.
    assert pods * connections <= 97


def test_environment_keys_are_settings(render: Render) -> None:
    project = render()
    kustomization = manifest(project, "kustomization")
    keys = {literal.partition("=")[0] for literal in kustomization["configMapGenerator"][0]["literals"]}
    keys |= set(re.findall(r"\b(GIT_COMMIT|BUILD_TIME)=", (project / "Dockerfile").read_text()))
    assert keys == {"APP_ENV", "LOG_LEVEL", "GIT_COMMIT", "BUILD_TIME"}
    assert keys <= settings(project).keys()


def test_what_is_referred_to_exists(render: Render) -> None:
    project = render()
    pod = manifest(project, "deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == manifest(project, "service-account")["metadata"]["name"]
    (config, secret) = container(project)["envFrom"]
    assert config["configMapRef"]["name"] == manifest(project, "kustomization")["configMapGenerator"][0]["name"]
    page = (project / "docs" / "deployment" / "production.md").read_text()
    assert f"secret generic {secret['secretRef']['name']}" in page
    assert container(project)["image"] == manifest(project, "kustomization")["images"][0]["name"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container(project)["volumeMounts"]} == volumes


@pytest.mark.parametrize("answers", [{}, {"preset": "full"}, {"example": "none"}, {"observability": []}], ids=str)
def test_selectors_are_the_same_in_every_rendering(render: Render, answers: dict[str, Any]) -> None:
    spec = manifest(render(**answers), "deployment")["spec"]
    labels = {"app": "my-service", "track": "stable", "version": "blue"}
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == labels
    service = manifest(render(**answers), "service")["spec"]["selector"]
    assert service == {"app": "my-service", "version": "blue"}
    assert service.items() <= labels.items()


def test_pod_is_restricted(render: Render) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    pod = manifest(render(), "deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(render())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]
    assert container(render())["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert "USER 10001:10001" in (render() / "Dockerfile").read_text()


def test_resources_are_the_answers(render: Render) -> None:
    resources = container(render())["resources"]
    assert (resources["requests"]["cpu"], resources["requests"]["memory"]) == ("250m", "256Mi")
    assert (resources["limits"]["cpu"], resources["limits"]["memory"]) == ("500m", "512Mi")
    without = container(render(cpu_limit="none", memory_limit="2Gi", cpu_request="1"))["resources"]
    assert without["requests"]["cpu"] in (1, "1")
    assert "cpu" not in without["limits"]
    assert without["limits"]["memory"] == "2Gi"


def test_roll_out_keeps_what_runs(render: Render) -> None:
    spec = manifest(render(), "deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 0


def test_grace_is_longer_than_what_happens_in_it(render: Render) -> None:
    project = render()
    grace = manifest(project, "deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    before = container(project)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert grace > before + default(project, "DRAIN_SECONDS") + default(project, "SHUTDOWN_SECONDS")


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


@KUBECTL
@pytest.mark.parametrize("answers", [{}, {"preset": "full", "package": "orders"}], ids=str)
def test_kustomize_builds_from_the_root(render: Render, answers: dict[str, str]) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", render(**answers) / "kubernetes"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    found = list(yaml.safe_load_all(built.stdout))
    objects = {each["kind"]: each for each in found}
    assert len(found) == len(objects)
    assert objects["ConfigMap"]["data"]["APP_ENV"] == "production"
    assert objects.keys() == {"ConfigMap", "Deployment", "Service", "ServiceAccount"}
    only = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert re.fullmatch(r"ghcr\.io/example/[a-z-]+:0\.1\.0", only["image"])
    hashed = only["envFrom"][0]["configMapRef"]["name"]
    assert hashed == objects["ConfigMap"]["metadata"]["name"]
    assert re.fullmatch(r"[a-z-]+-[a-z0-9]{10}", hashed)


def test_job_that_looks_for_losses_has_the_whole_history(render: Render) -> None:
    jobs = yaml.safe_load((render() / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    (check,) = (job for job in jobs if any("doit check" in step.get("run", "") for step in job.get("steps", [])))
    (checkout,) = (step for step in check["steps"] if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["fetch-depth"] == 0


def test_images_are_pinned_by_digest(render: Render) -> None:
    bases = re.findall(r"^FROM (\S+:\S+)", (render() / "Dockerfile").read_text(), re.MULTILINE)
    assert len(bases) == 2
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", base) for base in bases)
