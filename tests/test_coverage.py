"""What the tests cover is complete, counted, and on the page."""

from itertools import product

import pytest

from tests.conftest import Render
from tests.coverage import page
from tests.covering import CONSTRAINTS, Constraint, allowed, covering, factors, missing, tuples
from tests.shell import ROOT


def test_page_says_what_is_covered() -> None:
    assert (ROOT / "docs" / "coverage.md").read_text() == page(), "run `uv run doit coverage`"


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_no_combination_of_answers_is_missing(strength: int) -> None:
    assert missing(covering(strength), strength) == []
    assert all(map(allowed, covering(strength)))


def test_missing_combinations_are_seen() -> None:
    rows = covering(2)
    assert missing(rows[1:], 2)
    assert len(missing([], 2)) == sum(1 for _ in tuples(2)) > 900


def test_every_choice_of_every_row_takes_part() -> None:
    assert factors()["observability.prometheus"] == [False, True]
    assert {row["deploy"] for row in covering(1)} == {"kubernetes", "none"}


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda constraint: constraint.questions[0])
def test_what_a_constraint_leaves_out_is_refused(render: Render, constraint: Constraint) -> None:
    for values in product(*(factors()[name] for name in constraint.questions)):
        answers = dict(zip(constraint.questions, values, strict=True))
        if not constraint.holds(answers):
            with pytest.raises(ValueError, match="at least what is asked for"):
                render(**answers)
