"""HTTP calls to other services, with time limits, retries and the id of the request."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import SystemRandom
from typing import Any

import httpx2

from .correlation import outgoing_headers

# RFC 9110, section 9.2.2
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_random = SystemRandom()
TRANSIENT = frozenset({429, 502, 503, 504})
TIMEOUT = httpx2.Timeout(10.0, connect=2.0, pool=2.0)
"""Seconds: 2 to connect or to get a connection, 10 to send and to receive."""


class RetryTransport(httpx2.AsyncBaseTransport):
    """Repeats idempotent requests that failed on the way or were turned down for the moment.

    Waits between tries grow from 0.1 seconds and are random up to twice that; a shorter
    Retry-After is honoured, a longer one than `longest_wait` seconds ends the retries.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, tries: int = 3, longest_wait: float = 5.0) -> None:
        self.transport = transport
        self.tries = tries
        self.longest_wait = longest_wait

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request, again if need be, and return the last answer."""
        for attempt in range(1, self.tries + 1):
            # A body that is streamed can be sent once.
            can_repeat = request.method in IDEMPOTENT and isinstance(request.stream, httpx2.ByteStream)
            is_last = attempt == self.tries or not can_repeat
            wait = _random.uniform(0.1, 0.2) * 2 ** (attempt - 1)
            try:
                response = await self.transport.handle_async_request(request)
            except httpx2.TransportError:
                if is_last:
                    raise
            else:
                asked = response.headers.get("retry-after", "")
                wait = max(wait, float(asked)) if asked.isdecimal() else wait
                if is_last or response.status_code not in TRANSIENT or wait > self.longest_wait:
                    return response
                await response.aclose()
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()


async def _add_ids(request: httpx2.Request) -> None:
    request.headers.update(outgoing_headers())


@asynccontextmanager
async def connect(
    base_url: str = "",
    *,
    timeout: httpx2.Timeout = TIMEOUT,  # noqa: ASYNC109 - of each request, not of this function
    transport: httpx2.AsyncBaseTransport | None = None,
    **options: Any,
) -> AsyncGenerator[httpx2.AsyncClient]:
    """Open a client for one other service; keep it for as long as this service runs.

    `options` are those of httpx2.AsyncHTTPTransport: verify, cert, limits, proxy and so on. Wrap
    calls in a CircuitBreaker where the other side may fail for longer. Raises
    httpx2.TransportError when the last try does not get through.
    """
    retrying = RetryTransport(transport or httpx2.AsyncHTTPTransport(**options))
    hooks = {"request": [_add_ids]}
    async with httpx2.AsyncClient(base_url=base_url, transport=retrying, timeout=timeout, event_hooks=hooks) as client:
        yield client
