"""A roll-out under load loses no request: instances are replaced one by one, the way a cluster does it."""

import random
import shutil
import signal
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.load import CLOSED, answered, failures, load
from tests.servers import Service, service, splice
from tests.shell import uv

pytestmark = [pytest.mark.alone, pytest.mark.slow]
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


@pytest.fixture(scope="module")
def installed(render: Render) -> Iterator[Path]:
    """A service that needs no server, installed."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(render(preset="minimal", example="items", observability=["prometheus"]), project)
        assert uv(project, "sync", "--quiet").returncode == 0
        yield project


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
        with load(("127.0.0.1", balancer.port), "/items") as seen:
            for _ in range(ROLL_OUTS * len(instances)):
                instances.append(start())
                time.sleep(0.5)
                terminate(instances.pop(0), balancer)
    with capsys.disabled():
        print(f"\n{ROLL_OUTS} roll-outs of 2 instances: {dict(seen)}")
    assert failures(seen) == {}
    assert answered(seen) > 1000
    assert seen[CLOSED] >= ROLL_OUTS
