"""Updates of projects: from each version, untouched and edited, to the same and to other answers."""

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import copier
import yaml

from extensions.rows import questions
from tests.covering import CONSTRAINTS, Answers, allowed, as_answers, covering, factors
from tests.releases import releases
from tests.shell import git

HERE = "here"
"""The version in the working tree, which every update leads to."""
REFUSED = re.compile(r"(?:Invalid choice for|Validation error for question) '(\w+)'")


class Cell(NamedTuple):
    """A way to the version here: from which version, with edits or without, from which answers to which."""

    version: str
    edited: bool
    before: Answers
    after: Answers

    @property
    def id(self) -> str:
        """What its test is called."""
        said = " ".join(f"{name}={value}" for name, value in self.after.items()) or "same answers"
        readable = "".join(letter for letter in said if letter.isalnum() or letter in " =._")
        return f"{self.version} {'edited' if self.edited else 'untouched'} {readable[:50]}"


def toggles() -> Iterator[Answers]:
    """Yield every single answer, with those that have to change along with it."""
    for name, values in factors().items():
        partners = {other for rule in CONSTRAINTS if name in rule.questions for other in rule.questions} - {name}
        for value in values if name != "package" else ():
            choices = product(*(factors()[other] for other in sorted(partners)))
            rows = ({name: value} | dict(zip(sorted(partners), more, strict=True)) for more in choices)
            yield as_answers(next(filter(allowed, rows)))


def cells(seed: int, walks: int) -> list[Cell]:
    """Return the matrix; for each version `walks` of its answers are drawn at random, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - it is to be repeated
    found = []
    for version in [*releases(), HERE]:
        ways: list[tuple[Answers, Answers]] = [({}, {}), *(({}, toggle) for toggle in toggles())]
        for _ in range(walks):
            before, after = draw.sample(covering(3), 2)
            ways.append((as_answers(before), as_answers(after | {"package": before["package"]})))
        found += [Cell(version, edited, *way) for edited in (False, True) for way in ways]
    return found


def sample(seed: int, size: int) -> list[Cell]:
    """Return cells for every change: the edited service of each version, and some drawn from the whole matrix."""
    whole = cells(seed, walks=3)
    edited = [cell for cell in whole if cell.edited and not cell.after]
    return edited + random.Random(seed).sample([cell for cell in whole if cell not in edited], size)  # noqa: S311 - to be repeated


def start(template: Path, folder: Path, version: str, wanted: Answers) -> None:
    """Render a project from a version of the template, with what it offers of the answers."""
    given = dict(wanted)
    reference = None if version == HERE else f"v{version}"
    while True:
        try:
            copier.run_copy(str(template), folder, given, defaults=True, quiet=True, unsafe=False, vcs_ref=reference)
        except ValueError as error:
            refused = REFUSED.search(str(error))
            if not refused or version == HERE:
                raise
            del given[refused[1]]
        else:
            return


def update(project: Path, **answers: object) -> list[str]:
    """Update a project to the version here, without trust, and return the files with conflicts."""
    assert answers.keys() <= questions().keys(), f"not all of these are questions: {', '.join(answers)}"
    copier.run_update(str(project), answers, defaults=True, overwrite=True, quiet=True, unsafe=False)
    assert not list(project.rglob("*.rej"))
    return git(project, "diff", "--name-only", "--diff-filter=U").splitlines()


def stored(project: Path) -> Answers:
    """Return the answers that a project remembers."""
    loaded = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return {name: value for name, value in loaded.items() if not name.startswith("_")}


def losses(project: Path) -> str:
    """Return what the project's own guard says of the update: nothing where nothing was lost."""
    command = [sys.executable, "scripts/find_losses.py"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False).stderr
