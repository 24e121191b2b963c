"""Real servers and a real service, each a process of its own, from the environment of a rendered project."""

import re
import select
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.shell import clean_environment, commit, git, uv

SECRET_KEY = "0f8e1d2c3b4a59687786a5b4c3d2e1f0"
# The server of the project's own development, for as long as standard input is open.
EMBEDDED = """
import sys
from pathlib import Path
from embedded import running
with running(sys.argv[1], Path(sys.argv[2])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


# Statements, each of which is answered with a value.
ASK = """
import asyncio, sys, asyncpg
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    for statement in sys.argv[2:]:
        print(await connection.fetchval(statement))
    await connection.close()
asyncio.run(main())
"""


def python(project: Path) -> str:
    """Return the Python of a project's environment."""
    return str(project / ".venv" / "bin" / "python")


@contextmanager
def installed(rendered: Path, tag: str = "") -> Iterator[Path]:
    """Yield a copy of a rendered project with its environment, committed and tagged where a tag is given."""
    # Not pytest's own folder: the database's own user has no way into it.
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(rendered, project)
        if tag:
            assert uv(project, "lock", "--quiet").returncode == 0
            commit(project)
            git(project, "tag", tag)
        assert uv(project, "sync", "--quiet").returncode == 0
        yield project


@contextmanager
def embedded(project: Path, name: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a server that keeps its data in a folder; a second one there finds what the first one left."""
    command = [python(project), "-c", EMBEDDED, name, str(folder)]
    with subprocess.Popen(
        command, cwd=project / "scripts", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            server.wait(timeout=30)


def splice(one: socket.socket, other: socket.socket) -> None:
    """Send on what comes from either of two connections, until one is closed."""
    while readable := select.select([one, other], [], [])[0]:
        for side in readable:
            if not (data := side.recv(65536)):
                return
            (other if side is one else one).sendall(data)


@contextmanager
def unix_socket(port: int, path: Path) -> Iterator[None]:
    """Let whoever opens a socket at this path speak with a port of this machine."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as there:
                splice(self.request, there)

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        path.chmod(0o777)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class Service(NamedTuple):
    """A running service, and where it answers."""

    process: subprocess.Popen[str]
    url: str
    metrics: str
    lines: list[str]

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.url.rpartition(":")[2])

    def ask(self, path: str, data: bytes | None = None) -> tuple[int, str, float]:
        """Return status, body and seconds of an answer; 0 where there was none."""
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})  # noqa: S310
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
                return answer.status, answer.read().decode(), time.monotonic() - started
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), time.monotonic() - started
        except OSError as error:
            return 0, str(error), time.monotonic() - started

    def outcomes(self, metric: str) -> Counter[str]:
        """Return the values of a metric by its label `outcome`."""
        with urllib.request.urlopen(self.metrics, timeout=5) as answer:  # noqa: S310 - our own server
            text = answer.read().decode()
        return Counter(
            {
                outcome: int(float(value))
                for outcome, value in re.findall(rf'^{metric}{{.*outcome="(\w+)".*}} (\S+)$', text, re.MULTILINE)
            }
        )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def service(project: Path, may_end: bool = False, /, **variables: str) -> Iterator[Service]:
    """Yield the service of a project, as production runs it; unless it may end, it has to run to the last."""
    port, metrics = free_port(), free_port()
    given = {"HOST": "127.0.0.1", "PORT": str(port), "METRICS_PORT": str(metrics), "SECRET_KEY": SECRET_KEY}
    environment = clean_environment(**given | {"DRAIN_SECONDS": "0"} | variables)
    environment.pop("APP_ENV", None)
    command = [python(project), "-m", "my_service", "serve"]
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines: list[str] = []
        running = Service(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics", lines)
        threading.Thread(target=lambda: lines.extend(process.stdout or ())).start()
        try:
            while running.ask("/livez")[0] != 200:
                assert process.poll() is None, "".join(lines)
                time.sleep(0.05)
            yield running
            assert may_end or process.poll() is None, "it was not restarted by anybody"
        finally:
            process.kill()


def ask_database(project: Path, url: str, *statements: str) -> list[str]:
    """Return what a database answers, a line for each statement."""
    command = [python(project), "-c", ASK, url, *statements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def migrate(project: Path, url: str) -> None:
    """Bring a database to where the project's models are."""
    nowhere = dict.fromkeys(("REDIS_URL", "CELERY_BROKER_URL", "ARQ_REDIS_URL"), "redis://127.0.0.1:1")
    environment = clean_environment(DATABASE_URL=url, SECRET_KEY=SECRET_KEY, **nowhere)
    subprocess.run([python(project), "-m", "my_service", "migrate"], env=environment, cwd=project, check=True)


class Answered(NamedTuple):
    """An answer, and when it was there."""

    moment: float
    path: str
    status: int
    seconds: float


@contextmanager
def load(running: Service, *paths: str) -> Iterator[list[Answered]]:
    """Ask for each of the paths over and over, each by a thread of its own, and yield the growing list of answers."""
    answers: list[Answered] = []
    over = threading.Event()

    def ask(path: str) -> None:
        while not over.is_set():
            status, _, seconds = running.ask(path)
            answers.append(Answered(time.monotonic(), path, status, seconds))

    threads = [threading.Thread(target=ask, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def statuses(answers: list[Answered], path: str) -> Counter[int]:
    """Return how often each status was answered on a path."""
    return Counter(answer.status for answer in answers if answer.path == path)
