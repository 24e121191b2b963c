"""Errors as problem details: application/problem+json, RFC 9457."""

import math
from collections.abc import Mapping
from http.client import responses
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.utils import is_body_allowed_for_status_code
from starlette.exceptions import HTTPException

from .correlation import get_correlation_id
from .resilience import CircuitOpenError, UnavailableError

MEDIA_TYPE = "application/problem+json"
SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "correlation_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "correlation_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "default": {"description": "A problem", "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
}
"""What the OpenAPI document says of every route's errors."""


def problem(
    status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **extensions: Any
) -> JSONResponse:
    """Return a response that says what went wrong, with the id that finds it in the logs."""
    title = responses.get(status, "Error")
    content = {"type": "about:blank", "title": title, "status": status}
    if detail and detail != title:
        content["detail"] = detail
    content |= {"correlation_id": get_correlation_id(), **extensions}
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


async def _http_error(_: Request, error: HTTPException) -> Response:
    if not is_body_allowed_for_status_code(error.status_code):
        return Response(status_code=error.status_code, headers=error.headers)
    return problem(error.status_code, error.detail, headers=error.headers)


async def _invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    # Where it is wrong and why, but not the input itself.
    errors = [{"in": list(map(str, found["loc"])), "why": found["msg"]} for found in error.errors()]
    return problem(422, "The request is not valid.", errors=errors)


async def _unavailable(_: Request, error: CircuitOpenError | UnavailableError) -> JSONResponse:
    seconds = math.ceil(getattr(error, "retry_after", None) or 1)
    return problem(
        503,
        "Something this service depends on does not answer.",
        headers={"Retry-After": str(seconds)},
    )


def install(app: FastAPI) -> None:
    """Answer errors that reach the edge with problem details."""
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(CircuitOpenError)(_unavailable)
    app.exception_handler(UnavailableError)(_unavailable)
