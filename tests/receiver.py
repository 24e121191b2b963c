"""A server that takes whatever is sent to it, and keeps it: a collector, an error reporter, another service."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Taken(NamedTuple):
    """A request as it came, its body as it was before it was packed."""

    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def receiver() -> Iterator[tuple[str, list[Taken]]]:
    """Yield where it is and what it has taken."""
    taken: list[Taken] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken.append(Taken(self.path, headers, gzip.decompress(body) if is_packed else body))
            self.send_response(200)
            self.send_header("Content-Length", "14")
            self.end_headers()
            self.wfile.write(b'{"result": {}}')

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()
