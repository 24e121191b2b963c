"""A Kubernetes API server, as far as kubectl speaks with one to roll out: real requests, answered from memory."""

import copy
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kubernetes_kinds import RESOURCES, discovery
from tests.kubernetes_objects import Api, patched, selects

OBJECT = re.compile(
    r"^/(?:api|apis)/(?P<version>.+?)/namespaces/[^/]+/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?P<sub>/\w+)?$"
)


class Handler(BaseHTTPRequestHandler):
    """Answers kubectl."""

    protocol_version = "HTTP/1.1"
    api: Api

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, body: Any, status: int = 200) -> None:
        """Send JSON."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, reason: str, message: str) -> None:
        """Send a Status, as the API does."""
        self.answer(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "message": message,
                "reason": reason,
                "code": status,
            },
            status,
        )

    def body(self) -> Any:
        """Return what was sent."""
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")

    def handle_any(self) -> None:
        """Answer a request."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self.api.lock:
            self.api.requests.append((self.command, url.path))
        if known := discovery().get(url.path):
            self.answer(known)
        elif (match := OBJECT.match(url.path)) and match["resource"] in RESOURCES:
            if self.command == "GET":
                self.read(match["resource"], match["name"], match["sub"], query)
            else:
                self.change(match["resource"], match["name"])
        else:
            self.refuse(404, "NotFound", "the server could not find the requested resource")

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 - as http.server names them

    def read(self, resource: str, name: str | None, sub: str | None, query: dict[str, str]) -> None:
        """Read one object or several, or watch them."""
        if sub == "/log":
            self.answer("the log of a pod\n")
            return
        with self.api.lock:
            if name:
                found = self.api.objects.get((resource, name))
                if found:
                    self.answer(found)
                else:
                    self.refuse(404, "NotFound", f'{resource} "{name}" not found')
                return
            items = [copy.deepcopy(each) for (kind, _), each in sorted(self.api.objects.items()) if kind == resource]
        for selector in filter(None, [query.get("labelSelector")]):
            items = [each for each in items if selects(selector, each)]
        for selector in filter(None, [query.get("fieldSelector")]):
            items = [each for each in items if each["metadata"]["name"] == selector.partition("=")[2]]
        version, kind = RESOURCES[resource]
        if query.get("watch"):
            # Nothing happens later: everything has happened at once.
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            time.sleep(0.5)
            self.close_connection = True
            return
        listed = {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": str(self.api.version)}}
        self.answer(listed | {"items": items})

    def change(self, resource: str, name: str | None) -> None:
        """Create, change or delete an object."""
        body = self.body()
        with self.api.lock:
            if self.command == "POST":
                self.answer(self.api.write(resource, body), 201)
            elif not name or (found := self.api.objects.get((resource, name))) is None:
                self.refuse(404, "NotFound", f'{resource} "{name}" not found')
            elif self.command == "DELETE":
                self.answer(self.api.delete(resource, name))
            elif self.command == "PUT":
                self.answer(self.api.write(resource, body))
            else:
                self.answer(self.api.write(resource, patched(found, body, self.headers["Content-Type"])))


@contextmanager
def running(folder: Path) -> Iterator[Api]:
    """Serve on loopback; `config` in the folder leads kubectl there, in the context `local`."""
    api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OurHandler", (Handler,), {"api": api}))
    server.daemon_threads = True
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "local", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}},
            {"name": "away", "cluster": {"server": "http://127.0.0.1:1"}},
        ],
        "users": [{"name": "somebody", "user": {}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "somebody", "namespace": "services"}}
            for name in ("local", "away")
        ],
        "current-context": "local",
    }
    (folder / "config").write_text(json.dumps(config))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
