"""Manifests hold together, whatever was answered and however it is rolled out."""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path
from typing import Any

import copier
import jsonschema
import kubernetes_validate
import pytest
import yaml

from extensions.rows import rows
from tests.answers import RENDERED
from tests.conftest import Render
from tests.covering import STRENGTHS, as_answers, covering
from tests.manifests import Manifests, Object, Pod, kustomize
from tests.settings import default, settings
from tests.shell import ROOT, clean_environment, files

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl, which holds kustomize, is not installed")

KUBERNETES = tuple(f"1.{minor}" for minor in range(31, 38))
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "tests" / "schemas").iterdir()}
# https://www.postgresql.org/docs/current/runtime-config-connection.html: 100, of which 3 are reserved.
CONNECTIONS = 97
MEBIBYTES = {"Mi": 1, "Gi": 1024}


@pytest.fixture(scope="module", params=STRENGTHS)
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifests]:
    """Return what is built of all renderings that are rolled out on Kubernetes, those that are equal once."""
    found = {}
    for answers in [*RENDERED, *map(as_answers, covering(request.param))]:
        project = render(**answers)
        if (project / "kubernetes").is_dir():
            found[json.dumps(sorted(map(str, files(project / "kubernetes").items())))] = Manifests(project)
    assert len(found) > 5
    return list(found.values())


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Tell whether a selector selects a pod with these labels."""
    plain = selector if set(selector) - {"matchLabels", "matchExpressions"} else selector.get("matchLabels", {})
    return plain.items() <= labels.items() and all(
        each["operator"] == "In" and labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", ())
    )


def name(each: Manifests) -> str:
    """Return the name of the service, as its objects have it."""
    found: str = each.one("ServiceAccount")["metadata"]["name"]
    return found


def service(each: Manifests) -> Pod:
    """Return the pod of the service."""
    (found,) = (pod for pod in each.pods("production") if pod.labels["app"] == name(each))
    return found


def chosen(each: Manifests) -> list[dict[str, Any]]:
    """Return the rows that were chosen."""
    answers = yaml.safe_load((each.project / ".copier-answers.yml").read_text())
    found = {answers[kind] for kind in ("database", "cache", "queue", "secrets", "errors")} | {
        *answers["observability"]
    }
    return [row for row in rows() if row["name"] in found]


def processes(each: Manifests) -> dict[str, dict[str, Any]]:
    """Return the commands that have pods of their own, by the names of their Deployments."""
    commands = (command for row in chosen(each) for command in row.get("commands", ()) if "pods" in command)
    return {f"{name(each)}-{command['name']}": command for command in commands}


def workers(each: Manifests) -> list[str]:
    """Return the names of the Deployments of those that there may be many of."""
    return [process for process, command in processes(each).items() if command["pods"] == "many"]


def configuration(each: Manifests, variant: str = "production") -> dict[str, str]:
    """Return the settings that its pods are given."""
    data: dict[str, str] = each.one("ConfigMap", variant=variant)["data"]
    return data


def setting(each: Manifests, variable: str) -> float:
    """Return a number that the service is set to in the cluster."""
    return float(configuration(each).get(variable) or default(each.project, variable))


def test_objects_are_valid_everywhere(manifests: list[Manifests]) -> None:
    objects = {json.dumps(each, sort_keys=True): each for built in manifests for each in built.objects}
    kinds = set()
    for each in objects.values():
        kinds.add(each["kind"])
        if each["kind"] in SCHEMAS:
            jsonschema.validate(each, SCHEMAS[each["kind"]])
            continue
        for version in KUBERNETES if len(manifests) > 30 else KUBERNETES[:: len(KUBERNETES) - 1]:
            kubernetes_validate.validate(each, version, strict=True)
    others = {"CronJob", "Job", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    assert kinds > SCHEMAS.keys() | others


def test_root_applies_production_and_nothing_else(manifests: list[Manifests]) -> None:
    for each in manifests:
        assert kustomize(each.folder) == each.variants["production"]
        kinds = [found["kind"] for found in each.variants["production"]]
        assert kinds.count("Deployment") == 1 + len(processes(each))
        assert configuration(each)["APP_ENV"] == "production"
        assert configuration(each, "staging") == configuration(each) | {"APP_ENV": "staging"}


def test_settings_roll_back_with_the_pods(manifests: list[Manifests]) -> None:
    for each in manifests:
        for variant in each.variants:
            hashed = each.one("ConfigMap", variant=variant)["metadata"]["name"]
            assert re.fullmatch(rf"{name(each)}-[a-z0-9]{{10}}", hashed)
            assert {pod.container["envFrom"][0]["configMapRef"]["name"] for pod in each.pods(variant)} == {hashed}
        names = {each.one("ConfigMap", variant=variant)["metadata"]["name"] for variant in ("production", "staging")}
        assert len(names) == 2


def test_settings_in_the_cluster_are_settings(manifests: list[Manifests]) -> None:
    for each in manifests:
        assert configuration(each).keys() <= settings(each.project).keys()
        others = {variable["name"] for row in chosen(each) for variable in row.get("variables", ())}
        assert configuration(each).keys() <= {"APP_ENV", "LOG_LEVEL"} | others


def test_selectors_are_those_of_the_first_release(manifests: list[Manifests]) -> None:
    for each in manifests:
        app = name(each)
        expected = {
            app: {"app": app, "track": "stable", "version": "blue"},
            f"{app}-canary": {"app": app, "track": "canary", "version": "blue"},
            f"{app}-green": {"app": app, "track": "stable", "version": "green"},
        } | {process: {"app": process} for process in processes(each)}
        found = [found for found in each.objects if found["kind"] == "Deployment"]
        assert {found["metadata"]["name"] for found in found} == expected.keys()
        for deployment in found:
            labels = expected[deployment["metadata"]["name"]]
            assert deployment["spec"]["selector"] == {"matchLabels": labels}
            assert deployment["spec"]["template"]["metadata"]["labels"] == labels
        assert each.one("Service", app)["spec"]["selector"] == {"app": app, "version": "blue"}


def test_strategies_are_disjoint(manifests: list[Manifests]) -> None:
    for each in manifests:
        pods = {pod.owner["metadata"]["name"]: pod.labels for pod in each.pods()}
        deployments = {
            found["metadata"]["name"]: found["spec"]["selector"]
            for found in each.objects
            if found["kind"] == "Deployment"
        }
        for one, other in combinations(pods, 2):
            assert pods[one] != pods[other]
        for owner, selector in deployments.items():
            assert [pod for pod, labels in pods.items() if matches(selector, labels)] == [owner]
        served = [
            pod for pod, labels in pods.items() if matches(each.one("Service", name(each))["spec"]["selector"], labels)
        ]
        assert sorted(served) == [name(each), f"{name(each)}-canary"], "neither an idle slot nor a job"


def test_what_is_referred_to_exists(manifests: list[Manifests]) -> None:
    for each in manifests:
        everything = {(found["kind"], found["metadata"]["name"]) for found in each.objects}
        page = (each.project / "docs" / "deployment" / "production.md").read_text()
        for variant in each.variants:
            own = {(found["kind"], found["metadata"]["name"]) for found in each.variants[variant]}
            for pod in each.pods(variant):
                volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
                assert {mount["name"] for mount in pod.container["volumeMounts"]} == volumes.keys()
                assert f"secret generic {volumes['secrets']['secret']['secretName']}" in page
                assert ("ServiceAccount", pod.spec["serviceAccountName"]) in everything
        for found in each.objects:
            spec = found.get("spec", {})
            match found["kind"]:
                case "HorizontalPodAutoscaler":
                    assert (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) in everything
                    assert spec["scaleTargetRef"]["name"] == found["metadata"]["name"]
                case "HTTPRoute":
                    backends = {backend["name"] for rule in spec["rules"] for backend in rule["backendRefs"]}
                    assert {("Service", backend) for backend in backends} <= own | everything
                case "Service":
                    assert any(matches(spec["selector"], pod.labels) for pod in each.pods())
                case "PodMonitor":
                    watched = [pod for pod in each.pods("production") if matches(spec["selector"], pod.labels)]
                    assert {pod.labels["app"] for pod in watched} == {name(each), *workers(each)}
                    for pod in watched:
                        ports = {port["name"] for port in pod.container["ports"]}
                        assert {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]} <= ports


def test_probe_paths_are_routes(manifests: list[Manifests]) -> None:
    for each in manifests:
        health = next(each.project.glob("src/*/health.py")).read_text()
        container = service(each).container
        probes = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("liveness", "readiness", "startup")}
        for probe in probes.values():
            assert f'"{probe["path"]}"' in health
        paths = {probe: get["path"] for probe, get in probes.items()}
        assert paths == {"liveness": "/livez", "readiness": "/readyz", "startup": "/livez"}


def test_ports_agree(manifests: list[Manifests]) -> None:
    for each in manifests:
        beside: dict[str, float] = {}
        for row in chosen(each):
            beside |= {port["name"]: default(each.project, port["variable"]) for port in row.get("ports", ())}
        expected = {"http": default(each.project, "PORT")} | beside
        own_of = {name(each): expected} | dict.fromkeys(workers(each), beside)
        for pod in each.pods("production"):
            own = own_of.get(pod.labels["app"], {})
            assert {port["name"]: port["containerPort"] for port in pod.container.get("ports", ())} == own
        for found in (found for found in each.objects if found["kind"] == "Service"):
            assert {port["targetPort"] for port in found["spec"]["ports"]} == {"http"}
        assert f"EXPOSE {int(expected['http'])}" in (each.project / "Dockerfile").read_text()
        callers = each.one("NetworkPolicy", f"{name(each)}-callers")["spec"]["ingress"]
        assert sorted(port["port"] for rule in callers for port in rule["ports"]) == sorted(expected.values())


def peer(way: Object, managed: str) -> Object:
    """Return whom a policy has to let the service speak with."""
    to = way["to"]
    if "/" in to:
        return {"ipBlock": {"cidr": to}}
    if way.get("anywhere"):
        return {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": to}}}
    if to == "internet":
        private = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
        return {"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}
    return {"podSelector": {"matchLabels": {"role": to}}} if managed == "none" else {"ipBlock": {"cidr": managed}}


def test_only_what_was_chosen_goes_in_or_out(manifests: list[Manifests]) -> None:
    for each in manifests:
        answers = yaml.safe_load((each.project / ".copier-answers.yml").read_text())
        policy = each.one("NetworkPolicy", name(each))["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in policy
        assert all(matches(policy["podSelector"], pod.labels) for pod in each.pods())
        first, *rest = policy["egress"]
        assert [port["port"] for port in first["ports"]] == [53, 53]
        assert all(rule.get("to") for rule in policy["egress"]), "no rule allows everything"
        needed = [way for row in chosen(each) for way in row.get("egress", ())]
        assert [rule["ports"] for rule in rest] == [[{"port": way["port"]}] for way in needed]
        assert [rule["to"] for rule in rest] == [[peer(way, answers["managed_cidr"])] for way in needed]
        frontend, *others = each.one("NetworkPolicy", f"{name(each)}-callers")["spec"]["ingress"]
        assert frontend["from"][0] == {"podSelector": {"matchLabels": {"role": "frontend"}}}
        namespaces = [peer["namespaceSelector"]["matchLabels"] for peer in frontend["from"][1:]]
        gateway = answers["gateway"].partition("/")[0]
        assert namespaces == [{"kubernetes.io/metadata.name": gateway}] * (gateway != "none")
        assert [rule["from"][0]["podSelector"]["matchLabels"] for rule in others] == [
            {"app.kubernetes.io/name": row["name"]} for row in chosen(each) if "ports" in row
        ]
        policies = [found["spec"] for found in each.variants["production"] if found["kind"] == "NetworkPolicy"]
        let_in = {name(each): [frontend, *others]} | dict.fromkeys(workers(each), others)
        for pod in each.pods():
            own = [policy for policy in policies if matches(policy["podSelector"], pod.labels)]
            rules = [rule for policy in own for rule in policy.get("ingress", ())]
            assert rules == let_in.get(pod.labels["app"], [])


def test_internet_is_reached_and_nothing_private(root: Path, tmp_path: Path) -> None:
    row: Object = {"name": "safe", "kind": "errors", "help": "A safe", "presets": ["api"], "requires": []}
    row["egress"] = [{"port": 443, "to": "internet"}]
    (root / "extensions" / "safe.yml").write_text(yaml.safe_dump(row))
    copier.run_copy(str(root), tmp_path / "project", defaults=True, quiet=True, unsafe=False)
    policy = Manifests(tmp_path / "project").one("NetworkPolicy", "my-service")["spec"]
    (rule,) = (rule for rule in policy["egress"] if rule["ports"] == [{"port": 443}])
    (peer,) = rule["to"]
    allowed = ip_network(peer["ipBlock"]["cidr"])
    kept_out = [ip_network(each) for each in peer["ipBlock"]["except"]]
    assert ip_address("1.1.1.1") in allowed
    for address in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "1.1.1.1"):
        assert any(ip_address(address) in each for each in kept_out) == (address != "1.1.1.1")


def test_requests_come_through_the_gateway_that_was_named(manifests: list[Manifests]) -> None:
    gateways = set()
    for each in manifests:
        answers = yaml.safe_load((each.project / ".copier-answers.yml").read_text())
        routes = [found for found in each.variants["production"] if found["kind"] == "HTTPRoute"]
        gateways |= {
            f"{parent['namespace']}/{parent['name']}" for route in routes for parent in route["spec"]["parentRefs"]
        }
        assert len(routes) == (answers["gateway"] != "none")
        for route in routes:
            (rule,) = route["spec"]["rules"]
            assert [backend["weight"] for backend in rule["backendRefs"]] == [100, 0]
    assert gateways == {"gateways/public"}


def test_registry_is_opened_by_the_secret_that_was_named(manifests: list[Manifests]) -> None:
    for each in manifests:
        answers = yaml.safe_load((each.project / ".copier-answers.yml").read_text())
        secret = answers["image_pull_secret"]
        expected = [] if secret == "none" else [{"name": secret}]
        assert each.one("ServiceAccount").get("imagePullSecrets", []) == expected


def test_pods_are_restricted(manifests: list[Manifests]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    for each in manifests:
        assert "USER 10001:10001" in (each.project / "Dockerfile").read_text()
        for pod in each.pods():
            assert pod.spec["securityContext"] == {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            assert pod.container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert pod.spec["automountServiceAccountToken"] is pod.spec["enableServiceLinks"] is False
            assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.spec.keys()
        assert each.one("ServiceAccount")["automountServiceAccountToken"] is False


def test_what_is_mounted_is_secret_or_bounded(manifests: list[Manifests]) -> None:
    for each in manifests:
        folder = re.search(r"^# SECRETS_DIR=(.*)$", (each.project / ".env.example").read_text(), re.MULTILINE)
        assert folder
        tokens = {row["token"]["folder"] for row in chosen(each) if "token" in row}
        pool = {"DATABASE_POOL_SIZE", "DATABASE_MAX_OVERFLOW"} & configuration(each).keys()
        pools = {process: pool for process, command in processes(each).items() if "pool" in command}
        for pod in each.pods():
            mounts = {mount["mountPath"]: mount for mount in pod.container["volumeMounts"]}
            # In the image, /var/run is a link to /run.
            assert mounts.keys() - tokens == {"/tmp", f"/var{folder[1]}"}
            assert mounts[f"/var{folder[1]}"]["readOnly"] is True
            volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
            assert volumes["secrets"]["secret"]["defaultMode"] == 0o440
            assert volumes["tmp"] == {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
            assert [source.keys() for source in pod.container["envFrom"]] == [{"configMapRef"}]
            own = {variable["name"] for variable in pod.container.get("env", ())}
            assert own == pools.get(pod.labels["app"], set())
            limit = pod.container["resources"]["limits"]["ephemeral-storage"]
            assert memory(limit) > memory("64Mi")
        assert not [found for found in each.objects if found["kind"] == "Secret"]


def memory(quantity: str) -> int:
    """Return mebibytes."""
    return int(quantity[:-2]) * MEBIBYTES[quantity[-2:]]


def test_resources_are_the_answers(manifests: list[Manifests]) -> None:
    for each in manifests:
        answers = yaml.safe_load((each.project / ".copier-answers.yml").read_text())
        for pod in each.pods():
            resources = pod.container["resources"]
            assert str(resources["requests"]["cpu"]) == answers["cpu_request"]
            assert str(resources["limits"].get("cpu", "none")) == answers["cpu_limit"]
            assert resources["requests"]["memory"] == answers["memory_request"]
            assert resources["limits"]["memory"] == answers["memory_limit"]


def test_roll_out_and_disruption_leave_enough(manifests: list[Manifests]) -> None:
    for each in manifests:
        for app in (name(each), *workers(each)):
            spec = each.one("Deployment", app)["spec"]
            assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
            assert spec["minReadySeconds"] > 0
            assert "replicas" not in spec, "they would be set back at each roll-out"
            scale = each.one("HorizontalPodAutoscaler", app)["spec"]
            budget = each.one("PodDisruptionBudget", app)["spec"]
            # A worker may be away for a moment: what it would do waits.
            least = scale["minReplicas"] if app == name(each) else scale["minReplicas"] + 1
            assert budget["maxUnavailable"] < least <= scale["maxReplicas"]
            owned = [pod.labels["app"] for pod in each.pods("production") if matches(budget["selector"], pod.labels)]
            assert owned == [app]
            (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
            assert spread["labelSelector"] == spec["selector"]


def test_there_is_never_a_second_of_what_there_is_one_of(manifests: list[Manifests]) -> None:
    alone = 0
    for each in manifests:
        for process in processes(each).keys() - {*workers(each)}:
            spec = each.one("Deployment", process)["spec"]
            assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
            own = {found["kind"] for found in each.objects if found["metadata"]["name"] == process}
            assert own == {"Deployment"}, "nothing scales it, and nothing keeps it where it is"
            alone += 1
    assert alone


def test_pools_of_all_pods_fit_the_database(manifests: list[Manifests]) -> None:
    with_database = [each for each in manifests if "DATABASE_POOL_SIZE" in settings(each.project)]
    assert with_database
    for each in with_database:
        pool = setting(each, "DATABASE_POOL_SIZE") + setting(each, "DATABASE_MAX_OVERFLOW")
        # Both slots, or the stable track and a canary of half; and whoever migrates.
        needed = 2 * most_pods(each, name(each)) * pool + 1
        for worker in workers(each):
            (pod,) = (pod for pod in each.pods("production") if pod.labels["app"] == worker)
            own = {variable["name"]: float(variable["value"]) for variable in pod.container["env"]}
            count = math.ceil(setting(each, "WORKER_CONCURRENCY") / own["DATABASE_POOL_SIZE"])
            needed += most_pods(each, worker) * count * (own["DATABASE_POOL_SIZE"] + own["DATABASE_MAX_OVERFLOW"])
        assert needed <= CONNECTIONS


def most_pods(each: Manifests, app: str) -> float:
    """Return how many pods of a Deployment there may be."""
    surge: float = each.one("Deployment", app)["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    most: float = each.one("HorizontalPodAutoscaler", app)["spec"]["maxReplicas"]
    return most + surge


def test_grace_is_longer_than_what_happens_in_it(manifests: list[Manifests]) -> None:
    for each in manifests:
        beside = processes(each)
        for pod in each.pods("production"):
            if pod.labels["app"] in beside:
                assert "lifecycle" not in pod.container
                # After its limit, a job that does not end by itself is killed.
                needed = setting(each, "JOB_SECONDS") + 10
            else:
                before = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
                needed = before + setting(each, "DRAIN_SECONDS") + setting(each, "SHUTDOWN_SECONDS")
            assert pod.spec["terminationGracePeriodSeconds"] > needed


def test_migration_is_the_service_run_once(manifests: list[Manifests]) -> None:
    with_jobs = [each for each in manifests if "migration" in each.variants]
    expected = [each for each in manifests if any(row["kind"] == "database" for row in chosen(each))]
    assert with_jobs == expected != []
    for each in with_jobs:
        job = each.one("Job", variant="migration")
        (pod,) = each.pods("migration")
        assert pod.container["args"] == ["migrate"]
        assert is_like_the_service(each, pod)
        assert job["spec"]["backoffLimit"] > 0
        assert job["spec"]["activeDeadlineSeconds"] > setting(each, "DATABASE_START_SECONDS")
        assert {found["kind"] for found in each.variants["migration"]} == {"ConfigMap", "Job", "ServiceAccount"}
        assert kustomize(each.folder / "migration") == each.variants["migration"]


def is_like_the_service(each: Manifests, pod: Pod) -> bool:
    """Tell whether a pod has the image, the settings, the secrets and the limits of the service."""
    same = ("image", "envFrom", "volumeMounts", "resources", "securityContext")
    whole = ("serviceAccountName", "volumes", "securityContext")
    model = service(each)
    return all(pod.container[part] == model.container[part] for part in same) and all(
        pod.spec[part] == model.spec[part] for part in whole
    )


def test_processes_are_the_service_with_another_command(manifests: list[Manifests]) -> None:
    seen = set()
    for each in manifests:
        for process, command in processes(each).items():
            seen.add(process.removeprefix(f"{name(each)}-"))
            (pod,) = (pod for pod in each.pods("production") if pod.labels["app"] == process)
            assert pod.container["args"] == [command["name"]]
            assert is_like_the_service(each, pod)
            (staged,) = (pod for pod in each.pods("staging") if pod.labels["app"] == process)
            settings_of = staged.container["envFrom"][0]["configMapRef"]["name"]
            assert settings_of == each.one("ConfigMap", variant="staging")["metadata"]["name"]
    assert seen == {command["name"] for row in rows() for command in row.get("commands", ()) if "pods" in command}


def test_canary_slots_and_jobs_have_no_process(manifests: list[Manifests]) -> None:
    for each in manifests:
        label, whole = {"part-of": name(each)}, processes(each).keys()
        for variant, objects in each.variants.items():
            owned = {
                found["metadata"]["name"]
                for found in objects
                if found["metadata"].get("labels", {}).items() >= label.items()
            }
            alone = variant in {"blue", "green", "canary", "migration", "cron-job"}
            assert owned == (set() if alone else whole)
            assert len(list(each.pods(variant))) == (1 if alone else 1 + len(whole))


def test_processes_are_alive_while_they_touch_their_file(manifests: list[Manifests]) -> None:
    probes = set()
    for each in manifests:
        for pod in each.pods("production"):
            if pod.labels["app"] in processes(each):
                assert "readinessProbe" not in pod.container, "it gets no requests"
                starting, living = pod.container["startupProbe"], pod.container["livenessProbe"]
                assert starting["exec"] == living["exec"]
                assert starting["periodSeconds"] * starting["failureThreshold"] == 60
                probes.add(tuple(living["exec"]["command"]))
    assert len(probes) == 1
    command = probes.pop()
    with tempfile.TemporaryDirectory() as folder:
        heartbeat = Path(folder) / "heartbeat"
        own = [part.replace("/tmp/heartbeat", str(heartbeat)) for part in command]
        assert own != list(command)
        assert subprocess.run(own, check=False, capture_output=True).returncode == 1
        heartbeat.touch()
        for seconds, code in ((0, 0), (50, 0), (70, 1)):
            at = time.time() - seconds
            os.utime(heartbeat, (at, at))
            assert subprocess.run(own, check=False, capture_output=True).returncode == code


def test_workers_are_scaled_by_what_waits_where_prometheus_tells(manifests: list[Manifests]) -> None:
    seen = set()
    for each in manifests:
        expected = bool(workers(each)) and any(row["name"] == "prometheus" for row in chosen(each))
        seen.add(expected)
        assert ("queue-scaling" in each.variants) == expected
        for worker in workers(each) if expected else ():
            cpu, queue = each.one("HorizontalPodAutoscaler", worker, "queue-scaling")["spec"]["metrics"]
            assert cpu["type"] == "Resource"
            assert queue["external"]["metric"] == {
                "name": "queue_jobs",
                "selector": {"matchLabels": {"job": name(each)}},
            }
            text = (each.folder / "components" / "queue-scaling" / "kustomization.yaml").read_text()
            (rule,) = yaml.safe_load("".join(re.findall(r"^#(     .*\n)", text, re.MULTILINE)))
            assert rule["seriesQuery"].partition("{")[0] == queue["external"]["metric"]["name"]
            assert 'job=~"(.*/)?<<.LabelValuesByName.job>>"' in rule["metricsQuery"]
    assert seen == {True, False}


def test_schedule_is_the_service_run_again_and_again(manifests: list[Manifests], tmp_path: Path) -> None:
    for each in manifests:
        (pod,) = each.pods("cron-job")
        spec = pod.owner["spec"]
        assert (pod.owner["kind"], pod.container["args"]) == ("CronJob", ["check"])
        assert is_like_the_service(each, pod)
        assert not {"ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"} & pod.container.keys()
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600, (
            "what hangs would keep the next from starting"
        )
        assert {found["kind"] for found in each.variants["cron-job"]} == {"ConfigMap", "CronJob", "ServiceAccount"}
    # As the comment of the component says, in a folder beside it.
    folder = shutil.copytree(each.folder, tmp_path / "kubernetes")
    text = (folder / "components" / "cron-job" / "kustomization.yaml").read_text()
    (folder / "nightly").mkdir()
    written = "".join(re.findall(r"^#     (.*\n)", text, re.MULTILINE))
    (folder / "nightly" / "kustomization.yaml").write_text(written)
    (nightly,) = (found for found in kustomize(folder / "nightly") if found["kind"] == "CronJob")
    assert nightly["metadata"]["name"] == f"{name(each)}-nightly"
    assert nightly["spec"]["schedule"] == "30 2 * * *"
    assert nightly["metadata"]["labels"] == pod.labels


@pytest.mark.slow
def test_checkov_has_nothing_to_say(manifests: list[Manifests], tmp_path: Path) -> None:
    distinct = {json.dumps(found, sort_keys=True): found for each in manifests for found in each.objects}
    assert checkov(tmp_path, *distinct.values()) == set()
    (pod,) = manifests[0].pods("canary")
    del pod.owner["metadata"]["annotations"], pod.container["securityContext"]
    assert checkov(tmp_path, pod.owner) >= {"CKV_K8S_15", "CKV_K8S_20", "CKV_K8S_43"}


def checkov(folder: Path, *objects: Object) -> set[str]:
    """Return what checkov has against objects in a namespace; it stays apart, since it needs other versions of ours."""
    placed = [found | {"metadata": found["metadata"] | {"namespace": "services"}} for found in objects]
    (folder / "all.yaml").write_text(yaml.safe_dump_all(placed))
    command = ["uvx", "--quiet", "--from=checkov==3.3.30", "checkov", "--file=all.yaml", "--framework=kubernetes"]
    options = ["--skip-download", "--quiet", "--compact"]
    done = subprocess.run(
        [*command, *options], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False
    )
    failed = set(re.findall(r"^Check: (\w+)", done.stdout, re.MULTILINE))
    assert (done.returncode, "Passed checks" in done.stdout) == (bool(failed), True), done.stdout + done.stderr
    return failed


def secrets_in(pod: Pod) -> tuple[bool, list[Object]]:
    """Return whether a pod starts without the Secret, and the tokens that it has."""
    volumes = {each["name"]: each for each in pod.spec["volumes"]}
    tokens = [source for each in volumes.values() for source in each.get("projected", {}).get("sources", ())]
    return volumes["secrets"]["secret"].get("optional", False), tokens


def test_token_of_the_account_is_there_for_a_login_only(manifests: list[Manifests]) -> None:
    for each in manifests:
        rows = [row for row in chosen(each) if "token" in row]
        for pod in each.pods("production"):
            assert pod.spec["automountServiceAccountToken"] is False
            _, tokens = secrets_in(pod)
            assert [token["serviceAccountToken"]["audience"] for token in tokens] == [
                row["token"]["audience"] for row in rows
            ]
            mounts = {mount["mountPath"] for mount in pod.spec["containers"][0]["volumeMounts"]}
            assert {row["token"]["folder"] for row in rows} <= mounts


def test_secret_is_needed_where_nothing_else_has_the_secrets(manifests: list[Manifests]) -> None:
    seen = set()
    for each in manifests:
        elsewhere = [row for row in chosen(each) if row["kind"] == "secrets" and row["name"] != "kubernetes"]
        seen.add(bool(elsewhere))
        for pod in each.pods("production"):
            assert secrets_in(pod)[0] == bool(elsewhere)
        for row in elsewhere:
            first = next(variable["name"] for variable in row["variables"] if "kubernetes" in variable)
            assert each.one("ConfigMap")["data"][first]
            assert each.one("ConfigMap", variant="external-secrets")["data"][first] == ""
            assert each.one("ExternalSecret", name(each), "external-secrets")["spec"]["target"] == {"name": name(each)}
            for pod in each.pods("external-secrets"):
                assert secrets_in(pod) == (False, [])
    assert seen == {True, False}
