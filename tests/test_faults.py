"""Planted faults: each is caught, by the gates of the rendered project or by the template's contracts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import test_contracts
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


@pytest.mark.parametrize(
    ("name", "old", "new", "contract"),
    [
        ("kubernetes/base/deployment.yaml", "readinessProbe:", "x-readiness:", "test_probe_paths_are_routes"),
        ("Dockerfile", "USER 10001:10001\n", "", "test_pod_is_restricted"),
        ("kubernetes/base/deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "test_pod_is_restricted"),
        ("kubernetes/base/deployment.yaml", "containerPort: 8080", "containerPort: 8000", "test_ports_agree"),
        ("src/my_service/health.py", '"/livez"', '"/alive"', "test_probe_paths_are_routes"),
        ("docs/configuration.md", "| `5`", "| `50`", "test_grace_is_longer_than_what_happens_in_it"),
    ],
    ids=["no probe", "root user", "root pod", "wrong port", "route moved", "no grace"],
)
def test_contracts_catch(project: Project, name: str, old: str, new: str, contract: str) -> None:
    folder = project()
    plant(folder, name, old, new)
    with pytest.raises((AssertionError, KeyError)):
        getattr(test_contracts, contract)(lambda **_: folder)
