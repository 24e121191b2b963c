"""The steps that every roll-out consists of."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from . import Refused
from .cluster import Cluster, Object
from .manifests import FOLDER, composed
from .migrations import NOTE
from .requirements import existing
from .revisions import NUMBER, image_in

# More than activeDeadlineSeconds of the Job.
MIGRATION_SECONDS = 660
# What a pod waits for without end: https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
NO_IMAGE = {"ImagePullBackOff", "InvalidImageName"}


@dataclass(frozen=True)
class Plan:
    """What is rolled out, and where. What does not come up is undone, unless it is kept to be looked at."""

    cluster: Cluster
    environment: str
    image: str
    migrations: str = ""
    keep: bool = False


def apply(plan: Plan, *components: str, replicas: Mapping[str, int] | None = None) -> None:
    """Apply an environment with an image. Raises Refused where kubectl does."""
    notes = {NOTE: plan.migrations} if plan.migrations else {}
    with composed(plan.environment, plan.image, *components, replicas=replicas, notes=notes) as folder:
        if plan.cluster.dry_run:
            print((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        if not plan.cluster.change("apply", f"--kustomize={folder}"):
            raise Refused("kubectl could not apply everything: what it says above is why.")


def come_up(cluster: Cluster, name: str) -> bool:
    """Wait until a Deployment has rolled out, and tell whether it did."""
    return cluster.change("rollout", "status", f"deployment/{name}", "--timeout=900s")


def waits_for(states: list[Object]) -> set[str]:
    """Return the reasons for which containers are not started."""
    return {state["state"]["waiting"]["reason"] for state in states if "waiting" in state["state"]}


def reasons(cluster: Cluster, found: Object) -> str:
    """Return why pods of a Deployment are not ready."""
    labels = found["spec"]["selector"]["matchLabels"]
    states = cluster.containers(",".join(f"{key}={value}" for key, value in labels.items()))
    before = [state.get("lastState", {}).get("terminated") for state in states]
    ended = {f"exit code {end['exitCode']}" for end in before if end}
    return ", ".join(sorted(waits_for(states) | ended)) or "its pods are not ready"


def outcome(cluster: Cluster, job: str) -> str:
    """Wait for a Job, and return its last condition, or why its image is not there."""
    give_up = time.monotonic() + MIGRATION_SECONDS
    while time.monotonic() < give_up:
        conditions = (cluster.get("job", job) or {}).get("status", {}).get("conditions", ())
        met: set[str] = {each["type"] for each in conditions if each["status"] == "True"}
        if ended := met & {"Complete", "Failed"}:
            return ended.pop()
        if without := waits_for(cluster.containers(f"batch.kubernetes.io/job-name={job}")) & NO_IMAGE:
            return without.pop()
        time.sleep(1)
    return "Failed"


def migrate(plan: Plan) -> None:
    """Bring the database to where the image needs it, before any pod of it starts. Raises Refused where it fails."""
    if not (FOLDER / "migration").is_dir():
        return
    cluster, name = plan.cluster, f"{plan.cluster.service}-migrate"
    cluster.change("delete", "job", name, "--ignore-not-found")
    apply(plan, "migration")
    if cluster.dry_run:
        return
    print("The migration runs.", flush=True)
    ended = outcome(cluster, name)
    if ended in NO_IMAGE:
        cluster.change("delete", "job", name)
        raise Refused(f"The cluster cannot get {plan.image} ({ended}), so nothing was migrated and nothing rolled out.")
    if ended != "Complete":
        cluster.change("logs", f"job/{name}", "--tail=20")
        raise Refused("The migration failed, so nothing was rolled out: its log, above, says why.")


def wait_for(plan: Plan, before: Mapping[str, Object | None]) -> None:
    """Wait for Deployments, of each of which it is known what was there before; undo all where one does not come up."""
    for name in before:
        if not come_up(plan.cluster, name):
            undo(plan, name, before)


def undo(plan: Plan, failed: str, before: Mapping[str, Object | None]) -> NoReturn:
    """Undo what was rolled out together, of which something did not come up, and raise Refused with the reason."""
    cluster, first = plan.cluster, next(iter(before))
    where = "" if failed == first else f" in {failed}"
    why = f"{plan.image} did not come up{where} ({reasons(cluster, existing(cluster, failed))})"
    if plan.keep:
        raise Refused(f"{why}. It is kept as it is: `doit status` shows it, `doit rollback` undoes it.")
    if before[first] is None and first == cluster.service:
        raise Refused(f"{why}. There is nothing to go back to: `doit status` and `doit logs` show more.")
    for name, found in before.items():
        if found is None:
            cluster.change("delete", "deployment,hpa,pdb", name, "--ignore-not-found")
        else:
            # By its number: of those that come up some may not have changed, and what is before that is too old.
            number = found["metadata"]["annotations"][NUMBER]
            cluster.change("rollout", "undo", f"deployment/{name}", f"--to-revision={number}")
    back = all(come_up(cluster, name) for name, found in before.items() if found)
    if (old := before[first]) is None:
        raise Refused(f"{why}. It was removed again.")
    raise Refused(f"{why}. {image_in(old)} {'runs again' if back else 'was brought back and is not up either'}.")
