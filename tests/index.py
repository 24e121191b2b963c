"""A package index of the tests' own, on this machine: real, and empty at first."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "__token__", "a token of the tests"
SERVER = """
import sys
from pathlib import Path
from wsgiref.simple_server import make_server
from pypiserver import app
folder, port, user, password = sys.argv[1:]
known = lambda name, given: (name, given) == (user, password)
served = app(roots=[Path(folder)], authenticate=["update"], auther=known, disable_fallback=True, hash_algo="sha256")
make_server("127.0.0.1", int(port), served).serve_forever()
"""


@dataclass(frozen=True)
class Index:
    """A package index: where it is, and the folder that it serves."""

    url: str
    folder: Path

    @property
    def simple(self) -> str:
        """Return where it lists what it has (PEP 503)."""
        return f"{self.url}simple/"

    @property
    def variables(self) -> dict[str, str]:
        """Return what makes uv publish to it and install from it, before any other."""
        return {"UV_PUBLISH_URL": self.url, "UV_PUBLISH_CHECK_URL": self.simple, "UV_INDEX": self.simple}

    def files(self) -> set[str]:
        """Return the names of the files that it has."""
        return {path.name for path in self.folder.iterdir()}


@contextmanager
def running(folder: Path) -> Iterator[Index]:
    """Run an index that lets in whoever has the token, and yield it."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", SERVER, str(folder), str(port), USER, PASSWORD]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            index = Index(f"http://127.0.0.1:{port}/", folder)
            for _ in range(100):
                with suppress(OSError), urllib.request.urlopen(index.simple, timeout=5):  # noqa: S310 - our own server
                    break
                time.sleep(0.1)
            yield index
        finally:
            server.terminate()
