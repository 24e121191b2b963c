"""What the rendered service costs beside the same route on a bare FastAPI.

Both serve one JSON route over a real socket; the service with access log, correlation id and
metrics on, its log going to a pipe. The two are measured in turns, in one run, so that whatever
else the machine does hits both. CPU is that of the server process, user and system.

    uv run python benchmarks/service.py            # renders, installs, measures, prints the table
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import copier

ROOT = Path(__file__).parents[1]
ROUNDS = 12
REQUESTS = 4_000  # a round
CONNECTIONS = 16
STARTS = 15
BUDGET = {"cpu": 1.35, "start": 1.15, "memory": 1.25}
CORES = sorted(os.sched_getaffinity(0))

# As a module of the API, which the bare application includes as it stands.
RESOURCE = """
from fastapi import APIRouter

router = APIRouter()

@router.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    return {"hello": name}
"""
BARE = """
import sys
import uvicorn
from fastapi import FastAPI
sys.path.insert(0, "src/my_service/api")
from hello import router

app = FastAPI()
app.include_router(router)
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning", loop="uvloop", http="httptools")
"""
SERVICE = """
import os, runpy, sys
os.environ |= {"APP_ENV": "production", "HOST": "127.0.0.1", "PORT": sys.argv[1], "METRICS_PORT": "0",
               "SECRET_KEY": "0f8e1d2c3b4a59687786a5b4c3d2e1f0", "DRAIN_SECONDS": "0"}
sys.argv[1:] = ["serve"]
runpy.run_module("my_service", run_name="__main__", alter_sys=True)
"""


@dataclass
class Measured:
    """One of the two, with everything that was measured of it."""

    script: str
    port: int
    cpu: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def cpu_seconds(pid: int) -> float:
    """Sum of the scheduler's own figures, in nanoseconds, for every thread."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def read_to_the_end(pipe: IO[bytes]) -> None:
    while os.read(pipe.fileno(), 65536):
        pass


def spawn(python: Path, one: Measured, folder: Path) -> subprocess.Popen[bytes]:
    # The server has a core to itself, as far as there are two; the load comes from another.
    process = subprocess.Popen([python, "-c", one.script, str(one.port)], stdout=subprocess.PIPE, cwd=folder)
    os.sched_setaffinity(process.pid, CORES[:1])
    os.sched_setaffinity(0, CORES[-1:])
    # The log is read, as a container runtime would, and thrown away.
    threading.Thread(target=read_to_the_end, args=[process.stdout]).start()
    while True:
        try:
            asyncio.run(load(one.port, 1, 1))
        except OSError:
            if process.poll() is not None:
                sys.exit("the server ended before it answered")
            time.sleep(0.002)
        else:
            return process


async def load(port: int, requests: int, connections: int) -> None:
    """Ask as often as told over connections that are kept open; every answer has to be a 200."""
    request = b"GET /hello/world HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: benchmark\r\n\r\n"

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


def measure_starts(python: Path, both: list[Measured], folder: Path) -> None:
    for _ in range(STARTS):
        for one in both:
            process = spawn(python, one, folder)
            one.start.append(cpu_seconds(process.pid))
            process.terminate()
            process.wait()


def measure_requests(python: Path, both: list[Measured], folder: Path) -> None:
    processes = [spawn(python, one, folder) for one in both]
    for round_ in range(ROUNDS + 1):
        for one, process in zip(both, processes, strict=True):
            before = cpu_seconds(process.pid)
            asyncio.run(load(one.port, REQUESTS, CONNECTIONS))
            if round_:  # the first warms up
                one.cpu.append((cpu_seconds(process.pid) - before) / REQUESTS * 1e6)
    for one, process in zip(both, processes, strict=True):
        one.memory.append(resident_mib(process.pid))
        process.terminate()
        process.wait()


def report(bare: Measured, service: Measured) -> bool:
    """Print the table and say whether the service is within its budget."""
    within = True
    print(f"{'':28}{'bare':>10}{'service':>10}{'ratio':>8}{'budget':>8}")
    for what, unit in (("cpu", "CPU µs a request"), ("start", "CPU s to the first answer"), ("memory", "MiB resident")):
        left, right = (statistics.median(getattr(one, what)) for one in (bare, service))
        within &= right / left <= BUDGET[what]
        print(f"{unit:28}{left:10.2f}{right:10.2f}{right / left:8.2f}{BUDGET[what]:8.2f}")
    return within


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "service"
        copier.run_copy(str(ROOT), folder, defaults=True, quiet=True, unsafe=False, vcs_ref="HEAD")
        (folder / "src/my_service/api/hello.py").write_text(RESOURCE)
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        install = ["uv", "sync", "--quiet", "--no-dev", "--compile-bytecode"]
        subprocess.run(install, cwd=folder, env=environment, check=True)
        python = folder / ".venv" / "bin" / "python"
        bare, service = Measured(BARE, 18_611), Measured(SERVICE, 18_612)
        measure_starts(python, [bare, service], folder)
        measure_requests(python, [bare, service], folder)
        return 0 if report(bare, service) else 1


if __name__ == "__main__":
    sys.exit(main())
