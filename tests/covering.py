"""Answers that cover the questions: every combination of the answers to any three questions is in some set.

The sets are made from the questions and the rows, so that a new question, choice or row joins by itself.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, product
from typing import Any, NamedTuple

import covertable
import pytest

from extensions.rows import choices, questions
from tests.answers import HOSTILE, LONG

Answers = dict[str, Any]

# What is tried for questions that offer no choices; one that is not here keeps its default.
TRIED: dict[str, list[str]] = {
    "project_name": ["My Service", "X"],
    "package": ["orders", "a", LONG],
    "description": ["Takes orders", HOSTILE["description"]],
    "repository": ["example/orders", HOSTILE["repository"]],
    "author_name": ["The Team", HOSTILE["author_name"]],
    "author_email": ["team@example.com", HOSTILE["author_email"]],
    "cpu_request": ["250m", "1"],
    "cpu_limit": ["500m", "2", "none"],
    "memory_request": ["256Mi", "1Gi"],
    "memory_limit": ["512Mi", "2Gi"],
    "gateway": ["none", "gateways/public"],
    "managed_cidr": ["none", "10.0.0.0/16"],
    "image_pull_secret": ["none", "registry"],
}


STRENGTHS = [
    pytest.param(2, marks=pytest.mark.quick, id="pairs"),
    pytest.param(3, marks=pytest.mark.slow, id="triples"),
]
"""How many answers are combined: whatever holds for any three holds for any two."""


class Constraint(NamedTuple):
    """Answers that do not go together: Copier refuses them, and so they are in no set."""

    questions: tuple[str, ...]
    holds: Callable[[Answers], bool]


CONSTRAINTS = [
    Constraint(("cpu_request", "cpu_limit"), lambda row: (row["cpu_request"], row["cpu_limit"]) != ("1", "500m")),
    Constraint(
        ("memory_request", "memory_limit"), lambda row: (row["memory_request"], row["memory_limit"]) != ("1Gi", "512Mi")
    ),
]


@cache
def factors() -> dict[str, list[Any]]:
    """Return the answers that are tried for each question; `question.choice` where several can be chosen."""
    found: dict[str, list[Any]] = {}
    for name, question in questions().items():
        offered = choices(name, question)
        if question.get("multiselect"):
            found |= {f"{name}.{choice}": [False, True] for choice in offered}
        elif offered or name in TRIED:
            found[name] = offered or TRIED[name]
    return found


def allowed(row: Answers) -> bool:
    """Tell whether the answers go together, as far as they are given."""
    return all(constraint.holds(row) for constraint in CONSTRAINTS if set(constraint.questions) <= row.keys())


@cache
def covering(strength: int) -> list[Answers]:
    """Return the fewest sets that cover every combination of answers to `strength` questions; always the same ones."""
    rules = [
        {"operator": "fn", "requires": list(constraint.questions), "evaluate": constraint.holds}
        for constraint in CONSTRAINTS
    ]
    rows: list[Answers] = covertable.make(factors(), strength=strength, constraints=rules)
    return [{name: row[name] for name in factors()} for row in rows]


def tuples(strength: int) -> Iterator[Answers]:
    """Yield every combination of answers to `strength` questions that is possible."""
    constrained = sorted({name for constraint in CONSTRAINTS for name in constraint.questions})
    for names in combinations(factors(), strength):
        others = [name for name in constrained if name not in names]
        for values in product(*(factors()[name] for name in names)):
            row = dict(zip(names, values, strict=True))
            rest = product(*(factors()[name] for name in others))
            if any(allowed(row | dict(zip(others, more, strict=True))) for more in rest):
                yield row


def missing(rows: list[Answers], strength: int) -> list[Answers]:
    """Return the possible combinations that are in none of the sets."""
    seen = {(names, tuple(row[name] for name in names)) for row in rows for names in combinations(factors(), strength)}
    return [row for row in tuples(strength) if (tuple(row), tuple(row.values())) not in seen]


def as_answers(row: Answers) -> Answers:
    """Return answers in Copier's form: the choices of a question in one list."""
    found: Answers = {}
    for name, value in row.items():
        question, _, choice = name.partition(".")
        if not choice:
            found[name] = value
        else:
            found.setdefault(question, []).extend([choice] if value else [])
    return found
