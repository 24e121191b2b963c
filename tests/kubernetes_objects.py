"""The objects of a cluster, kept in memory: patched by the rules of the API, and seen by controllers at once.

What the controllers would make of them is made when they are written: ReplicaSets and pods of a Deployment, the end of
a Job. A pod comes up unless its image or arguments say `broken`, or its image `workless` where it is no service, or
`absent`, which a Job waits for. https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import base64
import copy
import hashlib
import json
import re
import threading
import time
import uuid
from typing import Any

import jsonpatch

from tests.kubernetes_kinds import RESOURCES

Object = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
NOT_COPIED = (REVISION, "kubectl.kubernetes.io/last-applied-configuration")
NO_IMAGE = {"reason": "ImagePullBackOff"}
REQUIREMENT = re.compile(r"([\w./-]+)(?:=([^,]*)| in \(([^)]*)\))")
# What lists are merged by: https://kubernetes.io/docs/reference/kubernetes-api/, "patch merge key".
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}


def merged(old: Any, patch: Any, key: str = "", *, strategic: bool = True) -> Any:
    """Return a value with a patch merged into it."""
    if isinstance(old, list) and isinstance(patch, list) and strategic and key in MERGE_KEYS:
        by = MERGE_KEYS[key]
        gone = {each[by] for each in patch if each.get("$patch") == "delete"}
        found = {each[by]: each for each in old if each[by] not in gone}
        for each in patch:
            if each[by] not in gone:
                found[each[by]] = merged(found.get(each[by], {}), each)
        return list(found.values())
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value, name, strategic=strategic)
    return result


def patched(found: Object, patch: Any, media_type: str) -> Object:
    """Return an object with a patch of any of the three kinds."""
    if media_type == "application/json-patch+json":
        changed: Object = jsonpatch.apply_patch(found, patch)
        return changed
    result: Object = merged(copy.deepcopy(found), patch, strategic="strategic" in media_type)
    return result


def selects(selector: str, found: Object) -> bool:
    """Tell whether a label selector selects an object."""
    labels = found["metadata"].get("labels", {})
    return all(
        labels.get(name) in [value, *filter(None, values.split(","))]
        for name, value, values in REQUIREMENT.findall(selector)
    )


class Api:
    """The objects of a namespace, and what happens to them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self.version = 0

    def write(self, resource: str, found: Object) -> Object:
        """Keep an object, and let the controllers see it."""
        with self.lock:
            self.version += 1
            version, kind = RESOURCES[resource]
            found |= {"apiVersion": version, "kind": kind}
            meta = found["metadata"]
            meta |= {"namespace": "services", "resourceVersion": str(self.version)}
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            meta["generation"] = meta.get("generation", 0) + 1
            self.objects[resource, meta["name"]] = found
            for name, value in found.pop("stringData", {}).items():
                found["data"][name] = base64.b64encode(value.encode()).decode()
            if kind == "Deployment":
                self._deploy(found)
            elif kind == "HorizontalPodAutoscaler" and (
                target := self.objects.get(("deployments", found["spec"]["scaleTargetRef"]["name"]))
            ):
                self._deploy(target)
            elif kind == "Job":
                self._run(found)
            return found

    def delete(self, resource: str, name: str) -> Object | None:
        """Remove an object, and what it owns."""
        with self.lock:
            gone = self.objects.pop((resource, name), None)
            for key, found in list(self.objects.items()):
                owners = found["metadata"].get("ownerReferences", [])
                if gone and any(owner["uid"] == gone["metadata"]["uid"] for owner in owners):
                    self.delete(*key)
            return gone

    def _deploy(self, deployment: Object) -> None:
        spec, meta = deployment["spec"], deployment["metadata"]
        scale = self.objects.get(("horizontalpodautoscalers", meta["name"]))
        least = scale["spec"]["minReplicas"] if scale else 1
        spec["replicas"] = max(spec.get("replicas", 1), least)
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
        name = f"{meta['name']}-{digest}"
        own = [each for (kind, _), each in self.objects.items() if kind == "replicasets" and owned(each, deployment)]
        numbers = [int(each["metadata"]["annotations"][REVISION]) for each in own]
        current = self.objects.get(("replicasets", name)) or {
            "metadata": {
                "name": name,
                "labels": spec["template"]["metadata"]["labels"] | {"pod-template-hash": digest},
                "annotations": {},
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": meta["name"],
                        "uid": meta["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": {"template": copy.deepcopy(spec["template"]), "selector": spec["selector"], "replicas": 0},
        }
        newest = max(numbers, default=0)
        number = int(current["metadata"]["annotations"].get(REVISION, 0))
        if number < newest or not number:
            number = newest + 1
        noted = {name: value for name, value in meta.get("annotations", {}).items() if name not in NOT_COPIED}
        current["metadata"]["annotations"] = noted | {REVISION: str(number)}
        meta.setdefault("annotations", {})[REVISION] = str(number)
        up = not is_broken(deployment)
        # What does not come up never replaces what runs.
        for each in own:
            if each is not current and up:
                self._scale(each, 0)
        self._scale(current, spec["replicas"])
        progressing = {"type": "Progressing", "status": str(up), "reason": "NewReplicaSetAvailable"}
        deployment["status"] = {
            "observedGeneration": meta["generation"],
            "replicas": spec["replicas"],
            "updatedReplicas": spec["replicas"],
            "readyReplicas": spec["replicas"] if up else 0,
            "availableReplicas": spec["replicas"] if up else 0,
            "conditions": [progressing if up else progressing | {"reason": "ProgressDeadlineExceeded"}],
        }

    def _run(self, job: Object) -> None:
        name, template = job["metadata"]["name"], job["spec"]["template"]
        if "absent" in template["spec"]["containers"][0]["image"]:
            self._start(job, f"{name}-0", {"batch.kubernetes.io/job-name": name}, {"waiting": NO_IMAGE})
        else:
            ended = "Failed" if is_broken(job) else "Complete"
            job["status"] = {"conditions": [{"type": ended, "status": "True"}]}

    def _scale(self, replicaset: Object, replicas: int) -> None:
        replicaset["spec"]["replicas"] = replicas
        self.write("replicasets", replicaset)
        name = replicaset["metadata"]["name"]
        for key, found in list(self.objects.items()):
            if key[0] == "pods" and owned(found, replicaset):
                self.delete(*key)
        state = {"waiting": NO_IMAGE} if is_broken(replicaset) else {"running": {}}
        for number in range(replicas):
            self._start(replicaset, f"{name}-{number}", replicaset["metadata"]["labels"], state)

    def _start(self, owner: Object, name: str, labels: dict[str, str], state: Object) -> None:
        reference = {"uid": owner["metadata"]["uid"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
        pod = {
            "metadata": {"name": name, "labels": labels, "ownerReferences": [reference]},
            "spec": copy.deepcopy(owner["spec"]["template"]["spec"]),
            "status": {
                "phase": "Running",
                "containerStatuses": [{"name": "service", "state": state, "ready": "running" in state}],
            },
        }
        self.write("pods", pod)


def is_broken(found: Object) -> bool:
    """Tell whether the pods of an object cannot come up."""
    container = found["spec"]["template"]["spec"]["containers"][0]
    said = " ".join([container["image"], *container.get("args", ())])
    works = "args" in container and found["kind"] != "Job"
    return "broken" in said or ("workless" in said and works)


def owned(found: Object, owner: Object) -> bool:
    """Tell whether an object is owned by another one."""
    references = found["metadata"].get("ownerReferences", [])
    return any(reference["uid"] == owner["metadata"]["uid"] for reference in references)
