"""What runs beside the service, such as workers: in no slot and no canary, but with it.

It runs what gets the requests: the same image, with the same settings. A job that an older version does not know fails
there, and is done again by one that knows it, if that comes before all its attempts are over.
"""

import json
from collections.abc import Iterable

from . import Refused
from .cluster import Cluster, Object
from .manifests import CAUSE, objects
from .revisions import revisions

# A label of their Deployments, with the name of the service.
LABEL = "part-of"


def processes(environment: str, service: str) -> list[str]:
    """Return the names of their Deployments in an environment."""
    deployments = (each["metadata"] for each in objects(environment) if each["kind"] == "Deployment")
    return [each["name"] for each in deployments if each.get("labels", {}).get(LABEL) == service]


def running(cluster: Cluster) -> list[str]:
    """Return the names of their Deployments in the cluster."""
    return [each["metadata"]["name"] for each in cluster.list("deployments", f"{LABEL}={cluster.service}")]


def everything(cluster: Cluster) -> str:
    """Return what selects the pods of the service, and those beside it."""
    return f"app in ({','.join([cluster.service, *running(cluster)])})"


def runs(template: Object) -> Object:
    """Return the image that pods run, and where their settings are."""
    container = template["spec"]["containers"][0]
    return {name: container.get(name) for name in ("image", "envFrom")}


def follow(cluster: Cluster, names: Iterable[str], template: Object) -> dict[str, Object | None]:
    """Have Deployments run the image and the settings of a pod of the service. Return what they were before."""
    before: dict[str, Object | None] = {}
    for name in names:
        if (found := cluster.get("deployment", name)) is None:
            print(f"There is no Deployment {name} yet, so that its work waits: `doit deploy` makes it.")
            continue
        before[name] = found
        if runs(found["spec"]["template"]) != runs(template):
            bring(cluster, found, template)
    return before


def bring(cluster: Cluster, found: Object, template: Object) -> None:
    """Have a Deployment run what a pod of the service runs, as it did when it last ran that, if it ever did.

    Raises Refused where kubectl does.
    """
    name, (container, *_) = found["metadata"]["name"], found["spec"]["template"]["spec"]["containers"]
    if earlier := [each.number for each in revisions(cluster, found) if runs(each.template) == runs(template)]:
        done = cluster.change("rollout", "undo", f"deployment/{name}", f"--to-revision={earlier[0]}")
    else:
        changed = {"name": container["name"], **runs(template)}
        pods = {"spec": {"containers": [changed]}}
        patch = {"metadata": {"annotations": {CAUSE: changed["image"]}}, "spec": {"template": pods}}
        done = cluster.change("patch", "deployment", name, f"--patch={json.dumps(patch)}")
    if not done:
        raise Refused(f"{name} could not be changed: what kubectl says above is why.")
