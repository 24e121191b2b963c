"""Prometheus reads the rules of a rendered service, and makes of its metrics what they say."""

import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Render
from tests.servers import SECRET_KEY, embedded, free_port, load, migrate, service
from tests.shell import uv
from tests.workers import worker

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool, of Debian's package prometheus")
LABELS = 'http_request_method="GET",http_route="/items",http_response_status_code="200",instance="a"'
DURATION = "http_server_request_duration_seconds"
THEIRS = 'endpoint="/items",instance="a",method="GET"'


def promtool(folder: Path, *arguments: str) -> str:
    """Return what promtool prints; it has to succeed."""
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_give_the_names_that_dashboards_expect(render: Render, tmp_path: Path) -> None:
    rules = render() / "observability" / "recording-rules.yaml"
    expected = {
        f'app_requests_total{{{THEIRS},status="200"}}': 60,
        f"app_request_latency_seconds_count{{{THEIRS}}}": 60,
        f"app_request_latency_seconds_sum{{{THEIRS}}}": 6,
        f'app_request_latency_seconds_bucket{{{THEIRS},le="0.1"}}': 30,
    }
    given = {f"{DURATION}_count{{{LABELS}}}": "0+60x1", f"{DURATION}_sum{{{LABELS}}}": "0+6x1"}
    given[f'{DURATION}_bucket{{{LABELS},le="0.1"}}'] = "0+30x1"
    test = {
        "rule_files": [str(rules)],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in given.items()],
                "promql_expr_test": [
                    {
                        "expr": said.partition("{")[0],
                        "eval_time": "1m",
                        "exp_samples": [{"labels": said, "value": value}],
                    }
                    for said, value in expected.items()
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    recorded = {rule["record"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}
    assert recorded == {said.partition("{")[0] for said in expected}
    assert "SUCCESS" in promtool(tmp_path, "check", "rules", str(rules))
    assert "SUCCESS" in promtool(tmp_path, "test", "rules", "test.yaml")


def series(**values: str) -> dict[str, str]:
    """Return series of the metrics of a request, by the share of what they count."""
    labels = 'job="my-service",http_route="/items"'
    return {
        {
            "good": f'{DURATION}_count{{{labels},http_response_status_code="200"}}',
            "failed": f'{DURATION}_count{{{labels},http_response_status_code="500"}}',
            "quick": f'{DURATION}_bucket{{{labels},http_response_status_code="200",le="0.5"}}',
        }[name]: value
        for name, value in values.items()
    }


OURS = 'job="my-service",instance="a"'
PROBES = f'{DURATION}_count{{job="my-service",http_route="/readyz",http_response_status_code="503"}}'
# What is there, how often it is looked at, after how many minutes, and which alerts that makes.
CAUSES: dict[str, tuple[dict[str, str], str, int, set[str]]] = {
    "all is well": (
        series(good="0+1000x90", quick="0+999x90")
        | {PROBES: "0+1000x90", f"up{{{OURS}}}": "1x90", f"process_start_time_seconds{{{OURS}}}": "1x90"}
        | {f'circuit_breaker_open{{{OURS},name="cache"}}': "0x90"}
        | {f"process_open_fds{{{OURS}}}": "9x90", f"process_max_fds{{{OURS}}}": "100x90"}
        | {f'db_client_connection_count{{{OURS},state="used"}}': "9x90", f"db_client_connection_max{{{OURS}}}": "30x90"}
        | {f'settings_refreshes_total{{{OURS},outcome="same"}}': "0+6x90"}
        | {f'settings_refreshes_total{{{OURS},outcome="failed"}}': "0x40 1x50"}
        | {f'cache_requests_total{{{OURS},outcome="hit"}}': "0+99x90"}
        | {f'cache_requests_total{{{OURS},outcome="failure"}}': "0+1x90"}
        | {f"queue_answers{{{OURS}}}": "1x90", f"queue_oldest_job_seconds{{{OURS}}}": "0x40 299x50"}
        | {f'job_runs_total{{{OURS},name="send",outcome="retried"}}': "0+1x90"},
        "1m",
        80,
        set(),
    ),
    "one in twenty fails": (
        series(good="0+95x90", failed="0+5x90", quick="0+100x90"),
        "1m",
        80,
        {"ErrorsUseBudgetFast", "ErrorsUseBudgetSlowly"},
    ),
    "it failed, and does not any more": (
        series(good="0+95x60 5700+100x60", failed="0+5x60 300+0x60", quick="0+100x120"),
        "1m",
        110,
        {"ErrorsUseBudgetSlowly"},
    ),
    "one in 250 fails for a day": (
        series(good="0+996x450", failed="0+4x450", quick="0+1000x450"),
        "10m",
        1800,
        {"ErrorsUseBudgetSlowly"},
    ),
    "one in five is slow": (
        series(good="0+100x90", quick="0+80x90"),
        "1m",
        80,
        {"SlowAnswersUseBudgetFast", "SlowAnswersUseBudgetSlowly"},
    ),
    "one in 25 is slow for a day": (
        series(good="0+1000x450", quick="0+960x450"),
        "10m",
        1800,
        {"SlowAnswersUseBudgetSlowly"},
    ),
    "no metrics": ({f"up{{{OURS}}}": "0x10"}, "1m", 6, {"InstanceIsDown"}),
    "four starts": ({f"process_start_time_seconds{{{OURS}}}": "1 2 3 4 5 5 5"}, "1m", 6, {"InstanceRestartsOften"}),
    "calls rejected": ({f'circuit_breaker_open{{{OURS},name="cache"}}': "1x20"}, "1m", 15, {"CircuitIsOpen"}),
    "files": (
        {f"process_open_fds{{{OURS}}}": "90x20", f"process_max_fds{{{OURS}}}": "100x20"},
        "1m",
        15,
        {"OpenFilesRunOut"},
    ),
    "connections": (
        {f'db_client_connection_count{{{OURS},state="used"}}': "29x20", f"db_client_connection_max{{{OURS}}}": "30x20"},
        "1m",
        15,
        {"DatabasePoolIsFull"},
    ),
    "jobs wait": ({f"queue_oldest_job_seconds{{{OURS}}}": "0+60x20"}, "1m", 12, {"JobsWait"}),
    "a job is given up": (
        {f'job_runs_total{{{OURS},name="send",outcome="given up"}}': "0x5 1x15"},
        "1m",
        15,
        {"JobsAreGivenUp"},
    ),
    "the queue is away": ({f"queue_answers{{{OURS}}}": "1x5 0x15"}, "1m", 15, {"QueueDoesNotAnswer"}),
    "secrets": (
        {f'settings_refreshes_total{{{OURS},outcome="failed"}}': "0+1x20"},
        "1m",
        15,
        {"SecretsAreNotRead"},
    ),
    "cache": (
        {
            f'cache_requests_total{{{OURS},outcome="hit"}}': "0+80x20",
            f'cache_requests_total{{{OURS},outcome="failure"}}': "0+20x20",
        },
        "1m",
        18,
        {"CacheFails"},
    ),
}


def alerts(project: Path) -> list[dict[str, Any]]:
    """Return the alerts of a project."""
    groups = yaml.safe_load((project / "observability" / "alert-rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("cause", CAUSES)
def test_cause_makes_its_alerts_and_no_other(cause: str, render: Render, tmp_path: Path) -> None:
    given, interval, minutes, expected = CAUSES[cause]
    firing = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
    }
    test = {
        "rule_files": [str(render(preset="full") / "observability" / "alert-rules.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": name, "values": values} for name, values in given.items()],
                "promql_expr_test": [firing],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    assert "SUCCESS" in promtool(tmp_path, "test", "rules", "test.yaml")


def test_every_alert_has_a_cause_above_and_a_page(render: Render) -> None:
    project = render(preset="full")
    page = (project / "docs" / "operations.md").read_text()
    assert {alert["alert"] for alert in alerts(project)} == set.union(*(cause[3] for cause in CAUSES.values()))
    for alert in alerts(project):
        assert f"\n### {alert['alert']}\n" in page
        assert alert["annotations"]["runbook_url"].endswith(f"/docs/operations.md#{alert['alert'].lower()}")


def test_objectives_are_the_answers(render: Render) -> None:
    rules = render(preset="full", availability_objective="99.95", latency_objective="95", latency_seconds="1.0")
    text = (rules / "observability" / "alert-rules.yaml").read_text()
    assert text.count("14.4 * (1 - 99.95 / 100)") == text.count("14.4 * (1 - 95 / 100)") == 2
    assert text.count('le="1.0"') == 7


def test_operator_gets_the_same_rules(render: Render) -> None:
    project = render(preset="full")
    theirs = yaml.safe_load((project / "kubernetes/components/monitoring/prometheus-rule.yaml").read_text())
    assert theirs["spec"] == yaml.safe_load((project / "observability" / "alert-rules.yaml").read_text())


MODULE = """
from typing import Annotated

from fastapi import APIRouter, Depends

from ..caching import cached
from ..dispatch import Jobs
from ..job import Run, job

router = APIRouter()


@job(tries=1)
async def give_up(run: Run) -> None:
    raise ValueError


@router.get("/job")
async def ask(jobs: Annotated[Jobs, Depends()]) -> str:
    return await jobs.add(give_up)


@cached(ttl=1)
async def number() -> int:
    return 1


@router.get("/number")
async def get_number() -> int:
    return await number()


@router.get("/failure")
async def fail() -> None:
    raise RuntimeError
"""


@contextmanager
def prometheus(project: Path, folder: Path, *targets: str) -> Iterator[str]:
    """Yield the URL of a Prometheus that scrapes a service every second, by the rules of its project."""
    address = f"127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(project / "observability" / f"{name}-rules.yaml") for name in ("recording", "alert")],
        "scrape_configs": [{"job_name": "my-service", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def answer(url: str, query: str) -> list[str]:
    """Return the values that Prometheus has for a query now."""
    asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(asked, timeout=10) as said:  # noqa: S310 - our own server
        data = json.load(said)["data"]
    found = [data] if data["resultType"] == "scalar" else data["result"]
    values: list[str] = [each["result"][1] if "result" in each else each["value"][1] for each in found]
    return [value for value in values if value != "NaN"]


def sides(expression: str) -> Iterator[str]:
    """Yield what is on either side of each comparison of an alert."""
    for comparison in re.split(r"\b(?:and|or)\b", expression):
        text = comparison.strip()
        while text.count("(") > text.count(")"):
            text = text.removeprefix("(").strip()
        while text.count(")") > text.count("("):
            text = text.removesuffix(")").strip()
        left, _, right = re.split(r" (>|==) ", text)
        yield from (left, right)


@pytest.mark.slow
def test_every_query_has_an_answer_on_a_running_service(render: Render, capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, project = Path(name), Path(name) / "project"
        shutil.copytree(render(preset="full"), project)
        (project / "src" / "my_service" / "api" / "added.py").write_text(MODULE)
        assert uv(project, "sync", "--quiet").returncode == 0
        cache = ExitStack()
        redis = cache.enter_context(embedded(project, "redis", folder / "redis"))
        database = stack.enter_context(embedded(project, "postgres", folder / "postgres"))
        migrate(project, database)
        queue = stack.enter_context(embedded(project, "celery", folder / "celery"))
        variables = {"DATABASE_URL": database, "REDIS_URL": redis, "CELERY_BROKER_URL": queue}
        running = stack.enter_context(service(project, **variables))
        port = str(free_port())
        own = {"HOST": "127.0.0.1", "METRICS_PORT": port, "SECRET_KEY": SECRET_KEY, "TMPDIR": name}
        stack.enter_context(worker(project, **variables, **own)).wait_for("ready for jobs")
        targets = urllib.parse.urlsplit(running.metrics).netloc, f"127.0.0.1:{port}"
        url = stack.enter_context(prometheus(project, folder, *targets))
        with load(running, "/items", "/number", "/failure"):
            for second in range(15):
                running.ask("/job")
                time.sleep(1)
                if second == 5:
                    cache.close()
        panels = json.loads((project / "observability" / "dashboard.json").read_text())["panels"]
        shown = [target["expr"].replace("$instance", ".*") for panel in panels for target in panel["targets"]]
        compared = [side for alert in alerts(project) for side in sides(alert["expr"])]
        empty = [query for query in shown + compared if not answer(url, query)]
    assert not empty
    with capsys.disabled():
        print(f"\n{len(shown)} queries of the dashboard and {len(compared)} sides of comparisons, none empty")
