"""Jobs are done, whatever is stopped or killed: by real workers, on a real server, for both queues."""

import json
import math
import random
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Render
from tests.servers import SECRET_KEY, Service, embedded, free_port, migrate, python, service
from tests.servers import installed as installation
from tests.workers import Broker, Process, add_trials, eventually, worker

pytestmark = pytest.mark.slow
JOBS = 1000
# A heartbeat is a few seconds old at most, beside other tests somewhat more.
WELL_SECONDS = 12.0
VARIABLE = {"celery": "CELERY_BROKER_URL", "arq": "ARQ_REDIS_URL"}


class Stage:
    """What a test plays on: the service, its database, the server that jobs wait in, and workers."""

    def __init__(self, stack: ExitStack, project: Path, folder: Path, queue: str) -> None:
        self._stack, self._project, self.folder = stack, project, folder
        (folder / "broker").mkdir()
        self.broker = Broker(project, folder / "broker")
        stack.callback(self.broker.kill)
        self.notes = folder / "notes"
        self.notes.touch()
        database = stack.enter_context(embedded(project, "postgres", folder / "postgres"))
        self.variables = {
            VARIABLE[queue]: self.broker.url,
            "DATABASE_URL": database,
            "SECRET_KEY": SECRET_KEY,
            "NOTES": str(self.notes),
            "JOB_SECONDS": "4",
            "HOST": "127.0.0.1",
        }
        migrate(project, database)
        self.service: Service = stack.enter_context(service(project, **self.variables))

    def start(self, command: str = "worker") -> Process:
        """Start a worker."""
        own = {"METRICS_PORT": str(free_port()), "TMPDIR": tempfile.mkdtemp(dir=self.folder)}
        return self._stack.enter_context(worker(self._project, command, **self.variables | own))

    def worker(self, command: str = "worker") -> Process:
        """Start a worker and wait until it is ready."""
        started = self.start(command)
        started.wait_for({"worker": "ready for jobs", "beat": "scheduling"}[command])
        return started

    def heartbeat(self, process: Process) -> float:
        """Return for how many seconds a worker has not said that it gets on."""
        file = Path(process.variables["TMPDIR"], "heartbeat")
        return time.time() - file.stat().st_mtime if file.exists() else math.inf

    def metrics(self, process: Process | None = None) -> str:
        """Return the figures of a worker, or of the service."""
        url = f"http://127.0.0.1:{process.variables['METRICS_PORT']}/metrics" if process else self.service.metrics
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            text: str = answer.read().decode()
        return text

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command and return its exit code and what it says."""
        process = Process([python(self._project), "-m", "my_service", *arguments], self._project, self.variables)
        code = process.finish()
        return code, "".join(process.lines)

    def ask(self, name: str, first: int = 0, count: int = 1, /, **headers: str) -> list[str]:
        """Ask for jobs."""
        url = f"{self.service.url}/trials/{name}?first={first}&count={count}"
        request = urllib.request.Request(url, b"", headers)  # noqa: S310 - our own service
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own service
            status, body = answer.status, answer.read().decode()
        assert status == 202, body
        ids: list[str] = json.loads(body)
        return ids

    def noted(self) -> Counter[int]:
        """Return how often each number was written."""
        return Counter(int(line.split()[0]) for line in self.notes.read_text().splitlines())

    def progress(self, job_id: str) -> dict[str, Any]:
        """Return what has become of a job."""
        status, body, _ = self.service.ask(f"/jobs/{job_id}")
        return json.loads(body) if status == 200 else {"status": status}


@pytest.fixture(scope="module", params=["celery", "arq"])
def queue(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def project(queue: str, render: Render) -> Iterator[Path]:
    """A service with a queue, installed, with jobs for these tests."""
    with installation(render(queue=queue, cache="none", deploy="none", publish=[])) as project:
        add_trials(project)
        yield project


@pytest.fixture
def stage(project: Path, queue: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)
        yield Stage(stack, project, Path(folder), queue)


def test_no_job_is_lost(stage: Stage, queue: str, capsys: pytest.CaptureFixture[str]) -> None:
    """1,000 jobs; workers stopped and killed at random, and the server that they wait in as well."""
    seed = time.time_ns() % 10**6
    chance = random.Random(seed)  # noqa: S311 - it is printed, to be repeated
    started = time.monotonic()
    workers = [stage.worker() for _ in range(2)]
    ended: Counter[str] = Counter()
    for batch in range(10):
        stage.ask("note", batch * JOBS // 10, JOBS // 10)
        time.sleep(chance.uniform(0.2, 1.5))
        which = chance.randrange(len(workers))
        if chance.random() < 0.5:
            ended["SIGKILL"] += 1
            workers[which].kill()
        else:
            ended["SIGTERM"] += 1
            assert workers[which].terminate() == 0
        workers[which] = stage.worker()
        if batch in (3, 6):
            (stage.broker.stop if batch == 3 else stage.broker.kill)()
            ended["server restarted"] += 1
            time.sleep(1)
            stage.broker.start()
    asked = time.monotonic()
    eventually(lambda: len(stage.noted()) == JOBS, 120)
    again = sum(count - 1 for count in stage.noted().values())
    with capsys.disabled():
        print(
            f"\n{queue}: {JOBS} jobs, seed {seed}, {dict(ended)}, in {asked - started:.0f} s and the last "
            f"{time.monotonic() - asked:.0f} s later; {again} done again, none lost"
        )
    assert again < 100


def test_job_that_keeps_failing_is_given_up_and_can_be_put_back(stage: Stage) -> None:
    running = stage.worker()
    (job,) = stage.ask("poison", 7)
    eventually(lambda: stage.progress(job)["status"] == "failed", 20)
    assert stage.noted() == {7: 3}
    assert "job_runs_total" in stage.metrics(running)
    assert 'job_runs_total{name="trials.poison",outcome="given up"} 1.0' in stage.metrics(running)
    assert 'job_runs_total{name="trials.poison",outcome="retried"} 2.0' in stage.metrics(running)
    eventually(lambda: "queue_dead_jobs 1.0" in stage.metrics(), 15)
    assert [line["job_id"] for line in running.json() if line["message"].startswith("a job was given up")] == [job]
    code, listed = stage.command("dead")
    assert (code, json.loads(listed)["call"]["id"]) == (0, job)
    assert json.loads(listed)["attempts"] == 3
    assert "hunter2" not in listed + "".join(running.lines)
    code, said = stage.command("replay", "nobody")
    assert (code, "nobody" in said) == (69, True)
    assert stage.command("replay", job) == (0, f"Put back: {job}.\n")
    eventually(lambda: stage.noted() == {7: 6}, 20)
    eventually(lambda: stage.command("dead")[1] != "", 10)


def test_what_waits_for_another_attempt_is_not_kept_by_a_worker(stage: Stage) -> None:
    """All of them are due together, and those of a worker that is gone are done by another."""
    first = stage.worker()
    stage.ask("flaky", 0, 100)
    eventually(lambda: 'job_runs_total{name="trials.flaky",outcome="retried"} 100.0' in stage.metrics(first), 20)
    first.kill()
    stage.worker()
    eventually(lambda: len(stage.noted()) == 100, 30)
    assert set(stage.noted().values()) == {1}


def test_job_that_takes_too_long_is_ended_and_given_up(stage: Stage) -> None:
    stage.worker()
    (job,) = stage.ask("endless", 1)
    eventually(lambda: stage.progress(job)["status"] == "failed", 25)
    assert stage.noted() == {1: 2}
    assert json.loads(stage.command("dead")[1])["reason"].startswith("TimeoutError")


def test_jobs_end_before_the_worker_does(stage: Stage) -> None:
    running = stage.worker()
    (job,) = stage.ask("slow", 5)
    eventually(lambda: stage.noted() == {5: 1}, 10)
    assert stage.progress(job)["status"] == "running"
    assert running.terminate() == 0
    assert stage.noted() == {5: 1, -5: 1}
    assert stage.progress(job) == {"id": job, "status": "done", "result": 5}
    assert stage.broker.run("KEYS", "*attempts*") == stage.broker.run("KEYS", "arq:retry:*") == []
    # Celery warns of being root, which the image is not.
    louder = [line for line in running.json() if line["level"] != "INFO" and "superuser" not in line["message"]]
    assert louder == []


def test_service_runs_while_the_queue_is_away_and_nothing_is_lost(stage: Stage) -> None:
    running = stage.worker()
    (first,) = stage.ask("note", 1)
    eventually(lambda: stage.progress(first)["status"] == "done", 10)
    stage.broker.stop()
    (second,) = stage.ask("note", 2)
    time.sleep(WELL_SECONDS + 1)
    assert stage.service.ask("/livez")[0] == 200
    status, body, _ = stage.service.ask("/readyz")
    assert (status, json.loads(body)["status"]) == (200, "degraded")
    assert stage.progress(second)["status"] == "queued"
    assert stage.progress(first)["status"] == 503
    eventually(lambda: "queue_answers 0.0" in stage.metrics(), 15)
    assert stage.heartbeat(running) < WELL_SECONDS, "the broker is away, and the worker is well"
    stage.broker.start()
    eventually(lambda: stage.noted() == {1: 1, 2: 1}, 20)
    assert stage.heartbeat(running) < WELL_SECONDS


def test_worker_that_starts_before_the_queue_waits_for_it(stage: Stage) -> None:
    stage.broker.stop()
    (job,) = stage.ask("note", 4)
    running = stage.start()
    eventually(lambda: stage.heartbeat(running) < WELL_SECONDS, 30)
    time.sleep(WELL_SECONDS + 1)
    assert stage.heartbeat(running) < WELL_SECONDS
    stage.broker.start()
    running.wait_for("ready for jobs")
    eventually(lambda: stage.progress(job)["status"] == "done", 20)


def test_caller_is_known_in_the_lines_of_the_job(stage: Stage) -> None:
    running = stage.worker()
    stage.ask("note", 3, **{"X-Request-ID": "caller-1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    eventually(lambda: bool(stage.noted()), 10)
    running.wait_for("job done")
    (line,) = [line for line in running.json() if line["message"] == "job done"]
    assert (line["correlation_id"], line["trace_id"], line["job"]) == ("caller-1", "a" * 32, "trials.note")


def test_process_that_is_lost_or_hangs_takes_no_job_with_it(stage: Stage, queue: str) -> None:
    if queue == "arq":
        pytest.skip("its jobs share one process: what happens then is in test_no_job_is_lost")
    running = stage.worker()
    (lost,), (hung,), (other,) = stage.ask("fatal", 1), stage.ask("blocking", 2), stage.ask("note", 3)
    eventually(lambda: stage.progress(lost)["status"] == "failed", 30)
    assert stage.noted()[1] == 2
    eventually(lambda: stage.progress(other)["status"] == "done", 10)
    running.wait_for("a job blocks")
    assert running.terminate() in {0, 1}
    stage.worker()
    eventually(lambda: stage.progress(hung)["status"] == "failed", 60)
    assert stage.noted()[2] == 2
    reasons = {json.loads(line)["reason"] for line in stage.command("dead")[1].splitlines()}
    assert reasons == {"it ended each time without a result: its worker was lost, or stopped"}


def test_worker_that_hangs_does_not_beat(stage: Stage, queue: str) -> None:
    if queue == "celery":
        pytest.skip("it ends the process that hangs")
    running = stage.worker()
    assert stage.heartbeat(running) < WELL_SECONDS
    stage.ask("blocking", 1)
    eventually(lambda: bool(stage.noted()), 10)
    time.sleep(WELL_SECONDS + 1)
    assert stage.heartbeat(running) > WELL_SECONDS


DUE = '''"""A job on a schedule."""

from ..job import Run, Schedule, job
from .trials import write


@job(at=Schedule(minute={minute}))
async def tick(run: Run) -> None:
    write(run, 60)
'''


@contextmanager
def scheduled(project: Path, minute: int | None) -> Iterator[None]:
    """Add a job that is due at this minute, or at each."""
    due = project / "src" / "my_service" / "jobs" / "due.py"
    due.write_text(DUE.format(minute=minute))
    try:
        yield
    finally:
        due.unlink()


def test_what_is_due_is_done_once_by_several_workers(stage: Stage, queue: str, project: Path) -> None:
    if queue == "celery":
        pytest.skip("its scheduler is a process of its own: the next test")
    with scheduled(project, None):
        one, other = stage.worker(), stage.worker()
        eventually(lambda: bool(stage.noted()), 75)
        time.sleep(2)
        assert stage.noted() == {60: 1}
        assert [one.terminate(), other.terminate()] == [0, 0]


def test_what_fell_due_while_all_were_away_is_done_once(stage: Stage, queue: str, project: Path) -> None:
    if queue == "arq":
        pytest.skip("its workers put in what is due, and leave out what was")
    with scheduled(project, (time.gmtime().tm_min + 30) % 60):
        stage.worker()
        stage.worker("beat").terminate()
        (tick,) = [job for job in stage.broker.run("HKEYS", "my_service:scheduled") if job.startswith("due.tick ")]
        stage.broker.run("HSET", "my_service:scheduled", tick, str(time.time() - 3600))
        stage.broker.stop()
        scheduler = stage.worker("beat")
        scheduler.wait_for("what is due waits for the queue")
        assert stage.heartbeat(scheduler) < WELL_SECONDS
        assert scheduler.terminate() == 0
        stage.broker.start()
        for _ in range(2):
            scheduler = stage.worker("beat")
            eventually(lambda: stage.noted() == {60: 1}, 20)
            assert scheduler.terminate() == 0
        time.sleep(2)
        assert stage.noted() == {60: 1}


def test_worker_that_is_cut_off_takes_a_new_address_by_being_started_again(stage: Stage, queue: str) -> None:
    if queue == "arq":
        pytest.skip("its workers follow the settings, which change where secrets are kept elsewhere")
    file = stage.folder / "secrets" / VARIABLE[queue]
    file.parent.mkdir()
    file.write_text(stage.variables.pop(VARIABLE[queue]))
    stage.variables["SECRETS_DIR"] = str(file.parent)
    running = stage.worker()
    stage.broker.stop()
    stage.broker.port = free_port()
    file.write_text(stage.broker.url)
    stage.broker.start()
    assert running.finish() == 0
    stage.worker()
