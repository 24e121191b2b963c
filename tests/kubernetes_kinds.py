"""The kinds that our API server knows, and what tells kubectl of them."""

from typing import Any

KINDS = {
    "v1": "Pod Service ServiceAccount ConfigMap Secret",
    "apps/v1": "Deployment ReplicaSet",
    "batch/v1": "Job",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "policy/v1": "PodDisruptionBudget",
    "networking.k8s.io/v1": "NetworkPolicy",
    "gateway.networking.k8s.io/v1": "HTTPRoute",
}
PLURALS = {"NetworkPolicy": "networkpolicies"}
SHORT = {"HorizontalPodAutoscaler": ["hpa"], "PodDisruptionBudget": ["pdb"]}


def plural(kind: str) -> str:
    """Return the name of a kind in paths."""
    return PLURALS.get(kind, f"{kind.lower()}s")


RESOURCES = {plural(kind): (version, kind) for version, kinds in KINDS.items() for kind in kinds.split()}


def discovery() -> dict[str, Any]:
    """Return what tells kubectl which resources there are."""
    found: dict[str, Any] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/openapi/v3": {"paths": {}},
    }
    groups = []
    for version, kinds in KINDS.items():
        group = version.rpartition("/")[0]
        path = f"/{'apis' if group else 'api'}/{version}"
        resources = [
            {
                "name": plural(kind),
                "singularName": kind.lower(),
                "shortNames": SHORT.get(kind, []),
                "namespaced": True,
                "kind": kind,
                "verbs": ["get"],
            }
            for kind in kinds.split()
        ]
        resources += [
            {
                "name": f"{plural(kind)}/scale",
                "namespaced": True,
                "kind": "Scale",
                "group": "autoscaling",
                "version": "v1",
                "verbs": ["get"],
            }
            for kind in kinds.split()
            if kind == "Deployment"
        ]
        found[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        known = {"groupVersion": version, "version": version.rpartition("/")[2]}
        if group:
            groups.append({"name": group, "versions": [known], "preferredVersion": known})
        document: dict[str, Any] = {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.34.0"},
            "paths": {},
        }
        for kind in kinds.split():
            document["paths"][f"{path}/namespaces/{{namespace}}/{plural(kind)}/{{name}}"] = {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {"group": group, "version": known["version"], "kind": kind},
                }
            }
        found[f"/openapi/v3{path}"] = document
        found["/openapi/v3"]["paths"][path[1:]] = {"serverRelativeURL": f"/openapi/v3{path}"}
    found["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return found
