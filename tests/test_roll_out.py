"""Rolling out and back with kubectl, on an API server that answers as a cluster does."""

import copy
import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.kubernetes_api import running
from tests.kubernetes_objects import REVISION, Api, Object
from tests.planting import plant
from tests.servers import installed as released
from tests.servers import python
from tests.shell import clean_environment, git, uv

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed"),
]
IMAGE = "ghcr.io/example/my-service"
SECRET: Object = {
    "metadata": {"name": "my-service"},
    "data": dict.fromkeys(("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"), "c2VjcmV0"),
}
PROCESSES = ("-worker", "-beat")
Done = subprocess.CompletedProcess[str]
Roll = Callable[..., Done]


@pytest.fixture(scope="module")
def installed(render: Render) -> Iterator[Path]:
    """The full project behind a Gateway, installed, and released as 1.0.0."""
    with released(render(preset="full", gateway="gateways/public"), tag="v1.0.0") as project:
        yield project


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A cluster with the Secret of the service, and nothing else."""
    with running(tmp_path) as api:
        api.write("secrets", copy.deepcopy(SECRET))
        yield api


@pytest.fixture
def roll(installed: Path, api: Api, tmp_path: Path) -> Roll:
    """Return a function that runs one of the tasks."""
    assert api

    def run(command: str, *arguments: str, config: Path = tmp_path / "config") -> Done:
        return ask(installed, config, *command.split(), *arguments)

    return run


def ask(project: Path, config: Path, *arguments: str, **variables: str) -> Done:
    """Run one of the tasks, with nobody to answer a question."""
    return subprocess.run(
        [python(project), "scripts/roll_out.py", *arguments],
        cwd=project,
        env=clean_environment(KUBECONFIG=str(config), **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def after_deploy(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Object]:
    """Return the objects of a cluster where 1.0.0 was deployed."""
    folder = tmp_path_factory.mktemp("deployed")
    with running(folder) as api:
        api.write("secrets", copy.deepcopy(SECRET))
        succeeded(ask(installed, folder / "config", "deploy", "--yes"))
        return api.objects


@pytest.fixture
def deployed(api: Api, after_deploy: dict[tuple[str, str], Object]) -> Api:
    """Return a cluster where 1.0.0 was deployed."""
    api.objects = copy.deepcopy(after_deploy)
    return api


def succeeded(done: Done) -> str:
    """Return what a command printed; it has to succeed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done: Done) -> str:
    """Return the sentence that a command ended with; it has to be one, and no traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert sentence.endswith("."), sentence
    return sentence


def changes(api: Api) -> list[tuple[str, str]]:
    """Return the requests that changed something."""
    return [request for request in api.requests if request[0] != "GET"]


def deployment(api: Api, suffix: str = "") -> Object:
    """Return a Deployment as it is in the cluster."""
    return api.objects["deployments", f"my-service{suffix}"]


def image(api: Api, suffix: str = "") -> str:
    """Return what a Deployment runs."""
    found: str = deployment(api, suffix)["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def runs(api: Api, suffix: str = "") -> tuple[str, str]:
    """Return the version that a Deployment runs, and the ConfigMap that it has."""
    container = deployment(api, suffix)["spec"]["template"]["spec"]["containers"][0]
    return container["image"].rpartition(":")[2], container["envFrom"][0]["configMapRef"]["name"]


def beside(api: Api) -> set[str]:
    """Return the versions of what runs beside the service."""
    return {runs(api, suffix)[0] for suffix in PROCESSES}


def selected(api: Api) -> str:
    """Return the slot that gets the requests, which is the same for both Services."""
    (version,) = {
        api.objects["services", name]["spec"]["selector"]["version"] for name in ("my-service", "my-service-stable")
    }
    return str(version)


def slots(api: Api) -> dict[str, str]:
    """Return which slot gets the requests, and the version in each."""
    versions = {slot: image(api, suffix).rpartition(":")[2] for slot, suffix in (("blue", ""), ("green", "-green"))}
    return {"live": selected(api)} | versions


def weights(api: Api) -> dict[str, int]:
    """Return the shares of the HTTPRoute."""
    (rule,) = api.objects["httproutes", "my-service"]["spec"]["rules"]
    return {backend["name"].rpartition("-")[2]: backend["weight"] for backend in rule["backendRefs"]}


def test_deploy_migrates_first_and_rolls_out_the_released_version(roll: Roll, api: Api) -> None:
    said = succeeded(roll("deploy --yes"))
    assert said.rstrip().endswith(f"{IMAGE}:1.0.0 is rolled out.")
    assert image(api) == f"{IMAGE}:1.0.0"
    made = [path.rpartition("/")[2] for method, path in changes(api) if method == "POST"]
    assert made.index("jobs") < made.index("deployments")
    job = api.objects["jobs", "my-service-migrate"]["spec"]["template"]["spec"]["containers"][0]
    assert (job["image"], job["args"]) == (image(api), ["migrate"])
    assert deployment(api)["metadata"]["annotations"]["kubernetes.io/change-cause"] == image(api)
    assert {runs(api, suffix) for suffix in PROCESSES} == {runs(api)}
    status = succeeded(roll("status"))
    assert "1.0.0, 2 of 2 pods ready, gets the requests" in status
    assert f"worker: {IMAGE}:1.0.0, 1 of 1 pods ready\nbeat: {IMAGE}" in "\n".join(reversed(status.splitlines()))
    logs = succeeded(roll("logs"))
    for suffix in ("", *PROCESSES):
        assert re.search(rf"^\[pod/my-service{suffix}-[0-9a-f]+-0/service\] the log of a pod", logs, re.MULTILINE)


def test_migration_that_fails_leaves_what_runs(roll: Roll, deployed: Api) -> None:
    before = dict(deployment(deployed)["metadata"])
    done = roll("deploy --yes --image", f"{IMAGE}-broken:1.1.0")
    assert "The migration failed" in refused(done)
    assert "the log of a pod" in done.stdout
    assert deployment(deployed)["metadata"] == before


def test_image_that_is_not_there_ends_the_migration_at_once(roll: Roll, deployed: Api) -> None:
    sentence = refused(roll("deploy --yes --image", f"{IMAGE}:1.1.0-absent"))
    assert sentence.startswith(f"The cluster cannot get {IMAGE}:1.1.0-absent (ImagePullBackOff)")
    assert image(deployed) == f"{IMAGE}:1.0.0"
    # Nothing that would migrate later, when somebody has pushed it.
    assert ("jobs", "my-service-migrate") not in deployed.objects
    assert not [name for kind, name in deployed.objects if kind == "pods" and "migrate" in name]


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch, deployed: Api) -> None:
    """Have migrations succeed whatever their image."""
    write = deployed.write

    def lenient(resource: str, found: Object) -> Object:
        written = write(resource, found)
        if resource == "jobs":
            written["status"]["conditions"][0]["type"] = "Complete"
        return written

    monkeypatch.setattr(deployed, "write", lenient)


@pytest.mark.usefixtures("no_jobs")
def test_image_that_does_not_come_up_is_undone(roll: Roll, deployed: Api) -> None:
    sentence = refused(roll("deploy --yes --image", f"{IMAGE}:2.0.0-broken"))
    assert sentence == f"{IMAGE}:2.0.0-broken did not come up (ImagePullBackOff). {IMAGE}:1.0.0 runs again."
    assert image(deployed) == f"{IMAGE}:1.0.0"
    assert "kept" in refused(roll("deploy --yes --keep --image", f"{IMAGE}:2.0.0-broken"))
    assert image(deployed) == f"{IMAGE}:2.0.0-broken"


@pytest.mark.usefixtures("no_jobs")
def test_worker_that_does_not_come_up_undoes_the_service_too(roll: Roll, deployed: Api) -> None:
    sentence = refused(roll("deploy --yes --image", f"{IMAGE}:2.0.0-workless"))
    why = f"{IMAGE}:2.0.0-workless did not come up in my-service-"
    assert sentence.startswith(why)
    assert sentence.endswith(f" (ImagePullBackOff). {IMAGE}:1.0.0 runs again.")
    assert (image(deployed), beside(deployed)) == (f"{IMAGE}:1.0.0", {"1.0.0"})
    # What is rolled out for the first time has nothing to go back to.
    for suffix in PROCESSES:
        for kind in ("deployments", "horizontalpodautoscalers", "poddisruptionbudgets"):
            deployed.delete(kind, f"my-service{suffix}")
    assert refused(roll("deploy --yes --image", f"{IMAGE}:2.0.0-workless")) == sentence
    assert image(deployed) == f"{IMAGE}:1.0.0"
    assert not [name for kind, name in deployed.objects if kind != "networkpolicies" and name.endswith(PROCESSES)]


def test_nothing_older_is_brought_back_than_what_ran(roll: Roll, deployed: Api, installed: Path) -> None:
    succeeded(roll("deploy --yes --image", f"{IMAGE}:1.1.0"))
    plant(installed, "kubernetes/base/worker-deployment.yaml", r"args: \[worker\]", "args: [worker, broken]")
    try:
        sentence = refused(roll("deploy --yes --image", f"{IMAGE}:1.1.0"))
    finally:
        git(installed, "checkout", "--quiet", "kubernetes")
    assert sentence.startswith(f"{IMAGE}:1.1.0 did not come up in my-service-worker")
    assert (image(deployed), beside(deployed)) == (f"{IMAGE}:1.1.0", {"1.1.0"})
    assert deployment(deployed, "-worker")["spec"]["template"]["spec"]["containers"][0]["args"] == ["worker"]


def test_canary_gets_its_share_and_is_promoted(roll: Roll, deployed: Api) -> None:
    succeeded(roll("canary --yes --weight=25 --image", f"{IMAGE}:1.1.0"))
    assert (image(deployed), image(deployed, "-canary")) == (f"{IMAGE}:1.0.0", f"{IMAGE}:1.1.0")
    assert beside(deployed) == {"1.0.0"}
    assert deployment(deployed, "-canary")["spec"]["replicas"] == 1
    assert weights(deployed) == {"stable": 75, "canary": 25}
    assert "canary: ghcr.io/example/my-service:1.1.0, 1 of 1 pods ready" in succeeded(roll("status"))
    assert "A canary runs" in refused(roll("deploy --yes"))
    succeeded(roll("promote --yes"))
    assert (image(deployed), beside(deployed)) == (f"{IMAGE}:1.1.0", {"1.1.0"})
    assert weights(deployed) == {"stable": 100, "canary": 0}
    assert ("deployments", "my-service-canary") not in deployed.objects


@pytest.mark.usefixtures("no_jobs")
def test_canary_is_not_promoted_where_a_worker_does_not_come_up(roll: Roll, deployed: Api) -> None:
    succeeded(roll("canary --yes --image", f"{IMAGE}:2.0.0-workless"))
    assert "did not come up in my-service-" in refused(roll("promote --yes"))
    assert (image(deployed), beside(deployed)) == (f"{IMAGE}:1.0.0", {"1.0.0"})
    assert image(deployed, "-canary") == f"{IMAGE}:2.0.0-workless"


@pytest.mark.usefixtures("no_jobs")
def test_canary_is_aborted_by_hand_or_by_itself(roll: Roll, deployed: Api) -> None:
    succeeded(roll("canary --yes --image", f"{IMAGE}:1.1.0"))
    succeeded(roll("abort --yes"))
    assert "did not come up" in refused(roll("canary --yes --image", f"{IMAGE}:2.0.0-broken"))
    assert weights(deployed) == {"stable": 100, "canary": 0}
    assert ("deployments", "my-service-canary") not in deployed.objects
    assert "no Deployment my-service-canary" in refused(roll("abort --yes"))
    assert "no Deployment my-service-canary" in refused(roll("promote --yes"))


@pytest.mark.usefixtures("no_jobs")
def test_slots_take_turns_and_a_switch_goes_back(roll: Roll, deployed: Api) -> None:
    succeeded(roll("blue_green --yes --no-switch --image", f"{IMAGE}:1.1.0"))
    assert (selected(deployed), image(deployed), image(deployed, "-green")) == (
        "blue",
        f"{IMAGE}:1.0.0",
        f"{IMAGE}:1.1.0",
    )
    succeeded(roll("switch --yes"))
    assert selected(deployed) == "green"
    assert "Green gets the requests" in refused(roll("deploy --yes"))
    assert "Green gets the requests" in refused(roll("canary --yes"))
    succeeded(roll("switch --yes"))
    assert selected(deployed) == "blue"
    succeeded(roll("blue_green --yes --image", f"{IMAGE}:1.2.0"))
    succeeded(roll("blue_green --yes --image", f"{IMAGE}:1.3.0"))
    assert (selected(deployed), image(deployed), image(deployed, "-green")) == (
        "blue",
        f"{IMAGE}:1.3.0",
        f"{IMAGE}:1.2.0",
    )
    refused(roll("blue_green --yes --image", f"{IMAGE}:2.0.0-broken"))
    assert slots(deployed) == {"live": "blue", "blue": "1.3.0", "green": "1.2.0"}


def test_workers_go_with_the_requests(roll: Roll, deployed: Api) -> None:
    first = runs(deployed)
    succeeded(roll("blue_green --yes --no-switch --image", f"{IMAGE}:1.1.0"))
    assert beside(deployed) == {"1.0.0"}
    # Settings that came with the version go with it.
    green = deployment(deployed, "-green")
    green["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "my-service-new"
    deployed.write("deployments", green)
    succeeded(roll("switch --yes"))
    for suffix in PROCESSES:
        assert runs(deployed, suffix) == ("1.1.0", "my-service-new")
        assert deployment(deployed, suffix)["metadata"]["annotations"]["kubernetes.io/change-cause"] == f"{IMAGE}:1.1.0"
    succeeded(roll("switch --yes"))
    assert {runs(deployed, suffix) for suffix in PROCESSES} == {first}
    succeeded(roll("blue_green --yes --image", f"{IMAGE}:1.2.0"))
    assert (selected(deployed), beside(deployed)) == ("green", {"1.2.0"})


@pytest.mark.usefixtures("no_jobs")
def test_requests_go_nowhere_new_without_workers(roll: Roll, deployed: Api) -> None:
    sentence = refused(roll("blue_green --yes --image", f"{IMAGE}:2.0.0-workless"))
    assert sentence.startswith(f"{IMAGE}:2.0.0-workless did not come up in my-service-")
    assert sentence.endswith("It was removed again.")
    assert (selected(deployed), beside(deployed)) == ("blue", {"1.0.0"})
    assert ("deployments", "my-service-green") not in deployed.objects
    succeeded(roll("blue_green --yes --no-switch --image", f"{IMAGE}:2.0.0-workless"))
    done = roll("switch --yes")
    assert refused(done).endswith(f"{IMAGE}:1.0.0 runs again.")
    assert "green gets the requests" in done.stdout
    assert (selected(deployed), beside(deployed)) == ("green", {"1.0.0"})


def test_switch_waits_for_as_many_pods_as_have_the_requests(roll: Roll, deployed: Api) -> None:
    assert "nothing in green" in refused(roll("switch --yes"))
    succeeded(roll("blue_green --yes --no-switch --image", f"{IMAGE}:1.1.0"))
    blue = deployment(deployed)
    blue["spec"]["replicas"] = 4
    deployed.write("deployments", blue)
    succeeded(roll("switch --yes"))
    assert deployment(deployed, "-green")["spec"]["replicas"] == 4


def test_rollback_takes_settings_with_it(roll: Roll, deployed: Api, installed: Path) -> None:
    assert "no earlier revision" in refused(roll("rollback --yes"))
    settings = installed / "kubernetes" / "base" / "kustomization.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("LOG_LEVEL=INFO", "LOG_LEVEL=DEBUG"))
    try:
        succeeded(roll("deploy --yes --image", f"{IMAGE}:1.1.0"))
    finally:
        settings.write_text(before)

    def level() -> str:
        source = deployment(deployed)["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]
        data: dict[str, str] = deployed.objects["configmaps", source["configMapRef"]["name"]]["data"]
        return data["LOG_LEVEL"]

    assert level() == "DEBUG"
    assert re.findall(r"^(\d+) .*:([\d.]+)$", succeeded(roll("history")), re.MULTILINE) == [
        ("2", "1.1.0"),
        ("1", "1.0.0"),
    ]
    assert {runs(deployed, suffix) for suffix in PROCESSES} == {runs(deployed)}
    succeeded(roll("rollback --yes"))
    assert (image(deployed), level()) == (f"{IMAGE}:1.0.0", "INFO")
    assert {runs(deployed, suffix) for suffix in PROCESSES} == {runs(deployed)}
    assert deployment(deployed)["metadata"]["annotations"][REVISION] == "3"
    assert "no revision 9" in refused(roll("rollback --yes --to-revision=9"))
    succeeded(roll("rollback --yes --to-revision=2"))
    assert level() == "DEBUG"
    deployed.objects = {key: found for key, found in deployed.objects.items() if key[0] != "configmaps"}
    assert "lost its settings" in refused(roll("rollback --yes"))


def test_what_the_manifests_have_no_more_is_named_and_left_alone(roll: Roll, deployed: Api) -> None:
    old = copy.deepcopy(deployment(deployed, "-beat"))
    for name in ("uid", "resourceVersion"):
        del old["metadata"][name]
    old["metadata"] |= {"name": "my-service-old", "labels": {"app": "my-service-old", "part-of": "my-service"}}
    old["spec"]["selector"]["matchLabels"] = old["spec"]["template"]["metadata"]["labels"] = {"app": "my-service-old"}
    untouched = copy.deepcopy(deployed.write("deployments", old))
    said = succeeded(roll("deploy --yes --image", f"{IMAGE}:1.1.0"))
    assert "my-service-old runs on" in said
    assert "`kubectl delete deployment,hpa,pdb -l app=my-service-old`" in said
    assert f"old: {IMAGE}:1.0.0, 1 of 1 pods ready" in succeeded(roll("status"))
    succeeded(roll("rollback --yes"))
    assert deployment(deployed, "-old") == untouched
    assert beside(deployed) == {"1.0.0"}


def test_work_that_nobody_does_yet_is_told(roll: Roll, deployed: Api) -> None:
    deployed.delete("deployments", "my-service-worker")
    said = succeeded(roll("blue_green --yes --image", f"{IMAGE}:1.1.0"))
    assert "There is no Deployment my-service-worker yet" in said
    assert runs(deployed, "-beat")[0] == "1.1.0"


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = depends_on = None
{reason}

def upgrade() -> None:
    op.{statement}


def downgrade() -> None:
    pass
"""


@pytest.fixture
def migration(installed: Path) -> Iterator[Callable[..., None]]:
    """Return a function that writes a second migration."""
    path = next(installed.glob("src/*/migrations/versions")) / "0002_more.py"

    def write(statement: str, reason: str = "") -> None:
        path.write_text(MIGRATION.format(statement=statement, reason=reason))

    yield write
    path.unlink(missing_ok=True)


def test_wrong_migrations_are_refused(roll: Roll, api: Api, migration: Callable[..., None]) -> None:
    migration('drop_table("items")')
    assert "0002 takes away what the version before may need (DROP TABLE items)" in refused(roll("deploy --yes"))
    migration('add_column("items", sa.Column("colour", sa.String()))')
    assert "The models and the migrations differ" in refused(roll("canary --yes"))
    assert changes(api) == []


def test_database_that_only_has_more_is_in_nobodys_way(
    roll: Roll, deployed: Api, migration: Callable[..., None]
) -> None:
    migration('execute("SELECT 1")')
    succeeded(roll("deploy --yes --image", f"{IMAGE}:1.1.0"))
    assert deployment(deployed)["metadata"]["annotations"]["migrations"] == "0002 0001 jobs_0001"
    succeeded(roll("rollback --yes"))
    assert image(deployed) == f"{IMAGE}:1.0.0"


def test_database_that_lost_something_stops_the_way_back(
    roll: Roll, deployed: Api, migration: Callable[..., None]
) -> None:
    migration('execute("DROP TABLE IF EXISTS sheds")', 'TAKES_AWAY = "nothing reads sheds"')
    succeeded(roll("blue_green --yes --image", f"{IMAGE}:1.1.0"))
    sentence = refused(roll("switch --yes"))
    assert f"The database is ahead of {IMAGE}:1.0.0: 0002 took away what it may need" in sentence
    assert slots(deployed)["live"] == "green"
    succeeded(roll("switch --yes --database-ahead"))
    assert slots(deployed)["live"] == "blue"
    succeeded(roll("deploy --yes --image", f"{IMAGE}:1.2.0"))
    assert "is ahead of" in refused(roll("rollback --yes"))
    succeeded(roll("rollback --yes --database-ahead"))


@pytest.mark.parametrize("command", ["deploy", "canary", "blue_green", "switch", "rollback", "promote", "abort"])
def test_dry_run_prints_commands_and_changes_nothing(roll: Roll, deployed: Api, command: str) -> None:
    succeeded(roll("deploy --yes --image", f"{IMAGE}:1.1.0"))
    if command in {"promote", "abort"}:
        succeeded(roll("canary --yes --image", f"{IMAGE}:1.2.0"))
    before = len(changes(deployed))
    said = succeeded(roll(f"{command} --dry-run"))
    assert len(changes(deployed)) == before
    assert re.search(r"^\+ kubectl --context=local --namespace=services ", said, re.MULTILINE)


def test_what_is_wrong_is_one_sentence_before_anything_is_touched(roll: Roll, api: Api, tmp_path: Path) -> None:
    assert "nobody to ask" in refused(roll("deploy"))
    assert "There is no kubernetes/overlays/moon" in refused(roll("deploy moon"))
    assert "no context moon: there is" in refused(roll("deploy --yes --context=moon"))
    assert "of the context away does not answer" in refused(roll("deploy --yes --context=away"))
    assert "no current context" in refused(roll("deploy --yes", config=tmp_path / "none"))
    for mutable in (IMAGE, f"{IMAGE}:latest"):
        assert "may be another image tomorrow" in refused(roll("deploy --yes --image", mutable))
    del api.objects["secrets", "my-service"]["data"]["DATABASE_URL"]
    assert "lacks DATABASE_URL" in refused(roll("deploy --yes"))
    assert changes(api) == []


def test_version_that_is_no_release_is_refused(roll: Roll, api: Api, installed: Path) -> None:
    (installed / "note.txt").write_text("not committed")
    git(installed, "commit", "--quiet", "--allow-empty", "--message", "fix: later")
    try:
        assert uv(installed, "sync", "--quiet").returncode == 0
        assert "which is no release" in refused(roll("deploy --yes"))
    finally:
        git(installed, "reset", "--quiet", "--hard", "v1.0.0")
        (installed / "note.txt").unlink(missing_ok=True)
        assert uv(installed, "sync", "--quiet").returncode == 0
    assert changes(api) == []


def test_kubectl_that_is_missing_is_named(installed: Path, tmp_path: Path) -> None:
    done = ask(installed, tmp_path / "config", "status", PATH=os.fspath(tmp_path))
    assert "kubectl is not installed" in refused(done)


def test_staging_in_a_named_context_is_not_asked_about(roll: Roll, api: Api) -> None:
    succeeded(roll("deploy staging --context=local"))
    source = deployment(api)["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert api.objects["configmaps", source]["data"]["APP_ENV"] == "staging"


def test_manifests_are_plain_yaml_for_who_applies_them_from_git(roll: Roll, installed: Path) -> None:
    written = [installed / line for line in succeeded(roll("manifests")).splitlines()]
    assert written == [installed / "dist" / f"{name}.yaml" for name in ("production", "production-migration")]
    for path, kind in zip(written, ("Deployment", "Job"), strict=True):
        assert f"image: {IMAGE}:1.0.0\n" in path.read_text()
        assert f"\nkind: {kind}\n" in path.read_text()
    assert git(installed, "status", "--porcelain") == ""


def test_tasks_are_those_of_the_script(installed: Path, tmp_path: Path, api: Api) -> None:
    assert api
    done = uv(installed, "run", "doit", "deploy", "--", "--dry-run", KUBECONFIG=str(tmp_path / "config"))
    assert 'newTag": "1.0.0"' in done.stdout
    assert done.returncode == 0


def test_commands_of_the_page_work_in_its_order(installed: Path, tmp_path: Path) -> None:
    page = (installed / "docs" / "deployment" / "production.md").read_text()
    blocks = re.findall(r"(?:^    .+\n)+", page, re.MULTILINE)
    secret, migrate, apply, undo = [textwrap.dedent(each) for each in blocks if each.startswith("    kubectl ")]
    manifests = shutil.copytree(installed / "kubernetes", tmp_path / "kubernetes") / "base" / "kustomization.yaml"
    with running(tmp_path) as api:

        def run(block: str) -> str:
            command = ["bash", "-euo", "pipefail", "-c", block]
            environment = clean_environment(KUBECONFIG=str(tmp_path / "config"))
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
            )
            return succeeded(done)

        # Only what it would send: kubectl creates a Secret in protobuf, which our server does not speak.
        made = json.loads(run(secret.replace("create", "create --dry-run=client --output=json", 1)))
        assert set(made["data"]) == set(SECRET["data"])
        api.write("secrets", made)
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            manifests.write_text(re.sub(r"newTag: \S+", f"newTag: {version}", manifests.read_text()))
            run(migrate + apply)
            assert image(api) == f"{IMAGE}:{version}"
        run(undo)
        assert image(api) == f"{IMAGE}:1.2.0"
        assert deployment(api)["metadata"]["annotations"][REVISION] == "5"
