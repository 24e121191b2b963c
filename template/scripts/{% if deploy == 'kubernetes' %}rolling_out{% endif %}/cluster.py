"""The cluster, as kubectl knows it."""

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

from . import Refused

Object = dict[str, Any]
PATIENCE_SECONDS = 10


def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run kubectl and return what came of it."""
    if not shutil.which("kubectl"):
        raise Refused("kubectl is not installed: https://kubernetes.io/docs/tasks/tools/ says how to.")
    return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".?") + "." if lines else "it does not say why."


@dataclass(frozen=True)
class Cluster:
    """A namespace of a cluster. In a dry run it is read, and what would change it is printed."""

    context: str
    namespace: str
    dry_run: bool
    service: str
    where: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", (f"--context={self.context}", f"--namespace={self.namespace}"))

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return what kubectl answers."""
        return kubectl(*self.where, f"--request-timeout={PATIENCE_SECONDS}s", *arguments)

    def read(self, *arguments: str) -> str:
        """Return what kubectl prints. Raises Refused where it fails."""
        done = self.ask(*arguments)
        if done.returncode:
            raise Refused(f"kubectl {arguments[0]} failed: {last_line(done.stderr)}")
        return done.stdout

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object, or None where there is none."""
        found = self.read("get", kind, name, "--ignore-not-found", "--output=json")
        loaded: Object | None = json.loads(found) if found else None
        return loaded

    def containers(self, selector: str) -> list[Object]:
        """Return the states of the containers in the pods that a selector selects."""
        pods = self.list("pods", selector)
        return [state for pod in pods for state in pod["status"].get("containerStatuses", ())]

    def list(self, kind: str, selector: str) -> list[Object]:
        """Return the objects that a selector selects."""
        found: list[Object] = json.loads(self.read("get", kind, f"--selector={selector}", "--output=json"))["items"]
        return found

    def change(self, *arguments: str) -> bool:
        """Run kubectl before everybody's eyes, or print the command in a dry run. Return whether it succeeded."""
        command = ["kubectl", *self.where, *arguments]
        print("+", shlex.join(command), flush=True)
        return self.dry_run or subprocess.run(command, check=False).returncode == 0


def connect(context: str | None, namespace: str | None, service: str, *, dry_run: bool) -> Cluster:
    """Return the cluster of a context, or of the current one. Raises Refused where it does not answer."""
    known = kubectl("config", "get-contexts", "--output=name").stdout.split()
    listed = ", ".join(known) or "none"
    if context is None:
        context = kubectl("config", "current-context").stdout.strip()
        if not context:
            raise Refused(f"kubectl has no current context: name one with --context; there is {listed}.")
    elif context not in known:
        raise Refused(f"kubectl knows no context {context}: there is {listed}.")
    if namespace is None:
        view = kubectl("config", "view", "--minify", f"--context={context}", "--output=jsonpath={..namespace}")
        namespace = view.stdout.strip() or "default"
    cluster = Cluster(context, namespace, dry_run, service)
    answer = cluster.ask("get", "--raw", "/version")
    if answer.returncode:
        raise Refused(f"The cluster of the context {context} does not answer: {last_line(answer.stderr)}")
    return cluster


def confirm(cluster: Cluster, what: str, *, named: bool, production: bool, yes: bool) -> None:
    """Ask whether to go on, unless the context was named and it is not production. Raises Refused where not."""
    if yes or cluster.dry_run or (named and not production):
        return
    question = f"{what} in the context {cluster.context}, namespace {cluster.namespace}?"
    if not sys.stdin.isatty():
        raise Refused(f"{question} There is nobody to ask: say --yes.")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was done.")
