"""What the tests put beside the service in a cluster: its servers, those who call it, and a namespace for all of them.

Everything is as Pod Security asks of a restricted namespace, which the one they are in is.
"""

from pathlib import Path
from typing import Any

import yaml

from tests.shell import ROOT

Object = dict[str, Any]
SERVICE = "my-service"
# The user of the service's image, and that of PostgreSQL's and Valkey's.
SERVICE_USER, SERVER_USER = 10001, 999
LISTENS = 5432
"""Where a bystander listens: a port that the service may reach elsewhere."""
VERSIONS = f"""
import json, urllib.request
def ask():
    with urllib.request.urlopen("http://{SERVICE}/version", timeout=5) as answer:
        return json.load(answer)["version"]
print(json.dumps(sorted({{ask() for _ in range(50)}})))
"""
REACHES = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError:
    print("no")
else:
    print("yes")
"""


def namespace(name: str) -> Object:
    """Return a namespace where Pod Security refuses, and warns of, what is not restricted."""
    modes = ("enforce", "warn", "audit")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name: str, image: str, user: int, *writable: str, role: str = "", **container: Any) -> Object:
    """Return a restricted pod of one container; `writable` are folders that are empty at first."""
    volumes = {f"writable-{number}": path for number, path in enumerate(writable)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"role": role} if role else {}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": user,
                "runAsGroup": user,
                "fsGroup": user,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "only",
                    "image": image,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in volumes.items()],
                    **container,
                }
            ],
            "volumes": [{"name": volume, "emptyDir": {}} for volume in volumes],
        },
    }


def servers(project: Path) -> list[Object]:
    """Return the database and the cache of a service, with the images of its compose.yaml."""
    services = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    database, cache = services["postgres"], services["redis"]
    environment = [{"name": key, "value": value} for key, value in database["environment"].items()]
    sockets = ("/var/run/postgresql", "/tmp")
    # Its own images turn the protected mode off, which keeps callers from other hosts out; whatever image it is.
    command = ["valkey-server", "--save", "", "--protected-mode", "no"]
    return [
        *server("database", database, 5432, *sockets, env=environment),
        *server("cache", cache, 6379, args=command),
    ]


def server(role: str, composed: Object, port: int, *writable: str, **container: Any) -> list[Object]:
    """Return a pod with a service of compose.yaml, and the Service that leads to it; the role is its name."""
    data = composed["volumes"][0].partition(":")[2]
    probe = {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}}
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": role},
        "spec": {"selector": {"role": role}, "ports": [{"port": port}]},
    }
    return [pod(role, composed["image"], SERVER_USER, data, *writable, role=role, **probe, **container), service]


def bystander(name: str, image: str, role: str = "") -> Object:
    """Return a pod of the service's image that does nothing but to listen on LISTENS."""
    command = ["python", "-m", "http.server", str(LISTENS), "--directory=/tmp"]
    return pod(name, image, SERVICE_USER, "/tmp", role=role, command=command)


def calling(image: str, url: str, *paths: str) -> list[Object]:
    """Return a pod with the role `frontend` that puts the service under load, and the program it does that with."""
    program: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "load"},
        "data": {"load.py": (ROOT / "tests" / "load.py").read_text(encoding="utf-8")},
    }
    found = pod(
        "load", image, SERVICE_USER, "/tmp", role="frontend", command=["python", "/program/load.py", url, *paths]
    )
    found["spec"]["volumes"].append({"name": "program", "configMap": {"name": "load"}})
    found["spec"]["containers"][0]["volumeMounts"].append({"name": "program", "mountPath": "/program"})
    return [program, found]


def privileged(image: str) -> Object:
    """Return a pod that nothing restricted may run."""
    return pod("privileged", image, SERVICE_USER, securityContext={"privileged": True})
