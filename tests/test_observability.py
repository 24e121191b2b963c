"""Prometheus reads the rules of a rendered service, and makes of its metrics what they say."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import Render

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
