"""The hooks of a rendered project say before a commit what CI would say after it, without a network."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.servers import installed
from tests.shell import clean_environment, git, uv

pytestmark = pytest.mark.slow
NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "UV_OFFLINE": "1"}
Commit = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hooked(render: Render) -> Iterator[Path]:
    """A project that asks its hooks before each commit."""
    with installed(render(preset="minimal"), tag="v1.0.0") as project:
        assert uv(project, "run", "prek", "install", **NOWHERE).returncode == 0
        yield project


@pytest.fixture
def commit(hooked: Path) -> Iterator[Commit]:
    """Return a function that commits everything there, cut off from the network."""

    def try_to(message: str) -> subprocess.CompletedProcess[str]:
        git(hooked, "add", "--all")
        command = ["git", "commit", "--message", message]
        environment = clean_environment(**NOWHERE)
        return subprocess.run(command, cwd=hooked, env=environment, capture_output=True, text=True, check=False)

    yield try_to
    git(hooked, "reset", "--hard", "--quiet", "v1.0.0")


@pytest.mark.parametrize(
    ("file", "text", "hook"),
    [
        ("src/my_service/hello.py", '"""Hello."""\n\nHELLO   =   1\n', "Format"),
        ("src/my_service/hello.py", '"""Hello."""\n\nimport os\n', "Lint"),
        ("docs/notes.md", f"ghp_{'x8Wq2ZkVb7RtYn3LmPc5DsHj9FgKe1XaQzU4'}\n", "Secrets"),
        ("pyproject.toml", "dependencies = [\n    'attrs',", "Lock"),
    ],
)
def test_mistake_is_found_before_the_commit(hooked: Path, commit: Commit, file: str, text: str, hook: str) -> None:
    path = hooked / file
    changed = path.read_text().replace("dependencies = [", text, 1) if path.exists() else text
    path.write_text(changed)
    done = commit("feat: say hello")
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.startswith(f"{hook}."))
    assert line.endswith("Failed")
    assert git(hooked, "rev-parse", "HEAD") == git(hooked, "rev-parse", "v1.0.0")


def test_good_change_of_requirements_is_accepted(hooked: Path, commit: Commit) -> None:
    path = hooked / "pyproject.toml"
    path.write_text(path.read_text().replace('description = "', 'description = "Our ', 1))
    done = commit("docs: describe it as ours")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("Lock.") and line.endswith("Passed")]


@pytest.mark.parametrize(
    ("message", "accepted"),
    [
        ("feat: say hello", True),
        ("fix(api)!: say hello", True),
        ("Merge branch 'topic'", True),
        ("fixup! feat: say hello", True),
        ("say hello", False),
        ("feature: say hello", False),
    ],
)
def test_message_says_what_kind_of_change_it_is(hooked: Path, commit: Commit, message: str, *, accepted: bool) -> None:
    (hooked / "src" / "my_service" / "hello.py").write_text('"""Hello."""\n')
    done = commit(message)
    assert (done.returncode == 0) == accepted, done.stderr
