"""Tasks of a rendered project, run as its developers and its CI run them."""

import fcntl
import json
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.shell import clean_environment, git, uv
from tests.workflows import script

pytestmark = pytest.mark.slow
Project = Callable[..., Path]


def test_serve_starts_with_nothing_set_in_development_and_ends_with_ctrl_c(project: Project) -> None:
    folder = project()
    environment = clean_environment(PORT="0", METRICS_PORT="0")
    environment.pop("APP_ENV", None)
    with subprocess.Popen(
        ["uv", "run", "doit", "serve"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        line = next(line for line in process.stdout if "listening on" in line)
        url = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert url
        assert ", try /docs" in line
        assert not line.startswith("{"), "development has a log for people"
        for path in ("/docs", "/readyz", "/items"):
            with urllib.request.urlopen(url[0] + path, timeout=10) as answer:  # noqa: S310 - our own server
                assert answer.status == 200
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert "stopped" in rest
        assert "Traceback" not in rest


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run `doit serve`, yield where it answers, and end it with Ctrl-C."""
    command = ["uv", "run", "doit", "serve"]
    environment = clean_environment(PORT="0", METRICS_PORT="0")
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = next(line for line in process.stdout if "listening on" in line)
        yield re.findall(r"http://127\.0\.0\.1:\d+", line)[0]
        process.send_signal(signal.SIGINT)
        process.stdout.read()


def ask(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def test_data_of_development_is_kept_and_nothing_goes_on_running(project: Project) -> None:
    folder = project()
    with served(folder) as url:
        made = ask(f"{url}/items", b'{"name": "a lamp"}')
    for name in ("postgres", "redis"):
        # The lock of the process that keeps the server; the system takes it back when that ends.
        with (folder / ".data" / name / "keeper").open() as keeper:
            fcntl.flock(keeper, fcntl.LOCK_EX)
    with served(folder) as url:
        assert ask(f"{url}/items")["items"] == [made]
    assert git(folder, "status", "--porcelain") == "?? uv.lock"


def test_migration_is_written_for_what_the_models_have(project: Project) -> None:
    folder = project(package="orders")
    assert uv(folder, "run", "doit", "migrate").returncode == 0
    store = folder / "src" / "orders" / "api" / "item_store.py"
    store.write_text(
        store.read_text().replace(
            "    version: Mapped[int]\n", "    version: Mapped[int]\n    colour: Mapped[str | None]\n"
        )
    )
    failed = uv(folder, "run", "pytest", "--quiet", "-k", "goes_up_down_and_up")
    assert failed.returncode == 1
    assert "add_column" in failed.stdout
    written = uv(folder, "run", "doit", "migration", "--", "add a colour")
    assert written.returncode == 0, written.stdout + written.stderr
    (path,) = (folder / "src" / "orders" / "migrations" / "versions").glob("*add_a_colour.py")
    assert "add_column" in path.read_text()
    assert uv(folder, "run", "doit", "migrate").returncode == 0
    checked = uv(folder, "run", "pytest", "--quiet", "-k", "goes_up_down_and_up")
    assert checked.returncode == 0, checked.stdout
    assert uv(folder, "run", "ruff", "check", str(path)).returncode == 0
    unsaid = uv(folder, "run", "doit", "migration")
    assert unsaid.returncode != 0
    assert "Say in a few words what it does" in unsaid.stderr


def test_format_mends_and_check_refuses(project: Project) -> None:
    folder = project(preset="minimal")
    module = folder / "src" / "my_service" / "version.py"
    good = module.read_text()
    module.write_text(good.replace("return version(", "return  version("))
    refused = uv(folder, "run", "doit", "check")
    assert refused.returncode != 0
    assert uv(folder, "run", "doit", "format").returncode == 0
    assert module.read_text() == good


@pytest.mark.parametrize(
    ("task", "mistake"),
    [
        ("lint", "import os\n"),
        ("types", "number: int = 'seven'\n"),
        ("security", "import subprocess\n\nsubprocess.call('ls *', shell=True)\n"),
        ("test", "raise SystemExit(1)\n"),
    ],
)
def test_each_gate_fails_on_its_own_kind_of_mistake(project: Project, task: str, mistake: str) -> None:
    folder = project(preset="minimal")
    with (folder / "src" / "my_service" / "version.py").open("a") as module:
        module.write(mistake)
    assert uv(folder, "run", "doit", task).returncode != 0


@contextmanager
def vulnerability_service(vulnerable: set[str]) -> Iterator[str]:
    """Run a service that speaks OSV's protocol (https://google.github.io/osv.dev/api/) and knows these packages."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
            found = {"vulns": [{"id": "TEST-1", "modified": "2026-01-01T00:00:00Z"}]}
            self.answer({"results": [found if query["package"]["name"] in vulnerable else {} for query in queries]})

        def do_GET(self) -> None:
            self.answer({"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "summary": "a hole", "affected": []})

        def answer(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_audit_finds_passes_and_fails_closed(project: Project) -> None:
    folder = project(preset="minimal")
    assert uv(folder, "lock", "--quiet").returncode == 0

    def audit(url: str) -> subprocess.CompletedProcess[str]:
        return uv(folder, "run", "doit", "audit", "--", "--service-url", url)

    with vulnerability_service(set()) as clean:
        assert audit(clean).returncode == 0
    with vulnerability_service({"orjson"}) as holed:
        found = audit(holed)
        assert found.returncode != 0
        assert "TEST-1" in found.stdout
    assert audit("http://127.0.0.1:9").returncode != 0


def test_ci_says_in_one_sentence_what_is_wrong_with_the_lock(project: Project) -> None:
    folder = project(preset="minimal")
    compare = script(folder, "ci", "lock", "Compare")

    def step() -> subprocess.CompletedProcess[str]:
        shell = ["bash", "-e", "-c", compare]
        return subprocess.run(shell, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)

    sentence = "::error::uv.lock is missing or older than pyproject.toml. Run 'uv lock' and commit it."
    assert (step().returncode, sentence in step().stdout) == (1, True)
    assert uv(folder, "lock", "--quiet").returncode == 0
    assert step().returncode == 0
    # What a template update by a bot may leave behind.
    pyproject = folder / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace('"orjson>=3.13,<4"', '"orjson>=3.13,<4",\n    "msgspec>=0.20,<1"')
    )
    assert (step().returncode, sentence in step().stdout) == (1, True)
    assert uv(folder, "run", "python", "-c", "import msgspec").returncode == 0


def test_ci_tests_every_python_that_is_supported(project: Project) -> None:
    folder = project(python="3.12", preset="minimal")
    pattern = re.search(r"--perl-regexp '(.*?)'", script(folder, "ci", "lock", "Read"))
    assert pattern
    found = subprocess.run(
        ["grep", "--only-matching", "--perl-regexp", pattern[1], "pyproject.toml"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["3.12", "3.13", "3.14"]
