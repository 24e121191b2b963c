"""What happens around every request: it gets its id, is timed, logged, observed and always answered.

One middleware does it all: every layer more would be paid for by each request.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .correlation import HEADER, bind
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


Observer = Callable[[Exchange], None]


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
    if not write_json(_LINE, f"{method} {path} {status}", fields):
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
    """Gives each request its id, lets the guard look at it, answers what nobody caught, tells the observers."""

    def __init__(
        self, app: ASGIApp, guard: Guard, headers: Sequence[tuple[bytes, bytes]], observers: Sequence[Observer]
    ) -> None:
        self.app = app
        self.guard = guard
        self.headers = headers
        self.observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI asks."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        headers = dict(reversed(scope["headers"]))  # of several with one name the first counts
        id_header = (_HEADER_BYTES, bind(headers).encode())

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
            logger.exception("unhandled error")
            if status:
                raise  # half an answer is out: the server has to close the connection
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
