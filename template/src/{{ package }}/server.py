"""Serving over HTTP, from a bound port to the last answer after SIGTERM."""

import asyncio
import errno
import json
import logging
import socket
import time
from collections.abc import Callable
from contextvars import copy_context
from signal import SIGINT
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from . import startup
from .app import create_app
from .correlation import HEADER, make_correlation_id, set_correlation_id
from .errors import MEDIA_TYPE, problem
from .health import Readiness
from .security import response_headers
from .settings import Settings
from .startup import PortInUseError, StartError

logger = logging.getLogger(__name__)

# A connection that was accepted a moment before the end still gets its request across.
LAST_MOMENT_SECONDS = 0.2
BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, with a limit for the head of a request and problem details for what is no HTTP.

    While the service drains, every answer asks the caller to open its next connection elsewhere.
    """

    def __init__(self, config: uvicorn.Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        state = cast(FastAPI, config.app).state
        self.max_head_bytes: int = state.settings.max_head_bytes
        self.readiness: Readiness = state.readiness
        self.default_headers = response_headers(state.settings.app_env)
        self.head_too_large = False
        self.partial_head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read from the connection; a head that never ends is cut off."""
        self.partial_head_bytes += len(data)
        super().data_received(data)
        if self.partial_head_bytes > self.max_head_bytes and not self.transport.is_closing():
            self.head_too_large = True
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Begin with the request, unless its head is too large."""
        self.partial_head_bytes = 0
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.max_head_bytes:
            self.head_too_large = True
            raise ValueError("the head of the request is too large")
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            raise ValueError("after an upgrade that is not made, the body would be lost")
        super().on_headers_complete()
        if self.readiness.draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body, which does not count as head."""
        self.partial_head_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the protocol's signature
        """Answer what could not be read as a request."""
        status = 431 if self.head_too_large else 400
        correlation_id = make_correlation_id()
        context = copy_context()
        context.run(set_correlation_id, correlation_id)
        body = context.run(problem, status, "That is not a request this service can read.").body
        context.run(logger.warning, "unreadable request", extra={"status": status})
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
            HEADER.lower(): correlation_id,
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        defaults = [name + b": " + value + b"\r\n" for name, value in self.default_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *defaults, *lines, b"\r\n", bytes(body)]))
        self.transport.close()


class Server(uvicorn.Server):
    """Goes down in order: first not ready, then no new connections, then the last answers."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_seconds: float) -> None:
        super().__init__(config)
        self.readiness = readiness
        self.drain_seconds = drain_seconds
        self.drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Begin to drain on SIGTERM; a second signal, or Ctrl-C, does not wait, and the next one cuts off."""
        if self.drained_at is None and sig != SIGINT:
            self.drained_at = time.monotonic() + self.drain_seconds
        elif self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True
        self.readiness.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Say whether to stop, ten times a second."""
        if self.drained_at is not None and time.monotonic() >= self.drained_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, then let those that are open finish."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_MOMENT_SECONDS)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises PortInUseError, or StartError where the address is not one to listen on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        is_any = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=is_any)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError("PORT", port) from None
        raise StartError(f"Cannot listen on {host}, port {port}: {error.strerror}. Check HOST and PORT.") from None


async def _serve(app: FastAPI, server: Server, listener: socket.socket) -> None:
    # uvicorn's own lifespan would answer an error here with a traceback.
    async with app.router.lifespan_context(app):
        startup.finish()
        host, port = listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        docs = f", try {app.docs_url}" if app.openapi_url else ""
        logger.info("listening on http://%s%s", address, docs, extra={"host": host, "port": port})
        await server.serve(sockets=[listener])


def serve(settings: Settings, create: Callable[[Settings], FastAPI] = create_app) -> None:
    """Answer requests until a signal ends it.

    Raises StartError where the service cannot start.
    """
    listener = listen(settings.host, settings.port)
    app = create(settings)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_seconds,  # type: ignore[arg-type]  # floats work
    )
    server = Server(config, app.state.readiness, settings.drain_seconds)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(app, server, listener))


async def _check(app: FastAPI) -> None:
    async with app.router.lifespan_context(app):
        report = await app.state.readiness.report()
    print(json.dumps(report.model_dump()))
    if report.status == "unavailable":
        failed = ", ".join(f"{name} ({state})" for name, state in report.checks.items() if state != "ok")
        raise StartError(f"Not ready: {failed}.")


def check(settings: Settings) -> None:
    """Find out whether the service would start here, and whether everything it depends on answers.

    Raises StartError where it would not.
    """
    with listen(settings.host, settings.port):
        asyncio.run(_check(create_app(settings)))
