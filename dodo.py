"""Everything this repository can do: `uv run doit list`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2

sys.path.insert(0, str(Path(__file__).parent))
from extensions.rows import RowsExtension
from tests import coverage, ledger

DOIT_CONFIG = {"default_tasks": ["test"], "verbosity": 2}
Task = dict[str, Any]
ROOT = Path(__file__).parent
SIDE_BY_SIDE = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")
OURS = ("benchmarks", "extensions", "tests", "dodo.py", "release.py")


def run(*command: str) -> None:
    """Run a command and end with its exit code if it fails."""
    code = subprocess.run(command, check=False, cwd=ROOT).returncode
    if code:
        sys.exit(code)


def test(quick: bool, more: list[str] | None) -> None:
    """Run the tests side by side; in one process those that somebody chose, who may want a debugger in it."""
    selection = ["-m", "not slow" if quick else "not quick"]
    run(sys.executable, "-m", "pytest", *selection, *(more or SIDE_BY_SIDE))


def task_test() -> Task:
    """Prove the template: render, lint, type, run, containerise and update projects."""
    quick = {"name": "quick", "long": "quick", "type": bool, "default": False, "help": "what takes about three minutes"}
    return {
        "actions": [lambda: run("ruff", "check", *OURS), lambda: run("mypy", *OURS), test],
        "params": [quick],
        "pos_arg": "more",
    }


def task_format() -> Task:
    """Format the code of this repository."""
    return {"actions": [lambda: run("ruff", "format", *OURS)]}


def reference() -> str:
    """Return the page of questions and integrations."""
    loader = jinja2.FileSystemLoader(ROOT / "docs")
    environment = jinja2.Environment(  # noqa: S701 - Markdown
        loader=loader, extensions=[RowsExtension], trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.get_template("reference.md.jinja").render()


def task_docs() -> Task:
    """Write the tables of questions, variables and integrations."""

    def write() -> None:
        (ROOT / "docs" / "reference.md").write_text(reference(), encoding="utf-8")

    return {"actions": [write]}


def task_benchmark() -> Task:
    """Measure what the service costs beside a bare FastAPI, and what error reports and traces add."""
    modules = ("benchmarks.service", "benchmarks.observers")
    return {"actions": [lambda name=name: run(sys.executable, "-m", name) for name in modules]}


def task_reserved() -> Task:
    """Write the names that a package cannot have."""
    return {"actions": [lambda: run(sys.executable, "-m", "tests.reserved")]}


SEED = {"name": "seed", "long": "seed", "type": int, "default": 1, "help": "what answers and edits are drawn with"}


def task_updates() -> Task:
    """Update projects from every version, untouched and edited, to every single other answer: the whole matrix."""

    def whole(seed: int) -> None:
        run(sys.executable, "-m", "pytest", "tests/test_update.py", "--whole", f"--seed={seed}")

    return {"actions": [whole], "params": [SEED]}


def task_fleet() -> Task:
    """Update a hundred random services as a bot does, and run their gates. Takes most of an hour."""

    def sail(seed: int) -> None:
        run(sys.executable, "-m", "tests.fleet", f"--seed={seed}")

    return {"actions": [sail], "params": [SEED]}


def task_coverage() -> Task:
    """Print what the tests cover, and write it into docs/coverage.md."""

    def write() -> None:
        page = coverage.page()
        (ROOT / "docs" / "coverage.md").write_text(page, encoding="utf-8")
        print(page)

    return {"actions": [write]}


def task_release() -> Task:
    """Release the template, by a tag; `doit release -- --dry-run` shows which version and its notes."""
    return {"actions": [lambda more: run(sys.executable, "release.py", *(more or ()))], "pos_arg": "more"}


def task_audit() -> Task:
    """Ask whether a locked dependency has a known vulnerability. Needs the network."""
    return {"actions": [lambda: run("uv", "audit", "--locked", "--preview-features", "audit-command")]}


def task_ledger() -> Task:
    """Tell which clauses of the ledger have tests."""
    return {"actions": [lambda: print(ledger.summary())]}
