"""A namespace in a real cluster, and what is done there.

It is the cluster of the context of kubectl that SLIPWAY_CLUSTER names: none is touched for being the current one.
"""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster_pods import REACHES, SERVICE, VERSIONS, Object, bystander, calling, namespace, servers
from tests.servers import SECRET_KEY
from tests.shell import uv

Done = subprocess.CompletedProcess[str]
# As docs/deployment/production.md says, with the servers that are pods.
SECRETS = f"""\
SECRET_KEY={SECRET_KEY}
DATABASE_URL=postgresql://postgres@database:5432/postgres
REDIS_URL=redis://cache:6379/0
"""


def kubectl(*arguments: str, given: str | None = None) -> Done:
    """Run kubectl with something on its standard input, and return what came of it."""
    return subprocess.run(
        ["kubectl", *arguments], input=given or "", capture_output=True, text=True, check=False, timeout=900
    )


def reason_to_skip(context: str) -> str:
    """Return why nothing can be tested in the cluster of a context, which may be empty; nothing if it can."""
    if not context:
        return "SLIPWAY_CLUSTER names no context of kubectl, and no other cluster is touched"
    if not shutil.which("kubectl"):
        return "kubectl is not installed"
    if context not in kubectl("config", "get-contexts", "--output=name").stdout.split():
        return f"kubectl knows no context {context}"
    answer = kubectl(f"--context={context}", "--request-timeout=10s", "get", "--raw", "/version")
    return f"the cluster of the context {context} does not answer: {answer.stderr.strip()}" * bool(answer.returncode)


def succeeded(done: Done) -> str:
    """Return what a command printed; it has to succeed, and Pod Security to have nothing against it."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would violate PodSecurity" not in done.stderr
    return done.stdout


@dataclass(frozen=True)
class Place:
    """A namespace, and the project that is rolled out to it."""

    context: str
    namespace: str
    project: Path

    def kubectl(self, *arguments: str, given: str | None = None) -> Done:
        """Run kubectl here."""
        return kubectl(f"--context={self.context}", f"--namespace={self.namespace}", *arguments, given=given)

    def apply(self, *objects: Object) -> Done:
        """Apply objects."""
        return self.kubectl("apply", "--filename=-", given=yaml.safe_dump_all(objects))

    def doit(self, task: str, *options: str) -> Done:
        """Run a task of the project here."""
        where = ("--yes", f"--context={self.context}", f"--namespace={self.namespace}")
        return uv(self.project, "run", "--quiet", "doit", task, "--", *where, *options)

    def await_ready(self, *pods: str) -> None:
        """Wait for pods; the first ones wait for their images."""
        names = [f"pod/{name}" for name in pods]
        succeeded(self.kubectl("wait", "--for=condition=Ready", "--timeout=300s", *names))

    def pods(self) -> list[Object]:
        """Return the pods of the service, without those that are ending."""
        found = json.loads(succeeded(self.kubectl("get", "pods", f"--selector=app={SERVICE}", "--output=json")))
        return [each for each in found["items"] if "deletionTimestamp" not in each["metadata"]]

    def python(self, pod: str, program: str, *arguments: str) -> str:
        """Run a program in a pod, and return what it prints."""
        return succeeded(self.kubectl("exec", pod, "--", "python", "-c", program, *arguments)).strip()

    def reaches(self, pod: str, host: str, port: int) -> bool:
        """Tell whether a pod can open a connection."""
        return self.python(pod, REACHES, host, str(port)) == "yes"

    def answers(self, *versions: str) -> bool:
        """Tell whether, within half a minute, callers of the Service are answered by these versions and no other."""
        wanted, give_up = json.dumps(sorted(versions)), time.monotonic() + 30
        while self.kubectl("exec", "frontend", "--", "python", "-c", VERSIONS).stdout.strip() != wanted:
            if time.monotonic() > give_up:
                return False
        return True

    def furnish(self, image: str) -> None:
        """Make the namespace with all that the service needs, a `frontend` and a `stranger`, both of its image."""
        succeeded(self.apply(namespace(self.namespace)))
        # Made by a controller; until it is there, pods are refused.
        succeeded(self.kubectl("wait", "--for=create", "--timeout=60s", "serviceaccount/default"))
        self.make_secret()
        others = (bystander("frontend", image, "frontend"), bystander("stranger", image))
        succeeded(self.apply(*servers(self.project), *others))
        self.await_ready("database", "cache", "frontend", "stranger")

    def make_secret(self, *options: str) -> str:
        """Make the Secret of the service, and return what kubectl prints."""
        command = ("create", "secret", "generic", SERVICE, "--from-env-file=/dev/stdin")
        return succeeded(self.kubectl(*command, *options, given=SECRETS))

    def remove(self) -> None:
        """Delete the namespace."""
        self.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=300s")

    def variables(self, name: str) -> set[str]:
        """Return the values that a variable has in the pods of the service."""
        program = "import os, sys; print(os.environ[sys.argv[1]])"
        return {self.python(each["metadata"]["name"], program, name) for each in self.pods()}

    @contextmanager
    def load(self, image: str) -> Iterator[Counter[str]]:
        """Put the service under load, by a pod of its image; yield the counts, which are there at the end."""
        seen = Counter[str]()
        succeeded(self.apply(*calling(image, f"http://{SERVICE}", "/version", "/items")))
        self.await_ready("load")
        yield seen
        succeeded(self.kubectl("exec", "load", "--", "sh", "-c", "kill -TERM 1"))
        succeeded(self.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", "pod/load"))
        seen.update(json.loads(succeeded(self.kubectl("logs", "load"))))
