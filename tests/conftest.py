"""The template as users get it, rendered without trust, each set of answers once."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import copier
import kubernetes_validate.utils
import pytest
import yaml
from copier._jinja_ext import SandboxedEnvironment
from copier._main import Worker
from plumbum import local

from extensions.rows import questions
from tests import conditions, turns
from tests.planting import copy_of
from tests.releases import tag_releases
from tests.shell import ROOT, commit

# Everything that a rendering reads.
TEMPLATE_PATHS = ["copier.yml", "questions", "extensions", "partials", "template"]
Render = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the tasks `updates` and `fleet` pass on."""
    parser.addoption("--seed", type=int, default=1, help="what random answers and edits are drawn with")
    parser.addoption("--whole", action="store_true", help="the whole matrix of updates, not a sample")


def pytest_report_header(config: pytest.Config) -> str:
    """Tell the seed: with it a run can be repeated."""
    return f"seed: {config.getoption('--seed')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first, and what runs alone last."""
    items.sort(key=turns.place)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a test wait for its turn, with the fixtures that it brings."""
    with turns.turn(item.config.cache.mkdir("turns"), alone=turns.is_alone(item)):
        return (yield)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """Return what random answers and edits are drawn with."""
    return int(request.config.getoption("--seed"))


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Answers and trust in ~/.config/copier/settings.yml must not change what is tested.
    settings = tmp_path_factory.mktemp("copier") / "settings.yml"
    settings.write_text("{}\n")
    before = os.environ.get("COPIER_SETTINGS_PATH")
    os.environ["COPIER_SETTINGS_PATH"] = local.env["COPIER_SETTINGS_PATH"] = str(settings)
    yield
    if before is None:
        del os.environ["COPIER_SETTINGS_PATH"]


@pytest.fixture(scope="session", autouse=True)
def _projects_share_what_their_tools_keep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Their libraries are the same: mypy reads them once, and no start of a service compiles them again, which is
    # switched off in many images.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.mktemp("types")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once() -> Iterator[None]:
    # Copier compiles every template anew for each rendering, which is half of its time.
    compile_ = SandboxedEnvironment.compile
    known: dict[tuple[Any, ...], Any] = {}

    def compile_once(self: SandboxedEnvironment, source: str, name: str | None = None, *rest: Any) -> Any:
        key = (source, name, self.undefined, self.trim_blocks, self.lstrip_blocks, self.keep_trailing_newline)
        if key not in known:
            known[key] = compile_(self, source, name, *rest)
        # With this, which is a part of compiling, `yield` forgets what the name of another file has gone over.
        self.preprocess(source, name)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxedEnvironment, "compile", compile_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _git_is_not_asked_about_modes() -> Iterator[None]:
    # For each file Copier asks git whether it takes modes from the disk, which it does here: a third of its time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_sync_git_index_executable_bit", lambda *_: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _yaml_is_read_by_its_library_in_c() -> Iterator[None]:
    # Copier takes what is called so: the same rules, in a tenth of the time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
        yield


@pytest.fixture(scope="session", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    # kubernetes-validate reads all definitions of a version anew for each object, which is nine tenths of its time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
        yield


@pytest.fixture(scope="session", autouse=True)
def _conditions_are_recorded() -> Iterator[None]:
    # From the first rendering on: each set of answers is rendered once, by whichever test comes first.
    with conditions.recording():
        yield


@pytest.fixture(scope="session")
def copier_template_paths() -> list[str]:
    """Override pytest-copier's: what the template consists of."""
    return TEMPLATE_PATHS


@pytest.fixture(scope="session")
def template(copier_template: Path) -> Path:
    """Return a repository with the template as it stands here, tagged 99.99.99, and with every released version."""
    tag_releases(Path(copier_template))
    return Path(copier_template)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a copy of the template, to plant mistakes in."""
    return copy_of(ROOT, tmp_path / "template", *TEMPLATE_PATHS, "CHANGELOG.md")


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Return a function that renders answers to a folder: the same one for the same answers."""
    rendered: dict[str, Path] = {}

    def render_once(**answers: Any) -> Path:
        if unknown := answers.keys() - questions():
            raise LookupError(f"there is no question {', '.join(sorted(unknown))}")
        key = json.dumps(answers, sort_keys=True)
        if key not in rendered:
            rendered[key] = tmp_path_factory.mktemp("project") / "project"
            copier.run_copy(str(template), rendered[key], answers, defaults=True, quiet=True, unsafe=False)
        return rendered[key]

    return render_once


@pytest.fixture
def project(render: Render) -> Iterator[Callable[..., Path]]:
    """Return a function that renders answers to a folder of the test's own, committed."""
    with tempfile.TemporaryDirectory() as folder:

        def copy(**answers: Any) -> Path:
            target = Path(folder) / "project"
            shutil.copytree(render(**answers), target)
            commit(target)
            return target

        yield copy
