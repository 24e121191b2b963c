"""One trace leads from a caller outside through request, SQL, cache, other services and job, and into the log."""

import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Render
from tests.receiver import Taken, receiver
from tests.servers import SECRET_KEY, Service, embedded, free_port, installed, migrate, python, service
from tests.shell import clean_environment
from tests.workers import Process, eventually, worker

pytestmark = pytest.mark.slow
TRACE, CALLER = "a" * 32, "b" * 16
LOWER = int(TRACE[16:], 16)
PLANTED = "planted-credential-9f3"
ERRORS = {"celery": "sentry", "arq": "rollbar"}
# What a user would write: a route that uses all there is, and jobs, of which one fails.
JOBS = '''"""Jobs of a journey."""

import logging

from sqlalchemy import text

from ..job import Run, job

logger = logging.getLogger(__name__)


@job()
async def arrive(run: Run, where: str) -> None:
    async with run.state.sessions() as session:
        await session.execute(text("select 2"))
    logger.info("arrived")


@job(tries=1)
async def get_lost(run: Run, where: str) -> None:
    raise LookupError(f"no way to {where}")
'''
ROUTE = '''"""Journeys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import text

from ..caching import cached
from ..client import connect
from ..dispatch import Jobs
from ..jobs.journeys import arrive, get_lost

router = APIRouter()


@cached(ttl=60)
async def distance(where: str) -> int:
    return len(where)


@router.post("/journeys/{where}")
async def travel(where: str, to: str, request: Request, jobs: Annotated[Jobs, Depends()]) -> None:
    async with request.app.state.sessions() as session:
        await session.execute(text("select 1"))
    await distance(where)
    async with connect() as client:
        await client.get(f"{to}/tickets?sig=planted-credential-9f3")
    await jobs.add(arrive, where)
    await jobs.add(get_lost, where)
'''
READ = """
import json, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
for line in sys.stdin:
    for each in ExportTraceServiceRequest.FromString(bytes.fromhex(line)).resource_spans:
        for scope in each.scope_spans:
            for span in scope.spans:
                values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
                ids = [each.hex() for each in (span.trace_id, span.span_id, span.parent_span_id)]
                print(json.dumps([span.name, *ids, span.kind, values]))
"""


class Span(NamedTuple):
    """A step of a trace; kind is 2 for a server, 3 for a client and 5 for who takes a message."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    attributes: dict[str, Any]


class Journey(NamedTuple):
    """What a request has left behind."""

    spans: list[Span]
    lines: list[dict[str, Any]]
    tickets: list[Taken]
    reports: list[Taken]
    sent: list[Taken]


def spans(project: Path, taken: list[Taken]) -> list[Span]:
    """Return the spans that were sent."""
    bodies = "\n".join(each.body.hex() for each in taken if each.path == "/v1/traces")
    done = subprocess.run([python(project), "-c", READ], input=bodies, capture_output=True, text=True, check=True)
    return [Span(*json.loads(line)) for line in done.stdout.splitlines()]


def variables(queue: str, address: str) -> dict[str, str]:
    """Return where traces and errors are sent."""
    host = address.removeprefix("http://")
    errors = {
        "sentry": {"SENTRY_DSN": f"http://key@{host}/1"},
        "rollbar": {"ROLLBAR_TOKEN": "hidden-token", "ROLLBAR_ENDPOINT": f"{address}/api/1/"},
    }
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    return traces | errors[ERRORS[queue]]


def travel(running: Service, address: str) -> None:
    """Ask for a journey, as somebody whose request is part of a trace."""
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "caller-1"}
    headers |= dict.fromkeys(("Authorization", "User-Agent", "X-Note"), PLANTED)
    url = f"{running.url}/journeys/rome?to={address}&sig={PLANTED}"
    with urllib.request.urlopen(urllib.request.Request(url, b"", headers), timeout=30) as answer:  # noqa: S310 - our own
        assert answer.status == 200


def lines_of(running: Service, working: Process) -> list[dict[str, Any]]:
    """Return the lines of both logs that belong to the trace."""
    lines = [json.loads(line) for line in [*running.lines, *working.lines] if line.startswith("{")]
    return [line for line in lines if line.get("trace_id") == TRACE]


class Stage(NamedTuple):
    """A service and a worker that have been asked for a journey, and all that was sent to others meanwhile."""

    project: Path
    service: Service
    worker: Process
    sent: list[Taken]


@contextmanager
def travelled(rendered: Path, variables: Callable[[str], dict[str, str]]) -> Iterator[Stage]:
    """Install a project, run it with what variables say for the address of all others, and have a journey made."""
    with ExitStack() as stack:
        project = stack.enter_context(installed(rendered))
        source = project / "src" / "my_service"
        (source / "jobs" / "journeys.py").write_text(JOBS)
        (source / "api" / "journeys.py").write_text(ROUTE)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        address, taken = stack.enter_context(receiver())
        database = stack.enter_context(embedded(project, "postgres", folder / "postgres"))
        given = variables(address) | {
            "DATABASE_URL": database,
            "REDIS_URL": stack.enter_context(embedded(project, "redis", folder / "redis")),
            "SECRET_KEY": SECRET_KEY,
        }
        migrate(project, database)
        running = stack.enter_context(service(project, **given))
        own = {"METRICS_PORT": str(free_port()), "HOST": "127.0.0.1", "TMPDIR": str(folder)}
        working = stack.enter_context(worker(project, **given | own))
        working.wait_for("ready for jobs")
        travel(running, address)
        eventually(lambda: any("was given up" in line for line in working.lines), 20)
        eventually(lambda: any("arrived" in line for line in working.lines), 20)
        yield Stage(project, running, working, taken)


@pytest.fixture(scope="module", params=["celery", "arq"])
def journey(request: pytest.FixtureRequest, render: Render) -> Iterator[Journey]:
    queue: str = request.param
    chosen = {"queue": queue, "errors": ERRORS[queue], "observability": ["opentelemetry"]}
    rendered = render(preset="full", deploy="none", publish=[], **chosen)
    with travelled(rendered, lambda address: variables(queue, address)) as stage:
        names = {"journeys.arrive", "journeys.get_lost", "POST /journeys/{where}"}
        eventually(lambda: names <= {span.name for span in spans(stage.project, stage.sent)}, 20)
        eventually(lambda: any(each.path.startswith("/api/1/") for each in stage.sent), 20)
        time.sleep(1)
        yield Journey(
            [span for span in spans(stage.project, stage.sent) if span.trace == TRACE],
            lines_of(stage.service, stage.worker),
            [each for each in stage.sent if each.path.startswith("/tickets")],
            [each for each in stage.sent if each.path.startswith("/api/1/")],
            list(stage.sent),
        )


def test_trace_leads_from_the_caller_to_the_job(journey: Journey) -> None:
    by_name = {span.name: span for span in journey.spans}
    request = by_name["POST /journeys/{where}"]
    assert (request.parent, request.kind) == (CALLER, 2)
    below = [span for span in journey.spans if span.parent == request.id]
    assert {span.kind for span in below} == {3, 5}
    statements = [span.attributes.get("db.query.text", "") for span in below]
    assert "select 1" in statements
    assert {span.attributes.get("db.system.name") for span in below} >= {"postgresql", "redis"}
    (call,) = [span for span in below if "url.full" in span.attributes]
    assert call.attributes["url.full"].endswith("/tickets")
    for name in ("journeys.arrive", "journeys.get_lost"):
        assert (by_name[name].parent, by_name[name].kind) == (request.id, 5)
    assert "select 2" in [
        span.attributes.get("db.query.text") for span in journey.spans if span.parent == by_name["journeys.arrive"].id
    ]


def test_other_service_is_told_who_calls(journey: Journey) -> None:
    (ticket,) = journey.tickets
    (call,) = [span for span in journey.spans if "url.full" in span.attributes]
    assert ticket.headers["traceparent"] == f"00-{TRACE}-{call.id}-01"
    assert ticket.headers["x-request-id"] == "caller-1"


def test_lines_of_request_and_job_have_the_id_of_the_trace(journey: Journey) -> None:
    assert {line["message"] for line in journey.lines} >= {"POST /journeys/rome 200", "arrived", "job done"}
    assert {line["correlation_id"] for line in journey.lines} == {"caller-1"}


def test_job_that_is_given_up_is_reported_with_its_error(journey: Journey) -> None:
    (report,) = journey.reports
    for known in ("LookupError", "no way to rome", "journeys.get_lost", "caller-1", TRACE):
        assert known in report.body.decode()


def test_nothing_secret_is_sent(journey: Journey) -> None:
    everything = b"".join(each.body for each in journey.sent)
    assert [secret for secret in (PLANTED, SECRET_KEY) if secret.encode() in everything] == []
    traces = b"".join(each.body for each in journey.sent if each.path == "/v1/traces")
    assert b"LookupError" in traces
    assert b"no way to rome" not in traces, "what an error says is in reports and in the log"


@contextmanager
def agent() -> Iterator[int]:
    """Run Datadog's own test agent, and yield its port."""
    port = free_port()
    others = [f"--otlp-{kind}-port={free_port()}" for kind in ("http", "grpc")]
    command = ["uvx", "--quiet", "ddapm-test-agent", f"--port={port}", f"--web-ui-port={free_port()}", *others]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            eventually(lambda: answers(port), 20)
            yield port
        finally:
            process.terminate()


def answers(port: int) -> bool:
    """Return whether an agent is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/info", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def told(port: int) -> str:
    """Return what the agent was told."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/test/traces", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def datadog(port: int) -> dict[str, str]:
    """Return where Datadog's agent is."""
    return {"DD_AGENT_HOST": "127.0.0.1", "DD_TRACE_AGENT_PORT": str(port)}


def test_datadog_is_told_of_it_once(render: Render) -> None:
    """Its own library and its own test agent, in which a trace has the lower half of its id."""
    rendered = render(preset="full", deploy="none", publish=[], queue="celery", observability=["datadog"])
    with agent() as port, travelled(rendered, lambda _: datadog(port)) as stage:
        names = ("fastapi.request", "journeys.arrive", "journeys.get_lost")
        eventually(lambda: all(name in told(port) for name in names), 20)
        time.sleep(1)
        lines = lines_of(stage.service, stage.worker)
        text = told(port)
    all_spans = [span for trace in json.loads(text) for span in trace]
    assert {span["trace_id"] for span in all_spans} == {LOWER}, "looks into the queue are no traces"
    (request,) = [span for span in all_spans if span.get("type") == "web"]
    assert (request["resource"], request["parent_id"]) == ("POST /journeys/{where}", int(CALLER, 16))
    below = [span for span in all_spans if span["parent_id"] == request["span_id"]]
    assert {"select 1", "GET", "journeys.arrive", "journeys.get_lost"} <= {span["resource"] for span in below}
    assert [span["meta"]["http.url"].rpartition("/")[2] for span in below if span.get("type") == "http"] == ["tickets"]
    assert "LookupError" in text
    assert [planted for planted in (PLANTED, "no way to rome") if planted in text] == []
    assert {line["dd.trace_id"] for line in lines} == {TRACE}
    assert {line["message"] for line in lines} >= {"POST /journeys/rome 200", "arrived", "job done"}


def test_all_of_them_together_tell_of_one_trace(render: Render) -> None:
    """A request belongs to the trace of its caller, or begins one; two tracers and the reports call it the same."""
    chosen = {"queue": "arq", "errors": "rollbar", "observability": ["prometheus", "opentelemetry", "datadog"]}
    rendered = render(preset="full", deploy="none", publish=[], **chosen)
    with agent() as port, travelled(rendered, lambda address: variables("arq", address) | datadog(port)) as stage:
        assert stage.service.ask("/items")[0] == 200
        eventually(lambda: "GET /items 200" in "".join(stage.service.lines), 20)
        (listed,) = [json.loads(line) for line in stage.service.lines if "GET /items 200" in line]
        begun = listed["trace_id"]
        eventually(lambda: all(name in told(port) for name in ("/items", "journeys.arrive", "journeys.get_lost")), 20)
        names = {"GET /items", "journeys.arrive", "journeys.get_lost"}
        eventually(lambda: names <= {span.name for span in spans(stage.project, stage.sent)}, 20)
        eventually(lambda: any(each.path.startswith("/api/1/") for each in stage.sent), 20)
        seen, text = spans(stage.project, stage.sent), told(port)
        lines = lines_of(stage.service, stage.worker)
    all_spans = [span for trace in json.loads(text) for span in trace]
    assert {span["trace_id"] for span in all_spans} == {LOWER, int(begun[16:], 16)}
    assert {span.trace for span in seen} == {TRACE, begun}
    first = {span["resource"]: span for span in all_spans if span.get("type") == "web"}
    below = {span.name: span.parent for span in seen if span.kind == 2}
    assert first["POST /journeys/{where}"]["parent_id"] == int(CALLER, 16)
    assert below == {name: f"{span['span_id']:016x}" for name, span in first.items()}
    assert {line["dd.trace_id"] for line in lines} == {TRACE}
    (ticket,) = [each for each in stage.sent if each.path.startswith("/tickets")]
    assert ticket.headers["traceparent"][3:35] == TRACE
    (report,) = [each for each in stage.sent if each.path.startswith("/api/1/")]
    assert TRACE in report.body.decode()
    everything = text.encode() + b"".join(each.body for each in stage.sent)
    assert [secret for secret in (PLANTED, SECRET_KEY) if secret.encode() in everything] == []
