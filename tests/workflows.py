"""Steps of a rendered project's workflows, run here as GitHub's machines run them."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.shell import clean_environment

Done = subprocess.CompletedProcess[str]


def jobs(project: Path, workflow: str) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    loaded: dict[str, Any] = yaml.safe_load((project / ".github" / "workflows" / f"{workflow}.yml").read_text())["jobs"]
    return loaded


def script(project: Path, workflow: str, job: str, step: str) -> str:
    """Return what the step of a job runs whose name begins like this."""
    (found,) = (each for each in jobs(project, workflow)[job]["steps"] if each["name"].startswith(step))
    return str(found["run"])


class Machine:
    """A machine that runs steps in a project; what they put out is kept, and `gh` is one of the tests' own."""

    def __init__(self, project: Path, folder: Path) -> None:
        """Take a folder for what is beside the project: output, a temporary folder, and tools."""
        self.project, self.folder = project, folder
        self.calls = folder / "calls"
        folder.mkdir(exist_ok=True)
        self.give("gh", 'echo "$@" >> "$CALLS"\ncase "$1 $2" in "pr list") echo "${REQUESTS:-0}" ;; esac\n')

    def give(self, tool: str, text: str) -> None:
        """Put a tool before those of this machine."""
        path = self.folder / "bin" / tool
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{text}")
        path.chmod(0o755)

    def run(self, text: str, **variables: str) -> Done:
        """Run a script with the options that GitHub gives a shell."""
        own = {
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "RUNNER_TEMP": str(self.folder),
            "CALLS": str(self.calls),
        }
        environment = clean_environment(**own, **variables)
        environment["PATH"] = f"{self.folder / 'bin'}:{environment['PATH']}"
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
        return subprocess.run(
            command, cwd=self.project, env=environment, capture_output=True, text=True, check=False, timeout=600
        )

    def output(self) -> dict[str, str]:
        """Return what the steps so far put out."""
        path = self.folder / "output"
        lines = path.read_text().splitlines() if path.is_file() else []
        return dict(line.split("=", 1) for line in lines)
