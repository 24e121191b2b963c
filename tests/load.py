"""Requests without pause, half on connections that are kept and half on fresh ones: `load.py http://HOST:PORT PATH...`.

SIGTERM ends it, and then it prints what it has seen as a line of JSON. It runs in pods, where there is Python alone.
"""

import errno
import http.client
import json
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from urllib.parse import urlsplit

CALLERS = 8
KEPT, FRESH = "answered on a connection that is kept", "answered on a connection of its own"
CLOSED = "closed by the service"
WAITED = "waited for a free port"
FAILED = "failed: "
VERSION = "by version "


class Caller(threading.Thread):
    """Sends requests one after the other, on one connection as long as it lasts or each on its own."""

    def __init__(self, address: tuple[str, int], paths: Sequence[str], over: threading.Event, *, keep: bool) -> None:
        super().__init__()
        self.address, self.paths, self.over, self.keep = address, paths, over, keep
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Ask until it is over."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        for path in cycle(self.paths):
            if self.over.is_set():
                break
            try:
                self.ask(connection, path)
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
                    # Ports of connections that ended are free again after a minute: nothing was asked.
                    self.seen[WAITED] += 1
                    time.sleep(0.1)
                else:
                    self.seen[f"{FAILED}{type(error).__name__}: {error}"] += 1
        connection.close()

    def ask(self, connection: http.client.HTTPConnection, path: str) -> None:
        """Send a request and count its answer."""
        connection.request("GET", path, headers={} if self.keep else {"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.will_close or not self.keep:
            self.seen[CLOSED] += self.keep
            connection.close()
        if answer.status != 200:
            self.seen[f"{FAILED}{answer.status}"] += 1
            return
        if path == "/version":
            self.seen[VERSION + json.loads(body)["version"]] += 1
        self.seen[KEPT if self.keep else FRESH] += 1


@contextmanager
def load(address: tuple[str, int], *paths: str, callers: int = CALLERS) -> Iterator[Counter[str]]:
    """Ask for the paths in turn, over and over; yield the counts, which are there at the end."""
    over, seen = threading.Event(), Counter[str]()
    threads = [Caller(address, paths, over, keep=bool(number % 2)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()
            seen.update(thread.seen)


def answered(seen: Mapping[str, int]) -> int:
    """Return how many requests were answered as they should be."""
    return seen.get(KEPT, 0) + seen.get(FRESH, 0)


def failures(seen: Mapping[str, int]) -> dict[str, int]:
    """Return how many requests failed, by reason."""
    return {reason: count for reason, count in seen.items() if reason.startswith(FAILED)}


def main() -> None:
    url, *paths = sys.argv[1:]
    parts = urlsplit(url)
    # Looked up once: it is the service that is asked, not the DNS.
    address = socket.gethostbyname(parts.hostname or ""), parts.port or 80
    # Blocked before there are threads, which inherit that: so it waits for whoever asks for it, also in process 1.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with load(address, *paths) as seen:
        signal.sigwait({signal.SIGTERM})
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
