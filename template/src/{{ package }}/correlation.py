"""One id for everything that happens on behalf of a request.

The id comes with the request (`X-Request-ID`, or the trace id of a W3C `traceparent`) or is made
here. It is returned to the caller, stands in every log line and goes along with outgoing calls.
What else is known of the request, `add_context` puts into its log lines.
Trace context: https://www.w3.org/TR/trace-context/
"""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

HEADER = "X-Request-ID"
_VALID_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_VALID_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_context: ContextVar[dict[str, Any] | None] = ContextVar("context", default=None)


def get_correlation_id() -> str | None:
    """Return the id of the request or job at hand, or None outside of one."""
    return _correlation_id.get()


def set_correlation_id(correlation_id: str | None) -> None:
    """Say on whose behalf the current task works from here on."""
    _correlation_id.set(correlation_id)


def make_correlation_id() -> str:
    """Return a new id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def get_trace_id() -> str | None:
    """Return the id of the trace this belongs to, 32 hexadecimal digits, or None."""
    traceparent = _traceparent.get()
    return traceparent[3:35] if traceparent else None


def get_context() -> Mapping[str, Any]:
    """Return what else is known of the request or job at hand."""
    return _context.get() or {}


def add_context(**fields: Any) -> None:
    """Say more about the request or job at hand: its log lines have these fields from here on."""
    # Threads that do a part of the request have the same one.
    context = _context.get()
    if context is None:
        _context.set(fields)
    else:
        context.update(fields)


def set_traceparent(traceparent: str) -> None:
    """Say which step of which trace this is, as W3C's `traceparent` has it."""
    _traceparent.set(traceparent)


def outgoing_headers() -> dict[str, str]:
    """Return the headers that hand the ids on to another service."""
    headers = {HEADER: _correlation_id.get(), "traceparent": _traceparent.get()}
    return {name: value for name, value in headers.items() if value}


def bind(headers: Mapping[bytes, bytes]) -> str:
    """Take the ids from the headers of a request, make what is missing and return the correlation id.

    They hold for the task at hand and those it starts: a server gives each request one of its own.
    """
    traceparent: str | None = None
    if _VALID_TRACEPARENT.fullmatch(sent := headers.get(b"traceparent", b"")):
        traceparent = sent.decode("latin-1")
    if _VALID_ID.fullmatch(sent := headers.get(b"x-request-id", b"")):
        correlation_id = sent.decode()
    else:
        correlation_id = traceparent[3:35] if traceparent else make_correlation_id()
    _context.set({})
    _traceparent.set(traceparent)
    _correlation_id.set(correlation_id)
    return correlation_id
