"""What has to be so before anything is touched."""

import re
from pathlib import Path

from . import Refused
from .cluster import Cluster, Object
from .manifests import build, overlay

SUFFIX = {"blue": "", "green": "-green"}
# The last columns of the table of settings: required, secret.
SECRET = re.compile(r"^\| `(\w+)` \|.*\| yes \| yes \|$", re.MULTILINE)
# Pods start without the Secret, or an operator makes it.
NOT_NEEDED = re.compile(r"^ +optional: true\n +secretName: |^kind: ExternalSecret$", re.MULTILINE)


def live_slot(cluster: Cluster) -> str:
    """Return the slot that gets the requests: blue, also before the first roll-out."""
    service = cluster.get("service", cluster.service)
    slot: str = service["spec"]["selector"].get("version", "blue") if service else "blue"
    return slot


def existing(cluster: Cluster, name: str) -> Object:
    """Return a Deployment. Raises Refused where there is none."""
    found = cluster.get("deployment", name)
    if found is None:
        raise Refused(f"There is no Deployment {name} in the namespace {cluster.namespace}.")
    return found


def require_blue(cluster: Cluster) -> None:
    """Raise Refused where green gets the requests."""
    if live_slot(cluster) != "blue":
        raise Refused("Green gets the requests: `doit blue_green` rolls out to blue, which is idle.")


def require_no_canary(cluster: Cluster) -> None:
    """Raise Refused while a canary runs."""
    if cluster.get("deployment", f"{cluster.service}-canary"):
        raise Refused("A canary runs: `doit promote` or `doit abort` comes first.")


def require_secret(cluster: Cluster, environment: str) -> None:
    """Raise Refused where the Secret is missing, unless pods of that environment start without or it is made there."""
    if NOT_NEEDED.search(build(overlay(environment))):
        return
    secrets = SECRET.findall(Path("docs/configuration.md").read_text(encoding="utf-8"))
    found = cluster.get("secret", cluster.service) or {}
    if missing := [name for name in secrets if name not in found.get("data", {})]:
        raise Refused(
            f"The Secret {cluster.service} in the namespace {cluster.namespace} lacks {', '.join(missing)}: "
            "docs/deployment/production.md says how to make it."
        )
