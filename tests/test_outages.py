"""Servers go away and come back while requests are counted: nothing restarts, nothing fails that need not."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.servers import Answered, embedded, load, migrate, python, service, statuses
from tests.servers import installed as installation

pytestmark = [pytest.mark.alone, pytest.mark.slow]
ITEM = json.dumps({"name": "a lamp"}).encode()


@pytest.fixture(scope="module")
def installed(render: Render) -> Iterator[Path]:
    """The full project, installed."""
    with installation(render(preset="full")) as project:
        yield project


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Print what was counted, past pytest."""

    def say(answers: list[Answered], *paths: str) -> None:
        with capsys.disabled():
            print()
            for path in paths:
                slowest = max(answer.seconds for answer in answers if answer.path == path)
                print(f"{path:12} {dict(statuses(answers, path))}, slowest {slowest:.2f} s")

    return say


def test_database_stops_and_starts_under_load(installed: Path, folder: Path, report: Callable[..., None]) -> None:
    paths = ("/livez", "/readyz", "/items", "/version")
    with ExitStack() as stack:
        redis = stack.enter_context(embedded(installed, "redis", folder / "redis"))
        database = ExitStack()
        url = database.enter_context(embedded(installed, "postgres", folder / "postgres"))
        migrate(installed, url)
        running = stack.enter_context(service(installed, DATABASE_URL=url, REDIS_URL=redis))
        with load(running, *paths, "/items") as answers:
            time.sleep(1)
            database.close()
            stopped = time.monotonic()
            time.sleep(4)
            started = time.monotonic()
            assert stack.enter_context(embedded(installed, "postgres", folder / "postgres")) == url
            up = time.monotonic()
            time.sleep(6)
    report(answers, *paths)
    assert set(statuses(answers, "/livez")) == set(statuses(answers, "/version")) == {200}
    away = [answer for answer in answers if stopped + 2.5 < answer.moment < started]
    assert set(statuses(away, "/readyz")) == {503}
    assert set(statuses(away, "/items")) == {503}
    ready = [answer.moment for answer in answers if (answer.path, answer.status) == ("/readyz", 200)]
    back = min(moment for moment in ready if moment > started)
    assert back - up < 5
    after = [answer for answer in answers if answer.moment - answer.seconds > back]
    assert {answer.status for answer in after} == {200}
    assert len([answer for answer in after if answer.path == "/items"]) > 100


def test_cache_hangs_returns_and_stops_under_load(installed: Path, folder: Path, report: Callable[..., None]) -> None:
    with ExitStack() as stack:
        cache = ExitStack()
        redis = cache.enter_context(embedded(installed, "redis", folder / "redis"))
        url = stack.enter_context(embedded(installed, "postgres", folder / "postgres"))
        migrate(installed, url)
        running = stack.enter_context(service(installed, DATABASE_URL=url, REDIS_URL=redis))
        item = "/items/" + json.loads(running.ask("/items", ITEM)[1])["id"]
        paths = ("/livez", "/readyz", item)
        (server,) = pids(redis)
        with load(running, *paths) as answers:
            time.sleep(1)
            os.kill(server, signal.SIGSTOP)
            time.sleep(3)
            assert json.loads(running.ask("/readyz")[1])["status"] == "degraded"
            os.kill(server, signal.SIGCONT)
            resumed = time.monotonic()
            while json.loads(running.ask("/readyz")[1])["status"] != "ok":
                assert time.monotonic() - resumed < 5
            time.sleep(2)
            hits = running.outcomes("cache_requests_total")["hit"]
            cache.close()
            time.sleep(2)
            assert json.loads(running.ask("/readyz")[1])["status"] == "degraded"
        outcomes = running.outcomes("cache_requests_total")
    report(answers, *paths)
    assert {answer.status for answer in answers} == {200}
    assert max(answer.seconds for answer in answers) < 3
    assert hits > 100
    assert outcomes["failure"] > 0


def test_service_waits_for_a_database_that_comes_later(installed: Path, folder: Path) -> None:
    with embedded(installed, "postgres", folder / "postgres") as url:
        migrate(installed, url)
    with ExitStack() as stack, ThreadPoolExecutor() as worker:

        def start_later() -> None:
            time.sleep(2)
            stack.enter_context(embedded(installed, "postgres", folder / "postgres"))

        later = worker.submit(start_later)
        with service(installed, DATABASE_URL=url, REDIS_URL="redis://127.0.0.1:1") as running:
            assert later.done()
            assert running.ask("/items")[0] == 200


LOCK = """
import asyncio, sys
import asyncpg

async def hold() -> None:
    connection = await asyncpg.connect(sys.argv[1])
    async with connection.transaction():
        await connection.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        print("held", flush=True)
        await asyncio.sleep(4)

asyncio.run(hold())
"""


def test_connections_are_exhausted_under_load(installed: Path, folder: Path, report: Callable[..., None]) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(embedded(installed, "redis", folder / "redis"))
        url = stack.enter_context(embedded(installed, "postgres", folder / "postgres"))
        migrate(installed, url)
        few = {"DATABASE_POOL_SIZE": "2", "DATABASE_MAX_OVERFLOW": "1", "DATABASE_POOL_TIMEOUT_SECONDS": "0.5"}
        running = stack.enter_context(service(installed, DATABASE_URL=url, REDIS_URL=redis, **few))
        with load(running, "/livez", *["/items"] * 12) as answers:
            time.sleep(1)
            with subprocess.Popen([python(installed), "-c", LOCK, url], stdout=subprocess.PIPE, text=True) as holder:
                assert holder.stdout
                assert holder.stdout.readline() == "held\n"
                held = time.monotonic()
                assert holder.wait(timeout=30) == 0
            released = time.monotonic()
            time.sleep(3)
    report(answers, "/livez", "/items")
    assert set(statuses(answers, "/livez")) == {200}
    waiting = [answer for answer in answers if held + 1 < answer.moment < released - 0.2]
    assert set(statuses(waiting, "/items")) == {503}
    assert max(answer.seconds for answer in answers) < 6, "the lock is waited for no longer than DATABASE_LOCK_TIMEOUT"
    assert {answer.status for answer in answers if answer.moment > released + 1} == {200}


def test_processes_share_the_cache_and_one_of_many_misses_calls(installed: Path, folder: Path) -> None:
    with ExitStack() as stack:
        variables = {
            "REDIS_URL": stack.enter_context(embedded(installed, "redis", folder / "redis")),
            "DATABASE_URL": stack.enter_context(embedded(installed, "postgres", folder / "postgres")),
        }
        migrate(installed, variables["DATABASE_URL"])
        both = [stack.enter_context(service(installed, **variables)) for _ in range(2)]
        workers = stack.enter_context(ThreadPoolExecutor(50))
        for number in range(10):
            body = json.dumps({"name": f"lamp {number}"}).encode()
            path = "/items/" + json.loads(both[0].ask("/items", body)[1])["id"]
            before = sum((each.outcomes("cache_requests_total") for each in both), Counter())
            asked = list(workers.map(lambda turn: both[turn % 2].ask(path)[0], range(50)))  # noqa: B023 - done at once
            assert set(asked) == {200}
            after = sum((each.outcomes("cache_requests_total") for each in both), Counter())
            assert after - before == Counter(miss=1, hit=49)


def pids(redis: str) -> list[int]:
    """Return the processes that serve a URL."""
    (port,) = re.findall(r":(\d+)", redis)
    found = subprocess.run(["pgrep", "--full", f"valkey-server.*:{port}"], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]
