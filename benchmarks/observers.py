"""What error reports and traces cost the service: chosen and off, and on.

Off is without a DSN, a token or an address; on is with a server on this machine that takes everything. All are measured
in turns with the service that has none of them, in one run. CPU is that of the server process, as in `service.py`.

    uv run python -m benchmarks.observers          # renders, installs, measures, prints the table
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.service import (
    ROUTES,
    SERVICE,
    TABLE,
    Measured,
    install,
    measure_requests,
    measure_starts,
    report_choices,
)
from tests.servers import embedded, free_port, migrate

CHOICES: dict[str, dict[str, object]] = {
    "none": {"errors": "none", "observability": ["prometheus"]},
    "sentry": {"errors": "sentry", "observability": ["prometheus"]},
    "rollbar": {"errors": "rollbar", "observability": ["prometheus"]},
    "opentelemetry": {"errors": "none", "observability": ["prometheus", "opentelemetry"]},
    "datadog": {"errors": "none", "observability": ["prometheus", "datadog"]},
}
SINK = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")
    do_GET = do_PUT = do_POST
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def sink() -> Iterator[int]:
    """Take whatever is sent, in a process of its own, and yield the port."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", SINK, str(port)]) as process:
        try:
            yield port
        finally:
            process.terminate()


def switched_on(port: int) -> dict[str, tuple[str, dict[str, str]]]:
    """Return what is measured: the choice, and the variables that switch it on."""
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    return {
        "sentry on": ("sentry", {"SENTRY_DSN": f"http://key@127.0.0.1:{port}/1"}),
        "rollbar on": ("rollbar", {"ROLLBAR_TOKEN": "a", "ROLLBAR_ENDPOINT": f"http://127.0.0.1:{port}/"}),
        "traces, 10 %": ("opentelemetry", collector),
        "traces, all": ("opentelemetry", collector | {"OTEL_TRACES_SAMPLER_ARG": "1"}),
        "datadog on": ("datadog", {"DD_AGENT_HOST": "127.0.0.1", "DD_TRACE_AGENT_PORT": str(port)}),
    }


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folders = {choice: Path(name) / choice for choice in CHOICES}
        pythons = {choice: install(folder, queue="none", **CHOICES[choice]) for choice, folder in folders.items()}
        folder = folders["none"]
        url = stack.enter_context(embedded(folder, "postgres", Path(name) / "postgres"))
        redis = stack.enter_context(embedded(folder, "redis", Path(name) / "redis"))
        # All of them run at once, and the server takes 100 connections.
        os.environ |= {"DATABASE_URL": url, "REDIS_URL": redis, "DATABASE_POOL_SIZE": "8", "DATABASE_MAX_OVERFLOW": "0"}
        subprocess.run([pythons["none"], "-c", TABLE], check=True)
        migrate(folder, url)
        all_of_them: dict[str, tuple[str, dict[str, str]]] = {choice: (choice, {}) for choice in CHOICES}
        all_of_them |= switched_on(stack.enter_context(sink()))
        measured = {
            name: Measured(SERVICE, free_port(), pythons[choice], folders[choice], variables)
            for name, (choice, variables) in all_of_them.items()
        }
        measure_starts(list(measured.values()))
        routes = {what: (ROUTES[what][1],) * len(measured) for what in ("json", "database")}
        measure_requests(list(measured.values()), routes)
        report_choices("errors and traces", measured)


if __name__ == "__main__":
    main()
