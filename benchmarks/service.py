"""What the rendered service costs beside the same routes on a bare FastAPI.

Both serve three routes over a real socket: one answers with JSON, one reads a row from PostgreSQL, one is cached in
Redis. The service has access log, correlation id and metrics on, its log going to a pipe; the bare one has the same
libraries and nothing else, and reads Redis by hand as well. The two are measured in turns, in one run, so that
whatever else the machine does hits both. CPU is that of the server process, user and system. What a queue adds is
measured likewise: the service without one, with Celery and with arq, which nobody asks for a job.

    uv run python -m benchmarks.service            # renders, installs, measures, prints the tables
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import copier

from tests.servers import embedded, migrate

ROOT = Path(__file__).parents[1]
ROUNDS = 12
REQUESTS = 3_000  # a round
CONNECTIONS = 16
STARTS = 15
# On the bare FastAPI, and in the service.
ROUTES = {
    "json": ("/hello/world", "/hello/world"),
    "database": ("/rows/1", "/rows/1"),
    "cache": ("/cached/1", "/cached/1"),
    "by hand": ("/by-hand/1", "/cached/1"),
}
BUDGET = {"json": 1.35, "database": 1.25, "cache": 1.25, "by hand": 1.6, "start": 1.15, "memory": 1.15}
UNITS = {
    "json": "CPU µs a request, JSON",
    "database": "CPU µs a request, row of a table",
    "cache": "CPU µs a request, @cached in both",
    "by hand": "CPU µs a request, GET or @cached",
    "start": "CPU s to the first answer",
    "memory": "MiB resident",
}
LIBRARIES = (
    "sqlalchemy.ext.asyncio",
    "asyncpg",
    "alembic",
    "redis.asyncio",
    "prometheus_client",
    "httpx2",
    "celery.app.base",
)
QUEUES = ("none", "celery", "arq")
CORES = sorted(os.sched_getaffinity(0))

# As a module of the API, which the bare application includes as it stands: `parts` is what differs.
RESOURCE = """
from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from {parts} import Session, cached

router = APIRouter()

class Row(BaseModel):
    number: int
    name: str

@router.get("/hello/{{name}}")
async def hello(name: str) -> dict[str, str]:
    return {{"hello": name}}

@router.get("/rows/{{number}}")
async def read_row(number: int, session: Session) -> Row:
    query = text("SELECT number, name FROM numbered WHERE number = :number")
    return Row.model_validate((await session.execute(query, {{"number": number}})).one()._mapping)

@cached(ttl=300)
async def find(number: int) -> Row:
    return Row(number=number, name="from afar")

@router.get("/cached/{{number}}")
async def read_cached(number: int) -> Row:
    return await find(number)
"""
SERVICE_PARTS = """
from ..caching import cached
from ..database import Session
"""
BARE_PARTS = """
import os, typing
from fastapi import Depends
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
import alembic.command, httpx2, itsdangerous, interlock, orjson, prometheus_client, pydantic_settings

engine = create_async_engine(os.environ["ASYNC_URL"], pool_size=20, pool_pre_ping=True)
sessions = async_sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(os.environ["REDIS_URL"])

async def get_session():
    async with sessions.begin() as session:
        yield session

Session = typing.Annotated[AsyncSession, Depends(get_session, scope="function")]

from my_service.caching import cached, connect

connect(redis)
"""
BARE = """
import sys
import uvicorn
from fastapi import FastAPI
from bare_parts import redis
from resource_of_bare import Row, router

app = FastAPI()
app.include_router(router)

@app.get("/by-hand/{number}")
async def read_by_hand(number: int) -> Row:
    if found := await redis.get(f"by hand {number}"):
        return Row.model_validate_json(found)
    row = Row(number=number, name="from afar")
    await redis.set(f"by hand {number}", row.model_dump_json(), ex=300)
    return row

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning", loop="uvloop", http="httptools")
"""
SERVICE = """
import os, runpy, sys
os.environ |= {"APP_ENV": "production", "HOST": "127.0.0.1", "PORT": sys.argv[1], "METRICS_PORT": "0",
               "SECRET_KEY": "0f8e1d2c3b4a59687786a5b4c3d2e1f0", "DRAIN_SECONDS": "0"}
sys.argv[1:] = ["serve"]
runpy.run_module("my_service", run_name="__main__", alter_sys=True)
"""
TABLE = """
import asyncio, asyncpg, os

async def fill():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute("CREATE TABLE numbered (number int PRIMARY KEY, name text)")
    await connection.execute("INSERT INTO numbered VALUES (1, 'one')")

asyncio.run(fill())
"""
IMPORT = """
import gc, os, sys, time
gc.disable()
import fastapi, uvicorn
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
for name in sys.argv[1:]:
    time_before, memory_before = time.process_time(), resident()
    __import__(name)
    print(name, time.process_time() - time_before, resident() - memory_before)
"""


@dataclass
class Measured:
    """One of the two, with everything that was measured of it."""

    script: str
    port: int
    python: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    figures: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in UNITS})


def cpu_seconds(pid: int) -> float:
    """Sum of the scheduler's own figures, in nanoseconds, for every thread."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def read_to_the_end(pipe: IO[bytes]) -> None:
    while os.read(pipe.fileno(), 65536):
        pass


def spawn(one: Measured) -> subprocess.Popen[bytes]:
    # The server has a core to itself, as far as there are two; the load comes from another.
    command = [str(one.python), "-c", one.script, str(one.port)]
    environment = os.environ | one.variables
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=one.folder, env=environment)
    os.sched_setaffinity(process.pid, CORES[:1])
    os.sched_setaffinity(0, CORES[-1:])
    # The log is read, as a container runtime would, and thrown away.
    threading.Thread(target=read_to_the_end, args=[process.stdout]).start()
    while True:
        try:
            asyncio.run(load(one.port, ROUTES["json"][0], 1, 1))
        except OSError:
            if process.poll() is not None:
                sys.exit("the server ended before it answered")
            time.sleep(0.002)
        else:
            return process


async def load(port: int, path: str, requests: int, connections: int) -> None:
    """Ask as often as told over connections that are kept open; every answer has to be a 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: benchmark\r\n\r\n".encode()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests // connections):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit(f"not a 200: {head!r}")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(ask() for _ in range(connections)))


def measure_starts(several: list[Measured]) -> None:
    for _ in range(STARTS):
        for one in several:
            process = spawn(one)
            one.figures["start"].append(cpu_seconds(process.pid))
            process.terminate()
            process.wait()


def measure_requests(both: list[Measured], routes: Mapping[str, tuple[str, ...]]) -> None:
    processes = [spawn(one) for one in both]
    for round_ in range(ROUNDS + 1):
        for what, paths in routes.items():
            for one, process, path in zip(both, processes, paths, strict=True):
                before = cpu_seconds(process.pid)
                asyncio.run(load(one.port, path, REQUESTS, CONNECTIONS))
                if round_:  # the first warms up
                    one.figures[what].append((cpu_seconds(process.pid) - before) / REQUESTS * 1e6)
    for one, process in zip(both, processes, strict=True):
        one.figures["memory"].append(resident_mib(process.pid))
        process.terminate()
        process.wait()


def report(bare: Measured, service: Measured) -> bool:
    """Print the table and say whether the service is within its budget."""
    within = True
    print(f"{'':36}{'bare':>10}{'service':>10}{'ratio':>8}{'budget':>8}")
    for what, unit in UNITS.items():
        left, right = (statistics.median(one.figures[what]) for one in (bare, service))
        within &= right / left <= BUDGET[what]
        print(f"{unit:36}{left:10.2f}{right:10.2f}{right / left:8.2f}{BUDGET[what]:8.2f}")
    return within


def report_choices(question: str, measured: Mapping[str, Measured]) -> None:
    """Print what each answer to a question costs the service."""
    print(f"\n{question:36}" + "".join(f"{name:>14}" for name in measured))
    for what in [what for what in UNITS if all(one.figures[what] for one in measured.values())]:
        figures = [statistics.median(one.figures[what]) for one in measured.values()]
        print(f"{UNITS[what]:36}" + "".join(f"{figure:14.2f}" for figure in figures))


def report_libraries(python: Path) -> None:
    """Print what importing each library adds to a bare FastAPI, the medians of several processes."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in LIBRARIES}
    for _ in range(STARTS):
        done = subprocess.run([python, "-c", IMPORT, *LIBRARIES], capture_output=True, text=True, check=True)
        for name, seconds, mib in map(str.split, done.stdout.splitlines()):
            figures[name].append((float(seconds), float(mib)))
    print(f"\n{'importing':36}{'CPU ms':>10}{'MiB':>10}")
    for name, measured in figures.items():
        seconds, mib = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{name:36}{seconds * 1000:10.0f}{mib:10.1f}")


def install(folder: Path, **answers: object) -> Path:
    """Render and install the full service with these answers, and return its Python."""
    answers = {"preset": "full", **answers}
    copier.run_copy(str(ROOT), folder, answers, defaults=True, quiet=True, unsafe=False, vcs_ref="HEAD")
    api = folder / "src" / "my_service" / "api"
    (api / "parts.py").write_text(SERVICE_PARTS)
    (api / "numbered.py").write_text(RESOURCE.format(parts=".parts"))
    (folder / "bare_parts.py").write_text(BARE_PARTS)
    (folder / "resource_of_bare.py").write_text(RESOURCE.format(parts="bare_parts"))
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode"], cwd=folder, env=environment, check=True)
    return folder / ".venv" / "bin" / "python"


def main() -> int:
    # As in the image, nothing is compiled at the start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folders = {queue: Path(name) / queue for queue in QUEUES}
        pythons = {queue: install(folder, queue=queue) for queue, folder in folders.items()}
        folder, python = folders["celery"], pythons["celery"]
        url = stack.enter_context(embedded(folder, "postgres", Path(name) / "postgres"))
        os.environ |= {"DATABASE_URL": url, "ASYNC_URL": url.replace("postgresql:", "postgresql+asyncpg:")}
        redis = stack.enter_context(embedded(folder, "redis", Path(name) / "redis"))
        os.environ |= {"REDIS_URL": redis, "CELERY_BROKER_URL": redis, "ARQ_REDIS_URL": redis}
        subprocess.run([python, "-c", TABLE], check=True)
        migrate(folder, url)
        bare, service = (Measured(script, port, python, folder) for script, port in ((BARE, 18_611), (SERVICE, 18_612)))
        measure_starts([bare, service])
        measure_requests([bare, service], ROUTES)
        within = report(bare, service)
        ports = {queue: 18_613 + number for number, queue in enumerate(QUEUES)}
        queues = {queue: Measured(SERVICE, ports[queue], pythons[queue], folders[queue]) for queue in QUEUES}
        measure_starts(list(queues.values()))
        measure_requests(list(queues.values()), {"json": (ROUTES["json"][0],) * len(QUEUES)})
        report_choices("queue", queues)
        report_libraries(python)
        return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
