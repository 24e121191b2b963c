"""What is put beside the service in a cluster holds together, as far as can be told without one."""

import base64
import io
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.cluster import SECRETS, Place, reason_to_skip, succeeded
from tests.cluster_images import GOOD, name_image
from tests.cluster_pods import (
    REACHES,
    SERVICE,
    VERSIONS,
    Object,
    bystander,
    calling,
    namespace,
    privileged,
    servers,
)
from tests.conftest import Render
from tests.kubernetes_api import running
from tests.kubernetes_objects import Api
from tests.servers import free_port

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
IMAGE = f"ghcr.io/example/{SERVICE}:1.0.0"


@pytest.fixture
def objects(render: Render) -> list[Object]:
    """Return all objects that the tests apply, but for the one that is refused."""
    callers = [bystander("frontend", IMAGE, "frontend"), bystander("stranger", IMAGE)]
    return [namespace("n"), *servers(render()), *callers, *calling(IMAGE, f"http://{SERVICE}", "/version")]


@pytest.fixture
def place(tmp_path: Path, render: Render, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, Api]]:
    """A namespace of an API server that answers as a cluster does, without pods that run."""
    with running(tmp_path) as api:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        yield Place("local", "services", render()), api


def pods(objects: list[Object]) -> list[Object]:
    return [each for each in objects if each["kind"] == "Pod"]


@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_objects_are_valid(objects: list[Object], version: str) -> None:
    for each in [*objects, privileged(IMAGE)]:
        kubernetes_validate.validate(each, version, strict=True)


def test_pods_are_restricted_but_for_the_one_that_is_refused(objects: list[Object]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    expected = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for each in pods(objects):
        spec = each["spec"]
        (container,) = spec["containers"]
        assert container["securityContext"] == expected
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        volumes = {volume["name"]: volume.keys() - {"name"} for volume in spec["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        assert all(kind in ({"emptyDir"}, {"configMap"}) for kind in volumes.values())
    assert privileged(IMAGE)["spec"]["containers"][0]["securityContext"] != expected


def test_servers_are_those_of_compose_behind_the_names_of_the_secret(objects: list[Object], render: Render) -> None:
    composed = yaml.safe_load((render() / "compose.yaml").read_text())["services"].values()
    found = {each["metadata"]["name"]: each for each in pods(objects)}
    images = {found[role]["spec"]["containers"][0]["image"] for role in ("database", "cache")}
    assert images == {each["image"] for each in composed}
    services = {
        (each["metadata"]["name"], each["spec"]["ports"][0]["port"]) for each in objects if each["kind"] == "Service"
    }
    assert services == {(host, int(port)) for host, port in re.findall(r"(?:@|redis://)(\w+):(\d+)/", SECRETS)}
    for role, _ in services:
        assert found[role]["metadata"]["labels"] == {"role": role}
    assert [name for name, each in found.items() if each["metadata"]["labels"] == {"role": "frontend"}] == [
        "frontend",
        "load",
    ]


def test_ports_are_open_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = {listener.getsockname()[1]: "yes", free_port(): "no"}
        for port, expected in ports.items():
            command = [sys.executable, "-c", REACHES, "127.0.0.1", str(port)]
            assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == expected


def test_versions_of_an_answer_are_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bodies = cycle([b'{"version": "1.1.0"}', b'{"version": "1.0.0"}'])
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(next(bodies)))
    exec(compile(VERSIONS, "VERSIONS", "exec"), {})  # noqa: S102 - our own program
    assert json.loads(capsys.readouterr().out) == ["1.0.0", "1.1.0"]


@needs_kubectl
def test_only_a_cluster_that_is_named_and_answers_is_tested(place: tuple[Place, Api]) -> None:
    assert place
    assert reason_to_skip("local") == ""
    assert "names no context" in reason_to_skip("")
    assert "knows no context moon" in reason_to_skip("moon")
    assert "context away does not answer: " in reason_to_skip("away")


@needs_kubectl
def test_kubectl_takes_objects_and_secret(place: tuple[Place, Api], objects: list[Object]) -> None:
    there, api = place
    succeeded(there.apply(*(each for each in objects if each["kind"] != "Namespace")))
    assert {name for kind, name in api.objects if kind == "pods"} == {
        each["metadata"]["name"] for each in pods(objects)
    }
    data = json.loads(there.make_secret("--dry-run=client", "--output=json"))["data"]
    secret = {name: base64.b64decode(value).decode() for name, value in data.items()}
    assert secret == dict(line.split("=", 1) for line in SECRETS.splitlines())
    page = (there.project / "docs" / "deployment" / "production.md").read_text()
    assert f"kubectl create secret generic {SERVICE} --from-env-file=/dev/stdin" in page
    assert all(f"{name}=" in page for name in secret)


def test_manifests_name_the_first_version_where_images_are(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_REGISTRY", "registry.example.com/team")
    kustomization = project() / "kubernetes" / "base" / "kustomization.yaml"
    name_image(kustomization)
    (named,) = yaml.safe_load(kustomization.read_text())["images"]
    assert (named["newName"], named["newTag"]) == (f"registry.example.com/team/{SERVICE}", GOOD[0])
