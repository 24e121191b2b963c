"""Tests take turns: beside each other as a rule, and alone where they measure."""

import fcntl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from tests.shell import ROOT
from tests.turns import LONGEST, is_alone, place, turn


def holding(folder: Path, entered: Event, over: Event, *, alone: bool) -> Callable[[], None]:
    """Return a function that takes a turn until it is over, and says so when it has it."""

    def hold() -> None:
        with turn(folder, alone=alone):
            entered.set()
            assert over.wait(timeout=30)

    return hold


def is_waited_for(folder: Path) -> bool:
    """Tell whether somebody waits for a turn."""
    with (folder / "queue").open("w") as queue:
        try:
            fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until(condition: Callable[[Path], bool], folder: Path) -> None:
    """Wait until a condition is met."""
    for _ in range(3000):
        if condition(folder):
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened")


def test_turns_are_beside_each_other(tmp_path: Path) -> None:
    both = Barrier(2)

    def meet(_: int) -> None:
        with turn(tmp_path, alone=False):
            both.wait(timeout=30)

    with ThreadPoolExecutor(2) as workers:
        list(workers.map(meet, range(2)))


def test_who_runs_alone_waits_for_the_others_and_later_ones_for_it(tmp_path: Path) -> None:
    entered, over = [Event(), Event(), Event()], [Event(), Event(), Event()]
    alone = (False, True, False)
    with ThreadPoolExecutor(3) as workers:
        turns = []
        for number in range(3):
            turns.append(workers.submit(holding(tmp_path, entered[number], over[number], alone=alone[number])))
            wait_until(is_waited_for if number else lambda _: entered[0].is_set(), tmp_path)
        for number in range(3):
            assert entered[number].wait(timeout=30)
            assert not any(each.is_set() for each in entered[number + 1 :])
            over[number].set()
        for each in turns:
            each.result()


def test_what_runs_alone_is_last(request: pytest.FixtureRequest) -> None:
    places = [place(item) for item in request.session.items]
    assert places == sorted(places)
    assert not is_alone(request.node)


def test_modules_that_come_first_are_there() -> None:
    assert not [name for name in LONGEST if not (ROOT / "tests" / f"{name}.py").is_file()]
