"""The image: built from the rendered Dockerfile as it stands, and run as the pod runs it."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import engine as engines
from tests.conftest import Render
from tests.planting import plant
from tests.servers import embedded, python, unix_socket
from tests.shell import clean_environment, commit, git, uv
from tests.workflows import Machine, script

pytestmark = pytest.mark.slow
SECRET = "5f0c1e9b7a3d4826b1f0e9d8c7a6b5f4"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAG = "localhost/slipway-test:1.2.3"
MOST_MEGABYTES = 260
GIVEN = {
    "SECRET_KEY": SECRET,
    "DATABASE_URL": "postgresql://postgres@/postgres?host=/sockets",
    "REDIS_URL": "unix:///sockets/redis",
}
Run = Callable[..., AbstractContextManager[engines.Container]]
NO_REGISTRY = re.compile("pinging container registry|failed to resolve source|dial tcp")


@pytest.fixture(scope="module")
def engine() -> str:
    found = engines.find_engine()
    if not found:
        pytest.skip("neither `docker info` nor `podman info` succeeds on this machine")
    return found


@pytest.fixture(scope="module")
def project_folder(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image") / "project"
    shutil.copytree(render(), folder)
    assert uv(folder, "lock", "--quiet").returncode == 0
    assert uv(folder, "sync", "--quiet").returncode == 0
    return folder


@pytest.fixture(scope="module")
def image(engine: str, project_folder: Path) -> str:
    try:
        engines.build(engine, project_folder, TAG, VERSION="1.2.3", COMMIT=COMMIT, BUILT="2026-01-02T03:04:05+00:00")
    except engines.BuildError as error:
        if NO_REGISTRY.search(str(error)) and not os.environ.get("IMAGE_BUILD_FLAGS"):
            pytest.skip(f"{engine} cannot reach a registry for the base images; `bash .ci/run` makes stand-ins")
        raise
    return TAG


@pytest.fixture(scope="module")
def sockets(project_folder: Path) -> Iterator[dict[str, str]]:
    """Where a container finds a database and a cache, and where they are on this machine."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        database = stack.enter_context(embedded(project_folder, "postgres", folder / "postgres"))
        cache = urlsplit(stack.enter_context(embedded(project_folder, "redis", folder / "redis"))).port
        stack.enter_context(unix_socket(cache or 0, folder / "redis.sock"))
        socket = f"{parse_qs(urlsplit(database).query)['host'][0]}/.s.PGSQL.5432"
        yield {"/sockets/.s.PGSQL.5432": socket, "/sockets/redis": str(folder / "redis.sock")}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder like that of a mounted Secret: each file is a link to one in a version of all."""
    folder = tmp_path_factory.mktemp("secrets")
    version = folder / "..2026_11_24"
    version.mkdir()
    (folder / "..data").symlink_to(version.name)
    for name, value in GIVEN.items():
        (version / name).write_text(value)
        (folder / name).symlink_to(f"..data/{name}")
    for path in (folder, version):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def run(engine: str, image: str, sockets: dict[str, str], secrets: Path) -> Run:
    """Return a function that runs the image, by its tag, with other arguments or with more variables."""
    # Where the pod has them; the service looks in /run/secrets.
    mounts = sockets | {"/var/run/secrets": str(secrets)}

    def run_with(*args: str, tag: str = image, **env: str) -> AbstractContextManager[engines.Container]:
        return engines.run(engine, tag, *args, env=env, port=8080, mounts=mounts)

    with engines.run(engine, image, "migrate", env=GIVEN, port=8080, mounts=sockets) as migrating:
        assert exit_code(engine, migrating) == 0, migrating.logs()
    return run_with


@pytest.fixture(scope="module")
def container(run: Run) -> Iterator[engines.Container]:
    with run() as running:
        ask(running, "/livez")
        yield running


def exit_code(engine: str, container: engines.Container) -> int:
    """Wait until a container ends and return its exit code."""
    command = [engine, "wait", container.name]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def ask(container: engines.Container, path: str) -> dict[str, Any]:
    """Return what the service answers, once it does."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(container.url(8080) + path, timeout=5) as answer:  # noqa: S310 - our own server
                loaded: dict[str, Any] = json.load(answer)
                return loaded
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer: {container.logs()}")


def test_is_ready_and_knows_what_it_is(container: engines.Container) -> None:
    assert ask(container, "/readyz")["status"] == "ok"
    assert ask(container, "/version") == {"version": "1.2.3", "commit": COMMIT, "built": "2026-01-02T03:04:05+00:00"}


def test_secrets_are_files_that_nobody_inherits(container: engines.Container) -> None:
    assert SECRET not in container.exec("cat", "/proc/1/environ").stdout
    assert container.exec("cat", "/run/secrets/SECRET_KEY").stdout == SECRET


def test_runs_without_root_capabilities_and_a_writable_disk(container: engines.Container) -> None:
    status = container.exec("cat", "/proc/1/status").stdout
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "Gid:\t10001\t10001\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert container.exec("touch", "/app/x").returncode != 0
    assert container.exec("touch", "/tmp/x").returncode == 0


def test_user_is_called_appuser(container: engines.Container) -> None:
    assert container.exec("id", "-un").stdout.strip() == "appuser"


def test_doit_builds_the_image_of_the_version(engine: str, image: str, project_folder: Path) -> None:
    assert image
    commit(project_folder)
    git(project_folder, "tag", "v1.4.0")
    flags = [*shlex.split(os.environ.get("IMAGE_BUILD_FLAGS", ""))]
    built = uv(project_folder, "run", "--locked", "doit", "image", "--", *flags)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    assert built.stdout.splitlines()[-1] == "my-service:1.4.0"
    labels = engines.inspect(engine, "my-service:1.4.0")["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.4.0"
    assert labels["org.opencontainers.image.revision"] == git(project_folder, "rev-parse", "HEAD")
    assert "ok " in uv(project_folder, "run", "--locked", "doit", "preflight", "--", "--only=image").stdout


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="needs docker-registry, Debian's package")
def test_image_is_pushed_to_where_the_manifests_have_it_from(
    engine: str, image: str, project_folder: Path, tmp_path: Path
) -> None:
    asked = "from importlib.metadata import version; print(version('my-service'))"
    here = subprocess.run([python(project_folder), "-c", asked], capture_output=True, text=True, check=True).stdout
    subprocess.run([engine, "tag", image, f"my-service:{here.strip()}"], check=True)
    with registry(tmp_path) as host:
        plant(project_folder, "kubernetes/base/kustomization.yaml", "newName: .*?\n", f"newName: {host}/my-service\n")
        done = push(project_folder, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        with urllib.request.urlopen(f"http://{host}/v2/my-service/tags/list", timeout=5) as answer:
            assert json.load(answer)["tags"] == [here.strip()]
    gone = push(project_folder, tmp_path)
    assert gone.returncode == 1
    pushed = f"{host}/my-service:{here.strip()}"
    assert f"{pushed} could not be pushed: what {engine} says above is why." in gone.stderr
    # The name that the next build would otherwise be given by podman.
    assert subprocess.run([engine, "image", "inspect", pushed], check=False, capture_output=True).returncode != 0
    subprocess.run([engine, "rmi", f"my-service:{here.strip()}"], check=False, capture_output=True)


@pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("skopeo")),
    reason="needs docker-registry and skopeo of Debian",
)
def test_image_of_another_commit_is_not_the_release(
    engine: str, image: str, project_folder: Path, tmp_path: Path
) -> None:
    commit(project_folder, "feat: start")
    git(project_folder, "tag", "--force", "v1.5.0")
    flags = [*shlex.split(os.environ.get("IMAGE_BUILD_FLAGS", ""))]
    assert uv(project_folder, "run", "doit", "image", "--", *flags).returncode == 0
    machine = Machine(project_folder, tmp_path / "machine")
    machine.give("skopeo", f'exec {shutil.which("skopeo")} "$@" --tls-verify=false\n')
    with registry(tmp_path) as host:
        name = f"{host}/my-service"

        def verify() -> subprocess.CompletedProcess[str]:
            return machine.run(f".venv/bin/python scripts/verify_release.py --only=image --image={name}")

        def push_as_release(local: str) -> None:
            for command in (
                ["tag", local, f"{name}:1.5.0"],
                ["push", "--quiet", f"{name}:1.5.0"],
                ["rmi", f"{name}:1.5.0"],
            ):
                environment = clean_environment(CONTAINERS_REGISTRIES_CONF=str(tmp_path / "registries.conf"))
                subprocess.run([engine, *command], env=environment, check=True, capture_output=True)

        assert "NOT OK   skopeo inspect failed: " in verify().stdout
        push_as_release("my-service:1.5.0")
        assert re.search(rf"image +ok +{re.escape(name)}@sha256:[0-9a-f]{{64}}\n", verify().stdout)
        push_as_release(image)
        other = verify()
        assert other.returncode == 1
        assert f"{name}:1.5.0 is not of {git(project_folder, 'rev-parse', 'HEAD')[:12]}" in other.stdout
    subprocess.run([engine, "rmi", "my-service:1.5.0"], check=False, capture_output=True)


def test_ci_builds_the_image_and_runs_it_as_in_production(
    engine: str, image: str, render: Render, tmp_path: Path
) -> None:
    assert image
    folder = tmp_path / "project"
    shutil.copytree(render(preset="minimal"), folder)
    assert uv(folder, "lock", "--quiet").returncode == 0
    machine = Machine(folder, tmp_path / "machine")
    flags = os.environ.get("IMAGE_BUILD_FLAGS", "")
    machine.give("docker", f'if [ "$1" = build ]; then shift; set -- build {flags} "$@"; fi\nexec {engine} "$@"\n')
    for step in ("Build", "Run"):
        done = machine.run(script(folder, "ci", "image", step))
        assert done.returncode == 0, done.stdout + done.stderr
    assert '"status":"ok"' in done.stdout
    subprocess.run([engine, "rm", "--force", "service"], check=False, capture_output=True)
    broken = machine.run(script(folder, "ci", "image", "Run").replace("HOST=127.0.0.1", "PORT=many"))
    subprocess.run([engine, "rm", "--force", "service"], check=False, capture_output=True)
    subprocess.run([engine, "rmi", "service"], check=False, capture_output=True)
    assert broken.returncode != 0
    assert "PORT" in broken.stdout + broken.stderr


def push(project: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Push the image of a project to a registry that speaks plain HTTP."""
    return subprocess.run(
        [python(project), "scripts/roll_out.py", "push"],
        cwd=project,
        env=clean_environment(CONTAINERS_REGISTRIES_CONF=str(folder / "registries.conf")),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a real registry on a free port, and yield its host."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    storage = {"filesystem": {"rootdirectory": str(folder / "registry")}}
    (folder / "config.yml").write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": host}}))
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as serving:
        try:
            for _ in range(100):
                with suppress(OSError), urllib.request.urlopen(f"http://{host}/v2/", timeout=5):
                    break
                time.sleep(0.1)
            yield host
        finally:
            serving.terminate()


def test_holds_no_tools_to_build_or_install(container: engines.Container) -> None:
    for tool in ("uv", "pip", "git", "gcc"):
        assert container.exec("sh", "-c", f"command -v {tool}").returncode != 0, tool
    assert container.exec("python", "-m", "pip").returncode != 0
    assert container.exec("python", "-c", "import pytest").returncode != 0


def test_logs_are_json_and_without_the_secret(container: engines.Container) -> None:
    lines = [json.loads(line) for line in container.logs().splitlines()]
    assert {"started", "listening on http://0.0.0.0:8080"} <= {line["message"] for line in lines}
    assert SECRET not in container.logs()


def test_health_check_succeeds(engine: str, container: engines.Container) -> None:
    check = engines.inspect(engine, TAG)["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert container.exec(*check[1:]).returncode == 0


def test_says_how_it_is_run(engine: str, image: str) -> None:
    config = engines.inspect(engine, image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", "my_service"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] in {"SIGTERM", "15"}
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert config["Labels"]["org.opencontainers.image.revision"] == COMMIT
    assert "SECRET" not in json.dumps(config)


def test_size_is_bounded(engine: str, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    megabytes = engines.inspect(engine, image)["Size"] / 1e6
    with capsys.disabled():
        print(f"\nthe image has {megabytes:.0f} MB")
    assert megabytes < MOST_MEGABYTES


def test_missing_settings_end_it_with_78(engine: str, image: str) -> None:
    with engines.run(engine, image, env={"PORT": "many"}, port=8080) as failing:
        assert exit_code(engine, failing) == 78


def test_nothing_is_started_beside_the_service(engine: str, image: str) -> None:
    env = {"SECRET_KEY": SECRET, "DATABASE_URL": "postgresql://u:p@127.0.0.1/x", "DATABASE_START_SECONDS": "0"}
    with engines.run(engine, image, env=env | {"REDIS_URL": "redis://127.0.0.1"}, port=8080) as failing:
        assert exit_code(engine, failing) == 69


def test_health_check_succeeds_whatever_hosts_are_allowed(engine: str, run: Run) -> None:
    check = engines.inspect(engine, TAG)["Config"]["Healthcheck"]["Test"]
    with run(ALLOWED_HOSTS="api.example.com") as running:
        time.sleep(3)
        assert running.exec(*check[1:]).returncode == 0


def test_sigterm_ends_it_cleanly(run: Run) -> None:
    with run(DRAIN_SECONDS="1") as running:
        ask(running, "/livez")
        started = time.monotonic()
        assert running.stop(30) == 0
        assert time.monotonic() - started < 10
        assert json.loads(running.logs().splitlines()[-1])["message"] == "stopped"


def test_plain_build_works_too(engine: str, run: Run, project_folder: Path) -> None:
    # What was built before lies in the cache: neither its version nor its code may come back.
    new = "from fastapi import APIRouter\n\nrouter = APIRouter()\nrouter.get('/new')(lambda: {'new': True})\n"
    (project_folder / "src" / "my_service" / "api" / "new.py").write_text(new)
    engines.build(engine, project_folder, "localhost/slipway-test:plain")
    with run(tag="localhost/slipway-test:plain") as running:
        assert ask(running, "/new") == {"new": True}
        assert ask(running, "/version") == {"version": "0.0.0", "commit": "unknown", "built": "unknown"}


def test_build_without_a_lock_is_one_sentence(engine: str, image: str, render: Render) -> None:
    assert image
    with pytest.raises(engines.BuildError, match=r"There is no uv\.lock here: run 'uv lock', commit it"):
        engines.build(engine, render(), "localhost/slipway-test:none")
