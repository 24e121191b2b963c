"""Ways to roll out, and back: each refuses before it touches anything, and undoes what does not come up."""

import json

from . import Refused
from .cluster import Cluster
from .manifests import FOLDER
from .migrations import require_database
from .plans import Plan, apply, come_up, migrate, reasons, wait_for
from .processes import follow, processes, running
from .requirements import SUFFIX, existing, live_slot, require_blue, require_no_canary, require_secret
from .revisions import revisions


def roll(plan: Plan) -> None:
    """Roll out to blue, pod by pod, and what runs beside the service with it."""
    cluster = plan.cluster
    names = [cluster.service, *processes(plan.environment, cluster.service)]
    before = {name: cluster.get("deployment", name) for name in names}
    apply(plan)
    wait_for(plan, before)
    for name in sorted({*running(cluster)} - {*names}):
        print(f"{name} runs on, and is in no manifest any more: `kubectl delete deployment,hpa,pdb -l app={name}`.")


def deploy(plan: Plan) -> None:
    """Migrate, apply and wait."""
    require_secret(plan.cluster, plan.environment)
    require_blue(plan.cluster)
    require_no_canary(plan.cluster)
    migrate(plan)
    roll(plan)
    print(f"{plan.image} is rolled out.")


def share_out(cluster: Cluster, weight: int) -> bool:
    """Give the canary a weight in the HTTPRoute, where there is one."""
    if not (FOLDER / "components" / "http-route").is_dir() or not cluster.get("httproute", cluster.service):
        return False
    weights = {"stable": 100 - weight, "canary": weight}
    backends = [{"name": f"{cluster.service}-{track}", "port": 80, "weight": share} for track, share in weights.items()]
    patch = json.dumps([{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": backends}])
    if not cluster.change("patch", "httproute", cluster.service, "--type=json", f"--patch={patch}"):
        raise Refused("The HTTPRoute could not be changed: what kubectl says above is why.")
    return True


def canary(plan: Plan, weight: int) -> None:
    """Run an image beside the one that is rolled out, for a share of the requests in percent."""
    cluster, name = plan.cluster, f"{plan.cluster.service}-canary"
    require_secret(cluster, plan.environment)
    require_blue(cluster)
    stable = existing(cluster, cluster.service)["spec"]["replicas"]
    count = max(1, round(stable * weight / (100 - weight)))
    before = {name: cluster.get("deployment", name)}
    migrate(plan)
    apply(plan, "canary", replicas={name: count})
    wait_for(plan, before)
    if share_out(cluster, weight):
        print(f"{plan.image} gets {weight} % of the requests through the Gateway.")
    else:
        share = round(100 * count / (stable + count))
        print(f"{plan.image} gets about {share} % of the requests: {count} of {stable + count} pods.")
    print("`doit promote` rolls it out, `doit abort` takes it back.")


def promote(plan: Plan, *, ahead: bool) -> None:
    """Roll out what the canary runs, then end it; `ahead` as in require_database."""
    require_database(plan.cluster, plan.migrations, plan.image, ahead=ahead)
    roll(plan)
    abort(plan.cluster)
    print(f"{plan.image} is rolled out.")


def abort(cluster: Cluster) -> None:
    """End the canary."""
    existing(cluster, f"{cluster.service}-canary")
    share_out(cluster, 0)
    cluster.change("delete", f"deployment/{cluster.service}-canary")


def rollback(cluster: Cluster, environment: str, revision: int | None, *, ahead: bool) -> None:
    """Go back to an earlier revision of what gets the requests, settings included; `ahead` as in require_database."""
    require_no_canary(cluster)
    name = cluster.service + SUFFIX[live_slot(cluster)]
    current, *earlier = revisions(cluster, existing(cluster, name))
    known = {each.number: each for each in earlier}
    if not known:
        raise Refused(f"{name} has no earlier revision.")
    target = known.get(max(known) if revision is None else revision)
    if target is None:
        raise Refused(f"{name} has no revision {revision} to go back to: there is {', '.join(map(str, known))}.")
    require_database(cluster, target.migrations, target.image, ahead=ahead)
    beside = processes(environment, cluster.service)
    for settings in target.settings:
        if cluster.get("configmap", settings) is None:
            raise Refused(f"Revision {target.number} has lost its settings, the ConfigMap {settings}.")
    cluster.change("rollout", "undo", f"deployment/{name}", f"--to-revision={target.number}")
    if not come_up(cluster, name):
        raise Refused(f"{target.image} did not come up ({reasons(cluster, existing(cluster, name))}).")
    print(f"{target.image} runs again, in place of {current.image}. The next `doit deploy` rolls out what is here.")
    wait_for(Plan(cluster, environment, target.image), follow(cluster, beside, target.template))
