"""What is refused before any route sees it, and the headers that keep browsers careful."""

import re
from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Message, Receive

from .correlation import HEADER
from .environment import Environment
from .errors import problem

# Kubernetes addresses its probes to this name, whatever names clients use.
PROBE_HOST = "localhost"
_PORT = re.compile(r":\d*$")


def response_headers(environment: Environment) -> list[tuple[bytes, bytes]]:
    """Return the headers of every response that has none of its own (OWASP REST security cheat sheet)."""
    headers = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
    if environment != "development":  # where /docs has to load its scripts, over plain HTTP
        headers += [
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
            (b"strict-transport-security", b"max-age=63072000"),
        ]
    return headers


def cors(origins: Sequence[str]) -> list[Middleware]:
    """Return what lets pages of these origins call the API: nothing where there are none."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=[HEADER]
        )
    ]


class Guard:
    """Refuses requests for other hosts, and bodies that are too large or say they will be."""

    def __init__(self, allowed_hosts: Sequence[str], max_body_bytes: int) -> None:
        self.hosts = None if "*" in allowed_hosts else {PROBE_HOST, *(host.lower() for host in allowed_hosts)}
        self.max_body_bytes = max_body_bytes
        self.too_large = f"A body has at most {max_body_bytes} bytes."

    def refusal(self, headers: Mapping[bytes, bytes]) -> Response | None:
        """Return the answer to a request that must not go further, or None."""
        if self.hosts is not None:
            name = headers.get(b"host", b"").decode("latin-1").lower()
            if _PORT.sub("", name) not in self.hosts:
                return problem(400, "This service is not known under that host name.")
        if int(headers.get(b"content-length", 0)) > self.max_body_bytes:
            return problem(413, self.too_large)
        return None

    def limited(self, receive: Receive) -> Receive:
        """Return `receive` for a body that does not say how long it is."""
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise HTTPException(413, self.too_large)
            return message

        return receive_limited
