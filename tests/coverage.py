"""What the tests of the template cover, counted: the table of docs/coverage.md (`doit coverage`)."""

import json
from collections.abc import Iterator

from tests import conditions, fleet, ledger, updates
from tests.covering import covering, missing, tuples
from tests.edits import EDITS
from tests.shell import ROOT

WALKS = 5
SAMPLE = 8
"""Random ways through the whole matrix of updates, for each version, and cells of the sample for every change."""


def combinations(strength: int) -> str:
    """Return how many combinations of answers there are, and how many are rendered."""
    wanted = sum(1 for _ in tuples(strength))
    rows = covering(strength)
    return f"{wanted - len(missing(rows, strength)):,} of {wanted:,}, in {len(rows)} renderings"


def counts() -> Iterator[tuple[str, str, str]]:
    """Yield what is counted, the figure, and the command that shows it."""
    yield "answers to any two questions", combinations(2), "doit test --quick"
    yield "answers to any three questions", combinations(3), "doit test"
    seen, declared = conditions.count(ROOT)
    yield "ways of conditions and loops", f"{seen} of {declared}", "doit test --quick"
    ways = sum(cell.version == updates.HERE for cell in updates.cells(1, WALKS))
    yield "updates from each version", f"{ways}, half of them with {len(EDITS)} edits", "doit updates"
    yield "of these for every change", f"the edited service of each version, and {SAMPLE} more", "doit test"
    record = json.loads(fleet.RECORD.read_text(encoding="utf-8"))
    how = f"from {', '.join(record['from'])}, seed {record['seed']}"
    relocked = record.get(fleet.RELOCKED, 0)
    merged = record.get(fleet.MERGED, 0) + relocked
    yield (
        "services that a bot updated",
        f"{merged} of {record['services']} merged and passed, {relocked} of them once the lock was written, {how}",
        "doit fleet",
    )
    yield "edits that it lost without a word", str(record.get(fleet.LOST, 0)), "doit fleet"
    yield "clauses of the ledger", f"{len(ledger.mapping())} of {len(ledger.clauses())}", "doit ledger"


def page() -> str:
    """Return the page."""
    head = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8").partition("| what |")[0]
    lines = [f"| {what} | {figure} | `uv run {command}` |" for what, figure, command in counts()]
    return "\n".join([f"{head}| what | covered | shown by |", "|---|---|---|", *lines, ""])
