"""Earlier roll-outs, which Kubernetes keeps as ReplicaSets."""

from typing import NamedTuple

from .cluster import Cluster, Object
from .migrations import known_to

NUMBER = "deployment.kubernetes.io/revision"


class Revision(NamedTuple):
    """A roll-out: what it ran, with which ConfigMaps, since when, with how many pods now, and how it makes them."""

    number: int
    image: str
    settings: tuple[str, ...]
    migrations: str
    since: str
    pods: int
    template: Object


def image_in(found: Object) -> str:
    """Return the image that a Deployment or ReplicaSet runs."""
    image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def revisions(cluster: Cluster, deployment: Object) -> list[Revision]:
    """Return the revisions of a Deployment, the current one first."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    owner = deployment["metadata"]["uid"]
    sets = cluster.list("replicasets", ",".join(f"{key}={value}" for key, value in labels.items()))
    found = [
        Revision(
            int(each["metadata"]["annotations"][NUMBER]),
            image_in(each),
            tuple(
                source["configMapRef"]["name"]
                for source in each["spec"]["template"]["spec"]["containers"][0].get("envFrom", ())
                if "configMapRef" in source
            ),
            known_to(each),
            each["metadata"]["creationTimestamp"],
            each["spec"]["replicas"],
            each["spec"]["template"],
        )
        for each in sets
        if any(reference["uid"] == owner for reference in each["metadata"].get("ownerReferences", ()))
    ]
    return sorted(found, reverse=True)
