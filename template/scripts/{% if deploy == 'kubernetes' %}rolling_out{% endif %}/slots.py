"""Blue and green: two slots, of which one gets the requests."""

import json

from . import Refused
from .cluster import Cluster
from .migrations import known_to, require_database
from .plans import Plan, apply, come_up, migrate, reasons, wait_for
from .processes import follow, processes
from .requirements import SUFFIX, existing, live_slot, require_no_canary, require_secret
from .revisions import image_in

OTHER = {"blue": "green", "green": "blue"}


def blue_green(plan: Plan, *, switching: bool) -> None:
    """Roll out to the slot that is idle, and send it the requests once it is up."""
    cluster = plan.cluster
    require_secret(cluster, plan.environment)
    require_no_canary(cluster)
    live = live_slot(cluster)
    existing(cluster, cluster.service + SUFFIX[live])
    idle = OTHER[live]
    name = cluster.service + SUFFIX[idle]
    before = {name: cluster.get("deployment", name)}
    beside = processes(plan.environment, cluster.service)
    migrate(plan)
    apply(plan, idle)
    wait_for(plan, before)
    if not switching:
        print(f"{plan.image} is up in {idle} and gets no requests yet: `doit switch` sends them there.")
        return
    up = cluster.get("deployment", name) or existing(cluster, cluster.service + SUFFIX[live])
    template = up["spec"]["template"]
    # In a dry run there is nothing in the slot yet, or something older.
    template["spec"]["containers"][0]["image"] = plan.image
    # Before the requests are sent there: where something beside the service does not come up, nothing has happened.
    wait_for(plan, before | follow(cluster, beside, template))
    switch(cluster, plan.environment, ahead=False)


def switch(cluster: Cluster, environment: str, *, ahead: bool) -> None:
    """Send the requests to the other slot, then have what runs beside it follow; `ahead` as in require_database.

    Raises Refused where the slot is not as ready as the one that has the requests.
    """
    require_no_canary(cluster)
    live = live_slot(cluster)
    idle = OTHER[live]
    name = cluster.service + SUFFIX[idle]
    found = cluster.get("deployment", name)
    if cluster.dry_run and found is None:
        found = existing(cluster, cluster.service + SUFFIX[live])
    if found is None:
        raise Refused(f"There is nothing in {idle}: `doit blue_green` rolls out to it.")
    require_database(cluster, known_to(found), image_in(found), ahead=ahead)
    beside = processes(environment, cluster.service)
    needed = existing(cluster, cluster.service + SUFFIX[live])["spec"]["replicas"]
    if found["spec"]["replicas"] < needed:
        cluster.change("scale", f"deployment/{name}", f"--replicas={needed}")
        come_up(cluster, name)
        found = existing(cluster, name)
    ready = found["status"].get("readyReplicas", 0)
    if ready < needed and not cluster.dry_run:
        raise Refused(f"{idle} has {ready} pods ready, and {live} {needed}: {reasons(cluster, found)}.")
    patch = json.dumps({"spec": {"selector": {"version": idle}}})
    for service in cluster.list("services", f"app={cluster.service}"):
        if "version" not in service["spec"]["selector"]:
            continue
        if not cluster.change("patch", "service", service["metadata"]["name"], f"--patch={patch}"):
            raise Refused("The Service could not be changed: what kubectl says above is why.")
    print(f"{idle} gets the requests, with {image_in(found)}. {live} is kept: `doit switch` goes back to it.")
    plan = Plan(cluster, environment, image_in(found))
    wait_for(plan, follow(cluster, beside, found["spec"]["template"]))
