"""What runs in the cluster."""

from .cluster import Cluster
from .processes import everything, running
from .requirements import SUFFIX, existing, live_slot
from .revisions import image_in, revisions


def status(cluster: Cluster) -> None:
    """Print what runs, what gets the requests, and what the pods do."""
    live = live_slot(cluster)
    pods = cluster.read("get", "pods", f"--selector={everything(cluster)}")
    print(f"{cluster.service} in the context {cluster.context}, namespace {cluster.namespace}")
    for role, name in {
        **{f"slot {slot}": cluster.service + suffix for slot, suffix in SUFFIX.items()},
        "canary": f"{cluster.service}-canary",
        **{name.removeprefix(f"{cluster.service}-"): name for name in running(cluster)},
    }.items():
        if found := cluster.get("deployment", name):
            ready, wanted = found["status"].get("readyReplicas", 0), found["spec"]["replicas"]
            note = ", gets the requests" if role == f"slot {live}" else ""
            print(f"{role}: {image_in(found)}, {ready} of {wanted} pods ready{note}")
    print(pods.rstrip() or "no pods: nothing is deployed")


def history(cluster: Cluster) -> None:
    """Print the revisions of what gets the requests, the current one first."""
    name = cluster.service + SUFFIX[live_slot(cluster)]
    print(f"{'REVISION':10}{'SINCE':22}{'PODS':6}IMAGE")
    for each in revisions(cluster, existing(cluster, name)):
        print(f"{each.number:<10}{each.since:22}{each.pods:<6}{each.image}")


def logs(cluster: Cluster, *, follow: bool) -> None:
    """Print the last lines of all pods, each with the name of its pod."""
    options = ["--prefix", "--tail=100", "--max-log-requests=20", *(["--follow"] if follow else [])]
    cluster.change("logs", f"--selector={everything(cluster)}", *options)
