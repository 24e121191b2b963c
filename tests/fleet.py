"""A fleet of services that a bot keeps current: `doit fleet` says how many updates need nobody.

Each service has answers, edits and a version drawn at random. It is updated with the very command that a hosted
Renovate runs (https://docs.renovatebot.com/modules/manager/copier/), which may run no code of ours, and then has to
pass its own gate. An edit that is lost without a word is the one thing that must never happen.
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from tests.covering import Answers, as_answers, covering
from tests.edits import EDITS, make
from tests.releases import releases, tag_releases
from tests.shell import ROOT, clean_environment, commit, files, git, has_python, uv
from tests.updates import HERE, start

NEWEST = "99.99.99"
RECORD = Path(__file__).with_suffix(".json")
MERGED = "merged"
RELOCKED = "relocked"  # merged, once `uv lock` ran: what relock.yml does on the branch of the bot
UNATTENDED = (MERGED, RELOCKED)
CONFLICT = "conflict"
FAILED = "failed"
LOST = "lost"


class Outcome(NamedTuple):
    """What came of an update, and what was said about it."""

    service: str
    state: str
    said: str = ""


def renovate(project: Path) -> str:
    """Update a project as a hosted Renovate does, commit what it would push, and return why it could not."""
    copier = Path(sys.executable).with_name("copier")
    options = ["--skip-answered", "--defaults", "--answers-file", ".copier-answers.yml", "--vcs-ref", NEWEST]
    environment = clean_environment(COPIER_SETTINGS_PATH="/dev/null")
    command = [str(copier), "update", *options]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    commit(project, f"chore(deps): update the template to {NEWEST}")
    return done.stderr if done.returncode else ""


@cache
def pythons() -> list[str]:
    """Return the Pythons of this machine that a service can be asked to run on."""
    return [each for each in ("3.11", "3.12", "3.13", "3.14") if has_python(each)]


def draw(seed: int, number: int) -> tuple[str, Answers, list[int]]:
    """Return the version, the answers and the edits of a service: always the same for the same seed and number."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - it is to be repeated
    version = chance.choice([*releases()] or [HERE])
    row = chance.choice(covering(3)) | {"package": f"service_{number}", "python": chance.choice(pythons())}
    return version, as_answers(row), sorted(chance.sample(range(len(EDITS)), chance.randint(1, 8)))


def serve(template: Path, seed: int, number: int) -> Outcome:
    """Make a service, have it edited and updated, and run its gate."""
    version, answers, chosen = draw(seed, number)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        start(template, project, version, answers)
        commit(project)
        edits = make(project, [EDITS[each] for each in chosen])
        uv(project, "lock", "--quiet")
        commit(project, "feat: ours")
        service = f"{number}: {version}, {', '.join(each.name for each in edits)}"
        if said := renovate(project):
            return Outcome(service, FAILED, said)
        lost = [name for each in edits for name in each.losses(project)]
        # A process has a cache of its own for types: mypy does not share one with another that writes.
        types = template.with_name(f"types-{os.getpid()}")
        return Outcome(service, *judge(project, lost, MYPY_CACHE_DIR=str(types)))


def judge(project: Path, lost: list[str], **variables: str) -> tuple[str, str]:
    """Return how the update went, by the service's own gate, and what there is to say of it."""
    conflicts = [name for name, text in files(project).items() if b"\n<<<<<<< before updating\n" in text]
    stale = uv(project, "lock", "--check", "--quiet").returncode != 0
    if stale:
        uv(project, "lock", "--quiet")
    done = uv(project, "run", "--locked", "--quiet", "doit", "check", **variables)
    return state(done.returncode == 0, stale, conflicts, lost), f"{conflicts or lost or ''}{tail(done)}"


def state(passed: bool, stale: bool, conflicts: list[str], lost: list[str]) -> str:
    """Return the name of what happened; a gate that passes over conflicts or losses lets them go without a word."""
    if passed and (conflicts or lost):
        return LOST
    if passed:
        return RELOCKED if stale else MERGED
    return CONFLICT if conflicts else FAILED


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """Return the end of what a command said that failed."""
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-1500:]


def make_template(folder: Path) -> Path:
    """Return a repository with the template as it stands here and with every released version."""
    tracked = git(ROOT, "ls-files", "copier.yml", "questions", "extensions", "partials", "template").splitlines()
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    commit(folder, "feat: the template as it stands")
    git(folder, "tag", NEWEST)
    tag_releases(folder)
    return folder


def sail(size: int, seed: int, workers: int) -> list[Outcome]:
    """Return what became of `size` services."""
    # Not forked, since pytest's process may have threads.
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder, pool:
        outcomes = []
        template = make_template(Path(folder) / "template")
        for outcome in pool.map(partial(serve, template, seed), range(1, size + 1)):
            print(f"{outcome.state:9}{outcome.service}", flush=True)
            if outcome.said:
                print(outcome.said)
            outcomes.append(outcome)
        return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    wanted = parser.parse_args()
    outcomes = sail(wanted.services, wanted.seed, wanted.workers)
    counts = collections.Counter(outcome.state for outcome in outcomes)
    record = {"services": wanted.services, "seed": wanted.seed, "from": [*releases()], **counts}
    RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(json.dumps(record))
    if counts[LOST] or sum(counts[state] for state in UNATTENDED) < 0.95 * wanted.services:
        sys.exit(1)


if __name__ == "__main__":
    main()
