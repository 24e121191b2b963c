"""Everything this project can do: `uv run doit list`."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

DOIT_CONFIG = {"default_tasks": ["check"], "verbosity": 2}
NAME = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
PACKAGE = NAME.replace("-", "_")
MORE = {"pos_arg": "more"}
Task = dict[str, Any]


def run(*command: str, **variables: str) -> None:
    """Run a command and end with its exit code if it fails."""
    code = subprocess.run(command, env=os.environ | variables, check=False).returncode
    if code:
        sys.exit(code)


def output(*command: str) -> str:
    """Return what a command prints, or nothing if it fails or is not there."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()


def serve() -> None:
    environment = os.environ | {"APP_ENV": os.environ.get("APP_ENV", "development")}
    os.execve(sys.executable, [sys.executable, "-m", PACKAGE, "serve"], environment)  # noqa: S606


def task_serve() -> Task:
    """Serve the API on this machine, in the environment `development`."""
    return {"actions": [serve]}


def task_test() -> Task:
    """Run the tests; `doit test -- -k name` passes options on to pytest."""
    return {"actions": [lambda more: run(sys.executable, "-m", "pytest", *(more or ()))], **MORE}


def task_lint() -> Task:
    """Look for mistakes; `doit lint -- --fix` mends what can be mended."""
    return {"actions": [lambda more: run("ruff", "check", *(more or ()))], **MORE}


def task_format() -> Task:
    """Format the code; `doit format -- --check` only looks."""
    return {"actions": [lambda more: run("ruff", "format", *(more or ()))], **MORE}


def task_types() -> Task:
    """Check the types, strictly."""
    return {"actions": [lambda: run("mypy")]}


def task_security() -> Task:
    """Look for insecure code."""
    return {"actions": [lambda: run("bandit", "--quiet", "--recursive", "--configfile", "pyproject.toml", "src")]}


def task_audit() -> Task:
    """Ask whether a locked dependency has a known vulnerability. Needs the network."""
    command = ("uv", "audit", "--locked", "--preview-features", "audit-command")
    return {"actions": [lambda more: run(*command, *(more or ()))], **MORE}


def task_check() -> Task:
    """Do all of that which needs no network: what CI asks before a change goes in."""
    return {
        "actions": [lambda: run("uv", "lock", "--check"), lambda: run("ruff", "format", "--check")],
        "task_dep": ["losses", "lint", "types", "security", "test"],
    }


def task_docs() -> Task:
    """Write the settings into .env.example and docs/configuration.md."""
    return {"actions": [lambda: run(sys.executable, "scripts/document_settings.py")]}


def task_losses() -> Task:
    """Tell what the last update from the template took away of what you wrote."""
    return {"actions": [lambda: run(sys.executable, "scripts/find_losses.py")]}


def task_build() -> Task:
    """Build the source distribution and the wheel into dist/."""
    return {"actions": [lambda: run("uv", "build", "--no-sources", "--clear")]}


def engine() -> str:
    """Return docker or podman, whichever works."""
    for name in ("docker", "podman"):
        if output(name, "info"):
            return name
    sys.exit("No image: neither docker nor podman works here (`docker info` says why).")


def image(more: list[str] | None) -> None:
    if not Path("uv.lock").is_file():
        sys.exit("No image: there is no uv.lock. Run `uv lock` and commit it.")
    release = version(NAME)
    tag = f"{NAME}:{release.replace('+', '-')}"
    arguments = {
        "VERSION": release,
        "COMMIT": output("git", "rev-parse", "HEAD") or "unknown",
        "BUILT": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    options = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    run(engine(), "build", *options, *(more or ()), "--tag", tag, ".")
    print(tag)


def task_image() -> Task:
    """Build the image, tagged with the version; `doit image -- --no-cache` passes options on."""
    return {"actions": [image], **MORE}


def doctor() -> None:
    found = {
        "Python": sys.version.split()[0],
        "uv": output("uv", "--version"),
        "git": output("git", "--version"),
        "commit": output("git", "rev-parse", "--short", "HEAD"),
        "uv.lock": "up to date" if output("uv", "lock", "--check") or Path("uv.lock").is_file() else "",
        "container engine": next((name for name in ("docker", "podman") if output(name, "info")), ""),
        "kubectl": output("kubectl", "version", "--client", "--output=json") and "found",
        "version of the service": version(NAME),
        "template": json.dumps(answers()),
    }
    for name, value in found.items():
        print(f"{name:24}{value or 'not found'}")


def answers() -> dict[str, str]:
    lines = Path(".copier-answers.yml").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line.startswith(("_commit: ", "_src_path: ")))


def task_doctor() -> Task:
    """Tell what is installed here, and what is missing."""
    return {"actions": [doctor]}


# What the service adds.
