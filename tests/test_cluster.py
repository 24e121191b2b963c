"""Every way to roll out and back in a real cluster; CONTRIBUTING.md says how to name one."""

import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Place, reason_to_skip, succeeded
from tests.cluster_images import BROKEN, image, release
from tests.cluster_pods import LISTENS, SERVICE, privileged
from tests.conftest import Render
from tests.load import CLOSED, FRESH, KEPT, answered, failures

pytestmark = [pytest.mark.alone, pytest.mark.cluster, pytest.mark.slow]
ROLL_OUTS, REQUESTS = 20, 100_000
OLD, NEW = "1.0.0", "1.1.0"
CONTEXT = os.environ.get("SLIPWAY_CLUSTER", "")
if reason := reason_to_skip(CONTEXT):
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def project(render: Render) -> Iterator[Path]:
    """The full service, in versions whose images are in the cluster."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(render(), project)
        release(project, CONTEXT)
        yield project


@pytest.fixture
def place(project: Path) -> Iterator[Place]:
    """A namespace of the test's own, with all that the service needs and those who may and may not call it."""
    place = Place(CONTEXT, f"slipway-{uuid.uuid4().hex[:8]}", project)
    try:
        place.furnish(image(OLD))
        yield place
    finally:
        place.remove()


@pytest.fixture
def deployed(place: Place) -> Place:
    """A namespace where the first version is rolled out."""
    succeeded(place.doit("deploy"))
    assert place.answers(OLD)
    return place


def lost_nothing(seen: Counter[str]) -> None:
    """Require that every request was answered, on connections of both kinds."""
    assert failures(seen) == {}
    assert seen[KEPT] > 0 < seen[FRESH]


def test_kubectl_alone_migrates_and_applies(place: Place) -> None:
    succeeded(place.kubectl("apply", "--kustomize", str(place.project / "kubernetes" / "migration")))
    migrated = ("wait", "--for=condition=complete", "--timeout=600s", f"job/{SERVICE}-migrate")
    succeeded(place.kubectl(*migrated))
    done = place.kubectl("apply", "--kustomize", str(place.project / "kubernetes"))
    succeeded(done)
    assert "Warning" not in done.stderr
    succeeded(place.kubectl("rollout", "status", f"deployment/{SERVICE}"))
    assert place.answers(OLD)


def test_pod_security_refuses_what_is_privileged(place: Place) -> None:
    done = place.apply(privileged(image(OLD)))
    assert done.returncode == 1
    assert 'violates PodSecurity "restricted' in done.stderr


def test_twenty_roll_outs_under_load_lose_no_request(deployed: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with deployed.load(image(OLD)) as seen:
        for number in range(ROLL_OUTS):
            succeeded(deployed.doit("deploy", f"--image={image((NEW, OLD)[number % 2])}"))
    with capsys.disabled():
        print(f"\n{ROLL_OUTS} roll-outs, {answered(seen)} requests answered: {dict(seen)}")
    lost_nothing(seen)
    assert answered(seen) >= REQUESTS
    assert {f"by version {version}" for version in (OLD, NEW)} < seen.keys()
    assert seen[CLOSED] >= ROLL_OUTS


def test_canary_gets_requests_and_is_aborted_or_promoted(deployed: Place) -> None:
    with deployed.load(image(OLD)) as seen:
        canary = ("canary", "--weight=34", f"--image={image(NEW)}")
        succeeded(deployed.doit(*canary))
        assert deployed.answers(OLD, NEW)
        succeeded(deployed.doit("abort"))
        assert deployed.answers(OLD)
        succeeded(deployed.doit(*canary))
        succeeded(deployed.doit("promote"))
        assert deployed.answers(NEW)
    lost_nothing(seen)


def test_slots_take_the_requests_in_turn(deployed: Place) -> None:
    with deployed.load(image(OLD)) as seen:
        succeeded(deployed.doit("blue_green", "--no-switch", f"--image={image(NEW)}"))
        assert deployed.answers(OLD)
        succeeded(deployed.doit("switch"))
        assert deployed.answers(NEW)
        succeeded(deployed.doit("switch"))
        assert deployed.answers(OLD)
    lost_nothing(seen)


def test_rollback_takes_version_and_settings_back(deployed: Place) -> None:
    settings = deployed.project / "kubernetes" / "base" / "kustomization.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("LOG_LEVEL=INFO", "LOG_LEVEL=DEBUG"))
    try:
        succeeded(deployed.doit("deploy", f"--image={image(NEW)}"))
    finally:
        settings.write_text(before)
    assert (deployed.answers(NEW), deployed.variables("LOG_LEVEL")) == (True, {"DEBUG"})
    succeeded(deployed.doit("rollback"))
    assert (deployed.answers(OLD), deployed.variables("LOG_LEVEL")) == (True, {"INFO"})


def test_version_that_does_not_come_up_is_undone_under_load(deployed: Place) -> None:
    with deployed.load(image(OLD)) as seen:
        done = deployed.doit("deploy", f"--image={image(BROKEN)}")
        assert deployed.answers(OLD)
    assert done.returncode != 0
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith(f"{image(BROKEN)} did not come up (")
    assert sentence.endswith(f"{image(OLD)} runs again.")
    lost_nothing(seen)


def test_network_lets_frontends_in_and_out_only_what_is_listed(deployed: Place) -> None:
    pod = deployed.pods()[0]
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    stranger = succeeded(deployed.kubectl("get", "pod", "stranger", "--output=jsonpath={.status.podIP}"))
    assert deployed.reaches("frontend", address, 8080)
    assert not deployed.reaches("frontend", address, 9090)
    assert not deployed.reaches("stranger", address, 8080)
    assert deployed.reaches(name, "database", 5432)
    assert deployed.reaches(name, "cache", 6379)
    assert deployed.reaches("frontend", stranger, LISTENS)
    assert not deployed.reaches(name, stranger, LISTENS)
