"""Planted faults: each is caught, by the gates of the rendered project or by the template's contracts."""

import shutil
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest

from tests import test_manifests
from tests.manifests import Manifests
from tests.shell import uv

Project = Callable[..., Path]


def plant(folder: Path, name: str, old: str, new: str) -> None:
    """Change a file of a project; the fault has to be one."""
    text = (folder / name).read_text()
    assert old in text, f"nothing to break in {name}"
    (folder / name).write_text(text.replace(old, new))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "gate", "caught_by"),
    [
        (
            "src/my_service/logging.py",
            "redact(json.loads(line))",
            "json.loads(line)",
            "tests/test_logging.py",
            "test_secret_fields_are_redacted",
        ),
        (
            "src/my_service/environment.py",
            'default="production"',
            'default="development"',
            "tests/test_settings.py",
            "test_unset_environment_is_production",
        ),
        (
            "pyproject.toml",
            '    "itsdangerous>=2.2,<3",\n',
            "",
            "tests",
            "No module named 'itsdangerous'",
        ),
        (
            "src/my_service/requests.py",
            "_route(scope),",
            'scope["path"],',
            "tests/integrations/test_prometheus.py",
            "test_unknown_paths_and_methods_share_a_label",
        ),
        (
            "src/my_service/server.py",
            "self.cycle.keep_alive = False",
            "pass",
            "tests/test_server.py",
            "test_sigterm_turns_readiness_off_first_and_finishes",
        ),
    ],
    ids=["no redaction", "fails open", "missing dependency", "raw paths as labels", "connections stay open"],
)  # fmt: skip
def test_projects_own_tests_catch(  # noqa: PLR0917 - a table
    project: Project, name: str, old: str, new: str, gate: str, caught_by: str
) -> None:
    folder = project()
    plant(folder, name, old, new)
    done = uv(folder, "run", "pytest", "--quiet", "--show-capture=no", gate)
    assert done.returncode not in {0, 5}
    assert caught_by in done.stdout + done.stderr


WHOLE, DEPLOYMENT, POLICY, SCALE, SETTINGS, CANARY, GREEN, MIGRATION, SCHEDULE, NAMES, WORKER, BEAT = (
    f"kubernetes/{name}.yaml"
    for name in (
        "kustomization",
        "base/deployment",
        "base/network-policy",
        "base/horizontal-pod-autoscaler",
        "base/kustomization",
        "components/canary/kustomization",
        "components/green/kustomization",
        "components/migration/kustomization",
        "components/cron-job/kustomization",
        "components/cron-job/names",
        "base/worker-deployment",
        "base/beat-deployment",
    )
)


@pytest.mark.parametrize(
    ("name", "old", "new", "contract"),
    [
        (DEPLOYMENT, "path: /readyz", "path: /ready", "probe_paths_are_routes"),
        ("src/my_service/health.py", '"/livez"', '"/alive"', "probe_paths_are_routes"),
        ("Dockerfile", "USER 10001:10001\n", "", "pods_are_restricted"),
        (DEPLOYMENT, "runAsNonRoot: true", "runAsNonRoot: false", "pods_are_restricted"),
        (DEPLOYMENT, "containerPort: 8080", "containerPort: 8000", "ports_agree"),
        (POLICY, "port: 9090", "port: 9091", "ports_agree"),
        ("docs/configuration.md", "| `5`", "| `50`", "grace_is_longer_than_what_happens_in_it"),
        (DEPLOYMENT, "revisionHistoryLimit", "revisionHistory", "objects_are_valid_everywhere"),
        (DEPLOYMENT, "track: stable", "track: steady", "selectors_are_those_of_the_first_release"),
        (CANARY, "/spec/selector/matchLabels/track", "/metadata/labels/track", "strategies_are_disjoint"),
        (GREEN, "value: green", "value: blue", "strategies_are_disjoint"),
        (DEPLOYMENT, "secretName: my-service", "secretName: other", "what_is_referred_to_exists"),
        (GREEN, "Deployment|HorizontalPodAutoscaler", "Deployment", "what_is_referred_to_exists"),
        (POLICY, "app.kubernetes.io/name: prom", "app: prom", "only_what_was_chosen_goes_in_or_out"),
        (POLICY, "role: database", "role: any", "only_what_was_chosen_goes_in_or_out"),
        (DEPLOYMENT, "sizeLimit: 64Mi", "sizeLimit: 1Gi", "what_is_mounted_is_secret_or_bounded"),
        (SETTINGS, "POOL_SIZE=5", "POOL_SIZE=20", "pools_of_all_pods_fit_the_database"),
        (SCALE, "minReplicas: 2", "minReplicas: 1", "roll_out_and_disruption_leave_enough"),
        (WHOLE, "overlays/production", "overlays/staging", "root_applies_production_and_nothing_else"),
        (MIGRATION, "args: [migrate]", "args: [serve]", "migration_is_the_service_run_once"),
        (MIGRATION, "part-of=my-service", "part-of=other", "canary_slots_and_jobs_have_no_process"),
        (NAMES, "envFrom", "env", "settings_roll_back_with_the_pods"),
        (SCHEDULE, "app: my-service-cron", "app: my-service-nightly", "only_what_was_chosen_goes_in_or_out"),
        (WORKER, "app: my-service-worker", "app: my-service", "selectors_are_those_of_the_first_release"),
        (WORKER, "Seconds: 90", "Seconds: 60", "grace_is_longer_than_what_happens_in_it"),
        (WORKER, "-60 seconds", "-600 seconds", "processes_are_alive_while_they_touch_their_file"),
        (WORKER, 'value: "1"', 'value: "9"', "pools_of_all_pods_fit_the_database"),
        (WORKER, "secretName: my-service", "secretName: other", "processes_are_the_service_with_another_command"),
        (BEAT, "type: Recreate", "type: RollingUpdate", "there_is_never_a_second_of_what_there_is_one_of"),
    ],
)  # fmt: skip
@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl, which holds kustomize, is not installed")
def test_contracts_catch(project: Project, name: str, old: str, new: str, contract: str) -> None:
    folder = project(queue="celery")
    plant(folder, name, old, new)
    with pytest.raises((AssertionError, KeyError, kubernetes_validate.ValidationError)):
        getattr(test_manifests, f"test_{contract}")([Manifests(folder)])
