"""The ledger: its clauses, and the tests that show them (`doit ledger`)."""

import re
from itertools import groupby
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CLAUSE = re.compile(r"^- \*\*([A-Z]\d+)\*\* ", re.MULTILINE)
TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def clauses() -> list[str]:
    """Return the ids of the clauses, in the order of the page."""
    return CLAUSE.findall((ROOT / "docs" / "ledger.md").read_text(encoding="utf-8"))


def mapping() -> dict[str, list[str]]:
    """Return the tests of each clause that has some."""
    loaded: dict[str, list[str]] = yaml.safe_load((ROOT / "tests" / "ledger.yml").read_text(encoding="utf-8"))
    return loaded


def existing_tests() -> set[str]:
    """Return the id of every test, ours and the rendered service's; Jinja is left out of the names of files."""
    found = set()
    for folder in ("tests", "template/tests"):
        for path in (ROOT / folder).rglob("*test_*.*"):
            plain = re.sub(r"{%.*?%}", "", path.relative_to(ROOT).as_posix()).removesuffix(".jinja")
            if plain.endswith(".py"):
                found |= {f"{plain}::{name}" for name in TEST.findall(path.read_text(encoding="utf-8"))}
    return found


def summary() -> str:
    """Return how many clauses have tests, and those that have none."""
    ids, mapped = clauses(), mapping()
    without = [clause for clause in ids if clause not in mapped]
    lines = [f"{len(ids) - len(without)} of {len(ids)} clauses have tests"]
    lines += [f"without: {' '.join(group)}" for _, group in groupby(without, key=lambda clause: clause[0])]
    return "\n".join(lines)
