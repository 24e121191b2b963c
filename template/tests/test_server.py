"""The service as it runs: in a process of its own, asked over a socket."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from .conftest import Running, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with serving() as running:
        yield running


def raw(port: int, request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Send bytes and return status line, headers and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.lower().split(": ", 1) for line in lines), body


def test_answers_over_a_socket_with_careful_headers(service: Running) -> None:
    answer = httpx2.get(f"{service.url}/livez")
    assert answer.status_code == 200
    for name in ("x-content-type-options", "content-security-policy", "cache-control", "x-request-id"):
        assert name in answer.headers
    assert "server" not in answer.headers


def test_every_route_without_parameters_answers(service: Running) -> None:
    paths = httpx2.get(f"{service.url}/openapi.json").json()["paths"]
    for path in [path for path, methods in paths.items() if "get" in methods and "{" not in path]:
        assert httpx2.get(service.url + path).status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /items HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_is_no_http_gets_a_problem(service: Running, request_bytes: bytes) -> None:
    status, headers, body = raw(service.port, request_bytes)
    assert status == "HTTP/1.1 400 Bad Request"
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["correlation_id"] == headers["x-request-id"]


@pytest.mark.parametrize("end", [b"\r\n\r\n", b""], ids=["complete", "never ending"])
def test_head_that_is_too_large_is_refused(service: Running, end: bytes) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 40_000 + end
    status, _, body = raw(service.port, request)
    assert status.startswith("HTTP/1.1 431 ")
    assert json.loads(body)["status"] == 431


def test_log_is_json_with_one_line_a_request() -> None:
    with serving() as service:
        headers = {"X-Request-ID": "seen-once", "X-Forwarded-For": "203.0.113.7"}
        for path in ("livez", "version"):
            httpx2.get(f"{service.url}/{path}", headers=headers)
        service.stop()
    lines = [line for line in service.lines if line["correlation_id"] == "seen-once"]
    assert [(line["message"], line["status"], line["client"]) for line in lines] == [
        ("GET /version 200", 200, "127.0.0.1")
    ]
    assert {"started", "stopped"} <= {line["message"] for line in service.lines}
    assert "uvicorn.error" in {line["logger"] for line in service.lines}
    assert all({"timestamp", "level", "logger", "line"} <= line.keys() for line in service.lines)


def test_sigterm_turns_readiness_off_first_and_finishes() -> None:
    with serving(DRAIN_SECONDS="1") as service, httpx2.Client(base_url=service.url) as client:
        assert client.get("/readyz").status_code == 200
        service.process.terminate()
        time.sleep(0.2)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        assert client.get("/livez").status_code == 200
        assert service.finish() == 0
    assert service.lines[-1]["message"] == "stopped"


def test_log_level_is_that_of_the_settings() -> None:
    with serving(LOG_LEVEL="DEBUG") as service:
        httpx2.get(f"{service.url}/livez")
        service.stop()
    assert "GET /livez 200" in {line["message"] for line in service.lines}


@pytest.mark.parametrize(("trusted", "seen"), [("127.0.0.0/8", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")])
def test_forwarded_addresses_come_from_named_proxies_only(trusted: str, seen: str) -> None:
    with serving(TRUSTED_PROXIES=trusted) as service:
        httpx2.get(f"{service.url}/version", headers={"X-Forwarded-For": "203.0.113.7"})
        service.stop()
    assert [line["client"] for line in service.lines if "client" in line] == [seen]


async def test_sigterm_answers_every_request_in_flight() -> None:
    limits = httpx2.Limits(max_connections=None)
    with serving(str(Path(__file__).with_name("slow_service.py")), SHUTDOWN_SECONDS="10") as service:
        async with httpx2.AsyncClient(base_url=service.url, limits=limits, timeout=20) as client:
            kept_alive = await asyncio.gather(*(client.get("/livez") for _ in range(100)))
            assert {answer.status_code for answer in kept_alive} == {200}
            requests = [asyncio.create_task(client.get("/slow")) for _ in range(200)]
            await asyncio.to_thread(service.wait_for, "in flight: 200")
            service.process.terminate()
            answers = await asyncio.gather(*requests)
        assert [answer.status_code for answer in answers] == [200] * 200
        assert service.finish() == 0


async def test_request_that_takes_too_long_does_not_hold_up_the_end() -> None:
    with serving(str(Path(__file__).with_name("slow_service.py")), SHUTDOWN_SECONDS="0.3") as service:
        async with httpx2.AsyncClient(base_url=service.url) as client:
            request = asyncio.create_task(client.get("/slow"))
            await asyncio.to_thread(service.wait_for, "in flight: 1")
            started = time.monotonic()
            assert await asyncio.to_thread(service.stop) == 0
            assert time.monotonic() - started < 1.4
            await asyncio.gather(request, return_exceptions=True)
