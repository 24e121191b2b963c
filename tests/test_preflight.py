"""`doit preflight` finds what is not ready for production, and says what to do about it."""

import base64
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.back_ends import Vault
from tests.conftest import Render
from tests.kubernetes_api import running
from tests.kubernetes_objects import Api
from tests.planting import plant
from tests.servers import installed, python
from tests.shell import clean_environment, git

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed"),
]
VALUES = {
    "SECRET_KEY": "5f0c1e9b7a3d4826b1f0e9d8c7a6b5f4",
    "DATABASE_URL": "postgresql://user:hidden@database/name",
    "REDIS_URL": "redis://cache",
}
Done = subprocess.CompletedProcess[str]
Preflight = Callable[..., Done]
SLOW = ("audit", "image", "security", "tests")
OVERLAY = "kubernetes/overlays/production/kustomization.yaml"
BESIDE = """
patches:
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/template/spec/containers/-, value: {name: beside, image: busybox}}
"""
PROBE = """
patches:
  - target: {kind: Deployment, name: my-service}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/livenessProbe/httpGet/path, value: /alive}
"""
PODS = """
patches:
  - target: {kind: HorizontalPodAutoscaler}
    patch: |
      - {op: replace, path: /spec/maxReplicas, value: 6}
"""
MIGRATION = "src/my_service/migrations/versions/0001_items.py"
DROPS = 'def upgrade() -> None:\n    op.drop_table("items")\n'


def configured(line: str) -> str:
    """Return what sets a variable in an overlay."""
    return f"\nconfigMapGenerator:\n  - {{name: my-service, behavior: merge, literals: [{line}]}}\n"


@pytest.fixture(scope="module")
def released(render: Render) -> Iterator[Path]:
    """The full project, installed, and released as 1.0.0."""
    with installed(render(preset="full"), tag="v1.0.0") as project:
        yield project


@pytest.fixture
def project(released: Path) -> Iterator[Path]:
    """The released project, which is as it was afterwards."""
    yield released
    git(released, "reset", "--hard", "--quiet", "v1.0.0")
    git(released, "clean", "-fdq")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A cluster with the Secret of the service."""
    with running(tmp_path) as api:
        data = {name: base64.b64encode(value.encode()).decode() for name, value in VALUES.items()}
        api.write("secrets", {"metadata": {"name": "my-service"}, "data": data})
        yield api


@pytest.fixture
def preflight(project: Path, api: Api, tmp_path: Path) -> Preflight:
    """Return a function that looks at the project with the cluster."""
    assert api

    def run(*arguments: str, cwd: Path = project, **variables: str) -> Done:
        return subprocess.run(
            [python(project), "scripts/preflight.py", *arguments],
            cwd=cwd,
            env=clean_environment(KUBECONFIG=str(tmp_path / "config"), **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def test_released_project_is_ready(preflight: Preflight) -> None:
    done = preflight(*(f"--skip={name}" for name in SLOW))
    assert done.returncode == 0, done.stdout + done.stderr
    *found, last = done.stdout.splitlines()
    assert all(line.split()[1] == "ok" for line in found)
    assert set(last.removeprefix("Left out: ").rstrip(".").split(", ")) == set(SLOW)
    assert "hidden" not in done.stdout
    assert "connections  ok       93 of 97 at most" in done.stdout


# What is planted where, and what is said of it.
FAULTS = {
    "lock": ("pyproject.toml", r"dev = \[", 'dev = ["attrs",', "uv.lock is older than pyproject.toml: `uv lock`"),
    "release": ("README.md", "#", "##", "1 files are not committed, such as README.md: commit"),
    "image": ("README.md", "#", "##", "There is no image my-service:1.0.0 here: `doit image` builds it"),
    "bases": ("Dockerfile", "@sha256:[0-9a-f]*", "", "may be another one tomorrow: give it its digest"),
    "variables": ("docs/configuration.md", "Port to listen on", "A port", "the code: `doit docs` writes it anew"),
    "manifests": (OVERLAY, "# What", BESIDE + "# What", "busybox may be another image tomorrow: give it a version"),
    "settings": (OVERLAY, "# What", configured("PORT=many") + "# What", "PORT: Input should be a valid integer"),
    "logging": (OVERLAY, "# What", configured("LOG_LEVEL=DEBUG") + "# What", "LOG_LEVEL is DEBUG: leave it out"),
    "health": (OVERLAY, "# What", PROBE + "# What", "/alive is asked for, and no route: mend"),
    "migrations": (MIGRATION, "def upgrade.*", DROPS, "takes away what the version before may need (DROP TABLE items)"),
    "connections": (OVERLAY, "# What", PODS + "# What", "need 141, and there are 97: lower DATABASE_POOL_SIZE"),
    "grace": (OVERLAY, "# What", configured("JOB_SECONDS=80") + "# What", "has 90 seconds to end, a job up to 100:"),
    "tests": ("tests/conftest.py", "import", "imports", "`doit test` fails:"),
    "security": ("src/my_service/version.py", "$", "\n\neval(input())\n", "`doit security` fails:"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_with_its_mend(name: str, project: Path, preflight: Preflight) -> None:
    path, old, new, said = FAULTS[name]
    plant(project, path, old, new)
    done = preflight(f"--only={name}")
    assert done.returncode == 1
    assert f"{name:12} NOT OK" in done.stdout
    assert said in done.stdout
    assert done.stderr == f"Not ready for production: {name}.\n"


def test_audit_that_could_ask_nobody_is_no_audit(preflight: Preflight) -> None:
    done = preflight("--only=audit", HTTPS_PROXY="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "`doit audit` fails:" in done.stdout


def test_what_lacks_in_the_cluster_is_named_and_nothing_shown(preflight: Preflight, api: Api) -> None:
    data = {"SECRET_KEY": "Y2hhbmdlLW1l", "DATABASE_URL": base64.b64encode(VALUES["DATABASE_URL"].encode()).decode()}
    api.write("secrets", {"metadata": {"name": "my-service"}, "data": data})
    lacking = preflight("--only=settings")
    assert "The Secret my-service in the namespace services lacks REDIS_URL: docs/deployment" in lacking.stdout
    api.write("secrets", {"metadata": {"name": "my-service"}, "data": data | {"REDIS_URL": "cmVkaXM6Ly9jYWNoZQ=="}})
    weak = preflight("--only=settings")
    assert "SECRET_KEY: too weak" in weak.stdout
    assert "change-me" not in weak.stdout + weak.stderr
    assert "hidden" not in weak.stdout + weak.stderr


def test_cluster_that_is_not_there_is_one_sentence(preflight: Preflight) -> None:
    done = preflight("--only=settings", "--context=elsewhere")
    assert "settings     NOT OK   kubectl knows no context elsewhere" in done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_cluster_the_settings_are_those_of_here(render: Render, preflight: Preflight, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(render(preset="full", deploy="none"), elsewhere)
    asked = ("--only=settings", "--only=logging", "--only=health")
    ready = preflight(*asked, cwd=elsewhere, **VALUES)
    assert "health       ok       /livez, /readyz" in ready.stdout
    assert ready.returncode == 0
    lacking = preflight(*asked, cwd=elsewhere, APP_ENV="development")
    assert "REDIS_URL: Field required" in lacking.stdout
    assert lacking.returncode == 1


def test_secrets_that_vault_has_are_read_by_whoever_asks(render: Render, api: Api, tmp_path: Path) -> None:
    api.delete("secrets", "my-service")
    with installed(render(preset="minimal", deploy="kubernetes", secrets="vault"), tag="v1.0.0") as project:
        vault = Vault(project, tmp_path)
        try:
            vault.let_in()
            role = {"token_policies": ["my-service"], "token_ttl": 60, "token_max_ttl": 60}
            vault.write("auth/approle/role/my-service", **role)
            role_id = vault.read("auth/approle/role/my-service/role-id")["role_id"]
            secret_id = vault.write("auth/approle/role/my-service/secret-id")["secret_id"]
            mine = {"VAULT_ADDR": vault.url, "VAULT_AUTH": "approle"}
            mine |= {"VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id, "KUBECONFIG": str(tmp_path / "config")}

            def run(script: str, *arguments: str) -> Done:
                return subprocess.run(
                    [python(project), f"scripts/{script}.py", *arguments], cwd=project, env=clean_environment(**mine),
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
                )  # fmt: skip

            asking = ("--only=settings", *(f"--from-here={name}" for name in mine if name.startswith("VAULT")))
            vault.put(PORT="8080")
            lacking = run("preflight", *asking)
            assert "also with Vault's secret/my-service:" in lacking.stdout
            assert "SECRET_KEY: required" in lacking.stdout
            vault.put(SECRET_KEY=VALUES["SECRET_KEY"])
            ready = run("preflight", *asking)
            assert ready.returncode == 0, ready.stdout
            assert VALUES["SECRET_KEY"] not in lacking.stdout + ready.stdout
            assert "See VAULT_JWT_FILE." in run("preflight", "--only=settings").stdout
            rolled = run("roll_out", "deploy", "--yes", "--dry-run")
            assert rolled.returncode == 0, rolled.stderr
        finally:
            vault.close()
