"""The load that roll-outs are proven under sees what it is meant to see: each failure, and nothing else."""

import errno
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.load import CLOSED, FRESH, KEPT, WAITED, answered, failures, load
from tests.servers import free_port
from tests.shell import ROOT

pytestmark = pytest.mark.alone


class Handler(BaseHTTPRequestHandler):
    """Answers every path but a few."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer, in part, or not at all."""
        if self.path == "/cut":
            self.close_connection = True
            return
        body = json.dumps({"version": "1.0.0"}).encode()
        self.send_response(503 if self.path == "/unavailable" else 200)
        self.send_header("Content-Length", str(len(body) + (self.path == "/half")))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection |= self.path in {"/half", "/last"}


class Server(ThreadingHTTPServer):
    """A real server on loopback."""

    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving() -> Iterator[int]:
    """Serve, and yield the port."""
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


def counts(port: int, *paths: str) -> Counter[str]:
    """Return what is counted in a moment of load."""
    with load(("127.0.0.1", port), *paths, callers=4) as seen:
        time.sleep(0.3)
    return seen


def test_answers_are_counted_by_connection_and_version(port: int) -> None:
    seen = counts(port, "/version", "/items")
    assert failures(seen) == {}
    assert seen[KEPT] > 0
    assert seen[FRESH] > 0
    assert seen[CLOSED] == 0
    assert abs(2 * seen["by version 1.0.0"] - answered(seen)) <= 4


def test_connections_that_the_service_ends_in_order_are_no_failure(port: int) -> None:
    seen = counts(port, "/last")
    assert failures(seen) == {}
    assert seen[CLOSED] == seen[KEPT] > 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/cut", "RemoteDisconnected"), ("/half", "IncompleteRead"), ("/unavailable", "503")],
)
def test_answer_that_is_missing_cut_short_or_an_error_is_a_failure(port: int, path: str, reason: str) -> None:
    seen = counts(port, path, "/items")
    assert [reason in failure for failure in failures(seen)] == [True]
    assert sum(failures(seen).values()) > 0 < answered(seen)


def test_service_that_is_not_there_is_a_failure() -> None:
    seen = counts(free_port(), "/items")
    assert answered(seen) == 0
    assert all("ConnectionRefusedError" in failure for failure in failures(seen))
    assert failures(seen)


def test_port_that_is_not_free_yet_is_no_failure(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(http.client.HTTPConnection, "connect", refuse)
    seen = counts(port, "/items")
    assert seen.keys() == {WAITED}


def test_connection_that_is_reset_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        threading.Thread(target=reset_all, args=[listener], daemon=True).start()
        seen = counts(listener.getsockname()[1], "/items")
    assert answered(seen) == 0
    assert any("ConnectionResetError" in failure for failure in failures(seen))


def reset_all(listener: socket.socket) -> None:
    """Reset every connection as soon as something came on it."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


def test_program_asks_until_it_is_told_to_end_and_prints_json(port: int) -> None:
    command = [sys.executable, "tests/load.py", f"http://localhost:{port}", "/version"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        time.sleep(1)
        assert program.poll() is None
        program.send_signal(signal.SIGTERM)
        said, _ = program.communicate(timeout=15)
    assert program.returncode == 0
    seen = json.loads(said)
    assert failures(seen) == {}
    assert seen["by version 1.0.0"] == answered(seen) > 0
