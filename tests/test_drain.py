"""A roll-out under load loses no request: instances are replaced one by one, the way a cluster does it."""

import http.client
import random
import shutil
import signal
import socket
import socketserver
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.servers import Service, service, splice
from tests.shell import uv

pytestmark = pytest.mark.slow
# The cluster's times, a fifth as long: how late the pod goes from the lists, and preStop, which is longer.
LATE_SECONDS, PRE_STOP_SECONDS = 1.0, 2.0
ROLL_OUTS = 3


class Balancer(socketserver.ThreadingTCPServer):
    """Leads each new connection to one of the instances that are listed, as kube-proxy does, whatever is said on it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.listed: list[int] = []
        super().__init__(("127.0.0.1", 0), Connection)

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.server_address[1])


class Connection(socketserver.BaseRequestHandler):
    """A connection to one of the instances."""

    server: Balancer

    def handle(self) -> None:
        """Forward in both directions until one side closes."""
        with socket.create_connection(("127.0.0.1", random.choice(self.server.listed))) as there:  # noqa: S311
            splice(self.request, there)


class Caller(threading.Thread):
    """Sends requests one after the other, on one connection as long as it lasts or each on its own."""

    def __init__(self, port: int, over: threading.Event, *, keep: bool) -> None:
        super().__init__()
        self.port, self.over, self.keep = port, over, keep
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Ask until it is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.over.is_set():
            try:
                connection.request("GET", "/items", headers={} if self.keep else {"Connection": "close"})
                answer = connection.getresponse()
                answer.read()
                self.seen[str(answer.status)] += 1
                if answer.will_close:
                    self.seen["closed by the service"] += self.keep
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1
                connection.close()
        connection.close()


@pytest.fixture(scope="module")
def installed(render: Render) -> Iterator[Path]:
    """A service that needs no server, installed."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(render(preset="minimal", example="items", observability=["prometheus"]), project)
        assert uv(project, "sync", "--quiet").returncode == 0
        yield project


@contextmanager
def load(port: int, callers: int) -> Iterator[Counter[str]]:
    """Call over and over, half of the callers on connections that they keep; yield the counts, filled at the end."""
    over, seen = threading.Event(), Counter[str]()
    threads = [Caller(port, over, keep=bool(number % 2)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()
            seen.update(thread.seen)


def terminate(running: Service, balancer: Balancer) -> None:
    """End an instance as a pod is ended: it goes from the lists late, and gets SIGTERM after preStop."""
    time.sleep(LATE_SECONDS)
    balancer.listed.remove(running.port)
    time.sleep(PRE_STOP_SECONDS - LATE_SECONDS)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=30) == 0


def test_roll_outs_under_load_lose_no_request(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        balancer = stack.enter_context(Balancer())
        threading.Thread(target=balancer.serve_forever, daemon=True).start()
        stack.callback(balancer.shutdown)

        def start() -> Service:
            running = stack.enter_context(service(installed, True, DRAIN_SECONDS="1"))
            balancer.listed.append(running.port)
            return running

        instances = [start(), start()]
        with load(balancer.port, 8) as seen:
            for _ in range(ROLL_OUTS * len(instances)):
                instances.append(start())
                time.sleep(0.5)
                terminate(instances.pop(0), balancer)
    with capsys.disabled():
        print(f"\n{ROLL_OUTS} roll-outs of 2 instances: {dict(seen)}")
    closed = seen.pop("closed by the service")
    assert seen.keys() == {"200"}
    assert seen["200"] > 1000
    assert closed >= ROLL_OUTS
