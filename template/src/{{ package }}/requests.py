"""What happens around every request: it gets its id, is timed, logged, observed and always answered.

One middleware does it all: every layer more would be paid for by each request.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Literal, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .correlation import HEADER, bind, get_context
from .errors import problem
from .logging import safe, write_json
from .security import Guard

logger = logging.getLogger(__name__)

PROBES = frozenset({"/livez", "/readyz", "/health"})
_HEADER_BYTES = HEADER.lower().encode()


class Exchange(NamedTuple):
    """A request and its answer. `route` is the template of the path, empty where no route matched."""

    method: str
    path: str
    route: str
    status: int
    seconds: float
    client: str | None


class AnswerCutOffError(Exception):
    """Half an answer is out: the server has to close the connection. Why it failed is in the log."""


Observer = Callable[[Exchange], None]
Work = Literal["request", "job"]
Tracer = Callable[[Work, str, Mapping[bytes, bytes]], AbstractContextManager[None]]
"""Follows a request or a job until it ends; given are its method or its name, and its headers."""


def log_exchange(exchange: Exchange) -> None:
    """Write the access line; answered probes are of interest only when debugging."""
    is_quiet = exchange.path in PROBES and exchange.status < 400
    if not logger.isEnabledFor(logging.DEBUG if is_quiet else logging.INFO):
        return
    method, path, route, status, seconds, client = exchange
    path = safe(path)
    fields = {
        "method": method,
        "path": path,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "client": client,
    }
    # What code has said of the request has to be redacted, as records are.
    if get_context() or not write_json(_LINE, f"{method} {path} {status}", fields):
        logger.info("%s %s %d", method, path, status, extra=fields)


_LINE = {
    "level": "INFO",
    "logger": __name__,
    "module": "requests",
    "function": log_exchange.__name__,
    "line": log_exchange.__code__.co_firstlineno,
}


def _route(scope: Scope) -> str:
    # The route alone does not know the prefixes of the routers around it; FastAPI keeps that here.
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(route, "path", "")


class RequestMiddleware:
    """Gives each request its id, lets the guard look at it, answers what nobody caught, tells the observers.

    Tracers follow it; they and the observers may be added later.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Guard,
        headers: Sequence[tuple[bytes, bytes]],
        observers: Sequence[Observer],
        tracers: Sequence[Tracer],
    ) -> None:
        self.app = app
        self.guard = guard
        self.headers = headers
        self.observers = observers
        self.tracers = tracers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI asks."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))  # of several with one name the first counts
        correlation_id = bind(headers)
        if not self.tracers or scope["path"] in PROBES:
            await self._answer(scope, receive, send, headers, correlation_id)
            return
        with ExitStack() as stack:
            for trace in self.tracers:
                stack.enter_context(trace("request", scope["method"], headers))
            await self._answer(scope, receive, send, headers, correlation_id)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], correlation_id: str
    ) -> None:
        started = time.perf_counter()
        status = 0
        id_header = (_HEADER_BYTES, correlation_id.encode())

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = list(message.get("headers", ()))
                names = {name for name, _ in own}
                defaults = [header for header in self.headers if header[0] not in names]
                message["headers"] = [*own, *defaults, id_header]
            await send(message)

        answer = self.guard.refusal(headers) or self.app
        if b"transfer-encoding" in headers:
            receive = self.guard.limited(receive)
        try:
            await answer(scope, receive, send_with_id)
        except Exception:
            logger.exception("unhandled error", extra={"method": scope["method"], "route": _route(scope)})
            if status:
                raise AnswerCutOffError from None
            await problem(500)(scope, receive, send_with_id)
        finally:
            exchange = Exchange(
                scope["method"],
                scope["path"],
                _route(scope),
                status or 499,  # the caller left before there was an answer
                time.perf_counter() - started,
                scope["client"][0] if scope.get("client") else None,
            )
            for observe in self.observers:
                observe(exchange)
