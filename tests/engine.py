"""Build and run a container image from a test, with docker or podman."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the pod's security context and resource limits say, in the words of an engine.
HARDENED = (
    *("--read-only", "--tmpfs=/tmp:rw,size=64m,noexec,nosuid,nodev", "--user=10001:10001"),
    *("--cap-drop=all", "--security-opt=no-new-privileges"),
    *("--memory=512m", "--pids-limit=128"),
)
# Only podman keeps parts of a read-only root writable, and passes the machine's proxies on.
HARDENED_PODMAN = ("--read-only-tmpfs=false", "--http-proxy=false")
# Never secret, and not to be changed for the engine's own client.
ENGINE_READS = ("PATH", "HOME", "TMPDIR")


class BuildError(Exception):
    """The image could not be built; the message ends with the last lines of the build."""


class EngineError(Exception):
    """The engine could not do what it was asked; the message says what it answered."""


def find_engine() -> str | None:
    """Return the first of docker and podman that answers, or None."""
    for engine in ("docker", "podman"):
        try:
            if shutil.which(engine) and _call(engine, "info", timeout=20).returncode == 0:
                return engine
        except subprocess.TimeoutExpired:
            continue
    return None


def build(engine: str, context: Path, tag: str, **build_args: str) -> None:
    """Build the Dockerfile of a directory; IMAGE_BUILD_FLAGS may add flags."""
    flags = [*shlex.split(os.environ.get("IMAGE_BUILD_FLAGS", "")), f"--tag={tag}"]
    if engine == "podman":
        flags.append("--format=docker")  # its own format has no HEALTHCHECK and no SHELL
    flags += [f"--build-arg={name}={value}" for name, value in build_args.items()]
    done = _call(engine, "build", *flags, str(context), timeout=1800, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-40:])
        message = f"{engine} build exited with {done.returncode}:\n{tail}"
        raise BuildError(message)


def inspect(engine: str, tag: str) -> dict[str, Any]:
    """Return what the engine knows about an image, its health check in docker's place."""
    image: dict[str, Any] = json.loads(_answer(engine, "image", "inspect", tag))[0]
    if "Healthcheck" in image:
        image["Config"].setdefault("Healthcheck", image["Healthcheck"])
    return image


@dataclass(frozen=True)
class Container:
    """A container that `run` started and will remove."""

    engine: str
    name: str

    def url(self, port: int) -> str:
        """Return the address of a published port; only while the container runs."""
        address = _answer(self.engine, "port", self.name, f"{port}/tcp").split()[0]
        return f"http://{address}"

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container and return its output and exit code."""
        return _call(self.engine, "exec", self.name, *command)

    def logs(self) -> str:
        """Return what the container wrote to standard output."""
        return _answer(self.engine, "logs", self.name)

    def stop(self, timeout_seconds: int) -> int:
        """Ask the container to stop, kill it after the timeout, return its exit code."""
        command = ("stop", "-t", str(timeout_seconds), self.name)
        _answer(self.engine, *command, timeout=timeout_seconds + 30)
        return int(_answer(self.engine, "inspect", "--format={{.State.ExitCode}}", self.name))


@contextmanager
def run(
    engine: str, tag: str, *args: str, env: dict[str, str], port: int, mounts: dict[str, str] | None = None
) -> Iterator[Container]:
    """Run an image as the pod would, `port` published on a free port of the loopback.

    `args` replace the image's command; `mounts` are paths there, and what of this machine they are. Values of `env`
    travel in the environment of the engine's client, not in its arguments, where every process could read them.
    """
    name = f"test-{uuid.uuid4().hex}"
    flags = [*HARDENED, *(HARDENED_PODMAN if engine == "podman" else ())]
    flags += [f"--name={name}", "--pull=never", f"--publish=127.0.0.1::{port}"]
    for key, value in env.items():
        flags.append(f"--env={key}={value}" if key in ENGINE_READS else f"--env={key}")
    flags += [f"--volume={path}:{there}" for there, path in (mounts or {}).items()]
    client = {key: value for key, value in env.items() if key not in ENGINE_READS}
    try:
        _answer(engine, "run", "--detach", *flags, tag, *args, env=client)
        yield Container(engine, name)
    finally:
        at_once = ("-t", "0") if engine == "podman" else ()
        _call(engine, "rm", "--force", "--volumes", *at_once, name)


def _call(
    engine: str,
    *args: str,
    timeout: float = 60,
    stderr: int = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [engine, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={**os.environ, **(env or {})},
    )


def _answer(engine: str, *args: str, timeout: float = 60, env: dict[str, str] | None = None) -> str:
    done = _call(engine, *args, timeout=timeout, env=env)
    if done.returncode:
        message = f"{engine} {args[0]} exited with {done.returncode}: {done.stderr.strip()}"
        raise EngineError(message)
    return done.stdout
