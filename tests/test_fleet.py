"""Services that a bot keeps current: a sample of the fleet that `doit fleet` sends out."""

import json

import pytest

from tests.fleet import CONFLICT, FAILED, LOST, MERGED, RECORD, RELOCKED, UNATTENDED, draw, sail, state
from tests.releases import is_shallow, releases


@pytest.mark.slow
def test_updates_of_a_bot_merge_unattended(seed: int) -> None:
    outcomes = sail(5, seed, workers=2)
    assert len(outcomes) == 5
    assert all(outcome.state in UNATTENDED for outcome in outcomes), outcomes


def test_services_are_the_same_for_the_same_seed_and_differ() -> None:
    assert draw(1, 7) == draw(1, 7)
    services = [draw(1, number) for number in range(1, 21)]
    assert len({json.dumps(service) for service in services}) == 20
    assert len({edit for *_, edits in services for edit in edits}) > 15


@pytest.mark.parametrize(
    ("passed", "stale", "conflicts", "lost", "expected"),
    [
        (True, False, [], [], MERGED),
        (True, True, [], [], RELOCKED),
        (True, False, ["README.md"], [], LOST),
        (True, False, [], ["README.md"], LOST),
        (False, False, ["README.md"], [], CONFLICT),
        (False, False, [], ["README.md"], FAILED),
    ],
)
def test_what_is_lost_without_a_word_is_called_so(
    passed: bool, stale: bool, conflicts: list[str], lost: list[str], expected: str
) -> None:
    assert state(passed, stale, conflicts, lost) == expected


@pytest.mark.skipif(is_shallow(), reason="a shallow clone has no history: git fetch --unshallow")
def test_last_fleet_was_whole_and_merged() -> None:
    record = json.loads(RECORD.read_text())
    assert record["services"] >= 100
    assert sum(record.get(state, 0) for state in UNATTENDED) >= 0.95 * record["services"]
    assert LOST not in record
    *earlier, _ = releases()
    assert set(earlier) <= set(record["from"]), "run `uv run doit fleet` before a release"
