"""Logs on standard output: JSON, one object a line, or for people in development.

Everything goes through the standard library's logging, so that lines of the server and of
libraries look the same. Fields given with `extra=` stand in the line under their own names.
Timestamps are those of the record, in UTC (RFC 3339).
"""

import asyncio
import json
import logging
import logging.config
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from threading import RLock
from typing import Any

import orjson

from .correlation import get_context, get_correlation_id, get_trace_id

REDACTED = "[redacted]"
WRITE_SECONDS = 0.1
WRITE_LINES = 100  # what a pipe takes without blocking, 64 KiB, and some room
# Attributes of every record; what a record has besides them was given with `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName", "color_message"}
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|pwd|secret|token(?!s)|(api|private)[_-]?key"
    r"|authori[sz]ation|auth(?!or)|cookie|credential|session[_-]?id|dsn",
    re.IGNORECASE,
)
# Credentials in URLs, and in headers and settings that were put into a message as text.
_SECRET_TEXT = re.compile(
    r"(?<=://)(?P<url>[^\s/]+)(?=@)"
    r"|(?P<header>\b(?:authorization|(?:set-)?cookie)[\"']?\s*[=:]\s*[\"']?)[^\r\n\"']+"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}"
    r"|(?P<name>\b[\w-]*(?:pass(?:word|wd|phrase)|pwd|secret|token|(?:api|private)[_-]?key|credential)[\w-]*"
    r"[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}]+",
    re.IGNORECASE,
)
# A line without any of these holds no secret; looking for them is 40 times faster than the patterns.
_HINTS = (
    *("pass", "pwd", "secret", "token", "key", "auth", "cookie", "credential", "session", "dsn"),
    *("://", "bearer", "basic"),
)


def _keep_name(found: re.Match[str]) -> str:
    return f"{found['header'] or found['scheme'] or found['name'] or ''}{REDACTED}"


def redact(value: Any, name: str = "") -> Any:
    """Return the value without what must not be logged.

    A value goes as a whole when it is called like a secret; texts lose the credentials in them.
    """
    if name and _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_TEXT.sub(_keep_name, value)
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    return value


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _looks_secret(text: str) -> bool:
    lower = text.lower()
    for hint in _HINTS:  # noqa: SIM110 - any() takes twice as long, on every line
        if hint in lower:
            return True
    return False


def _to_json(fields: dict[str, Any]) -> str:
    try:
        return orjson.dumps(fields, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # what is not UTF-8, or a very large number
        return json.dumps(fields, default=_plain, skipkeys=True)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, set | frozenset) else str(value)


def safe(text: str) -> str:
    """Return a text without the credentials in it."""
    return str(redact(text)) if _looks_secret(text) else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        fields = {
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "module": record.module,
            "function": record.funcName,
            "line": record.lineno,
            **_extra(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        fields = {**fields, **{name: value for name, value in get_context().items() if name not in fields}, **_ids()}
        line = _to_json(fields)
        return _to_json(redact(json.loads(line))) if _looks_secret(line) else line


def _ids() -> dict[str, str | None]:
    ids = {"correlation_id": get_correlation_id()}
    if trace_id := get_trace_id():
        ids["trace_id"] = trace_id
    return ids


class ConsoleFormatter(logging.Formatter):
    """A line for people: time, level, logger, message and whatever else was given."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record without secrets."""
        return str(redact(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in the standard library
        """Append the extra fields and the id of the request."""
        fields = {**get_context(), **_extra(record), "id": get_correlation_id()}
        extra = " ".join(f"{name}={redact(value, name)}" for name, value in fields.items() if value is not None)
        line = f"{super().formatMessage(record)}  {extra}".rstrip()
        return line.replace("\r", "\\r").replace("\n", "\\n")  # nobody can make up a line


class StdoutHandler(logging.Handler):
    """Writes lines to standard output, those of a busy moment together.

    A write wakes whoever reads the log, which can cost as much as half a request. Lines below
    WARNING therefore wait up to `WRITE_SECONDS` while an event loop runs; everything else, and
    what waited, is written at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stdout
        self._lines: list[str] = []
        # Reentrant: what is collected during a write may log as well.
        self._lock = RLock()
        # The loop that will write what waits.
        self._due_in: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or have it written in a moment."""
        try:
            self.add(self.format(record), at_once=record.levelno >= logging.WARNING)
        except Exception:  # noqa: BLE001 - as the standard library's handlers do
            self.handleError(record)

    def add(self, line: str, *, at_once: bool = False) -> None:
        """Write a line, or have it written in a moment."""
        with self._lock:
            self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            at_once = True
        else:
            at_once = at_once or len(self._lines) >= WRITE_LINES
        if at_once:
            self.flush()
        elif self._due_in is not loop:
            loop.call_later(WRITE_SECONDS, self.flush)
            self._due_in = loop

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            lines, self._lines, self._due_in = self._lines, [], None
            try:
                if lines:
                    self._stream.write("\n".join([*lines, ""]))
                    self._stream.flush()
            except OSError as error:  # a full disk, a reader that is gone: no reason to fail a request
                with suppress(OSError):
                    sys.stderr.write(f"The log cannot be written: {error}\n")


_json_output: list[StdoutHandler] = []


def write_json(line: dict[str, Any], message: str, fields: dict[str, Any]) -> bool:
    """Write a line past the records of `logging`, if lines are JSON; else return False.

    For what is written on every request: a record, with the search for its caller and its way
    through the loggers, takes four times as long as the line itself. Nothing is redacted here.
    """
    for handler in _json_output:
        now = datetime.now(UTC)
        handler.add(_to_json({"timestamp": now, **line, "message": message, **_ids(), **fields}))
    return bool(_json_output)


def configure(level: str, log_format: str) -> None:
    """Send every log line of the process to standard output.

    `level` is a name like INFO; `log_format` is json or console.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}, "console": {"()": ConsoleFormatter}},
            "handlers": {"stdout": {"()": StdoutHandler, "formatter": log_format}},
            "root": {"level": level, "handlers": ["stdout"]},
        }
    )
    logging.captureWarnings(capture=True)
    handlers = logging.getLogger().handlers
    _json_output[:] = [handler for handler in handlers if isinstance(handler, StdoutHandler) and log_format == "json"]
