"""A release: from the commits to a package that somebody installs, and what is refused on the way."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Render
from tests.index import PASSWORD, USER, Index, running
from tests.planting import plant
from tests.servers import installed, python
from tests.shell import clean_environment, commit, git, uv
from tests.workflows import Machine

pytestmark = pytest.mark.slow
Done = subprocess.CompletedProcess[str]
Script = Callable[..., Done]
# What takes its time, and is tested where it is the subject.
SLOW = ("--skip=audit", "--skip=tests", "--skip=build", "--skip=licences")
IDLE = "Nothing that users notice was committed since the last version: no feat, fix, perf or revert."
FEATURE = "feat(api): list orders"
SECRET = f"ghp_{'x8Wq2ZkVb7RtYn3LmPc5DsHj9FgKe1XaQzU4'}"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty repository to push to."""
    folder = tmp_path_factory.mktemp("origin") / "origin.git"
    git(folder.parent, "init", "--quiet", "--bare", "--initial-branch=main", folder.name)
    return folder


@pytest.fixture(scope="module")
def released(render: Render, origin: Path) -> Iterator[Path]:
    """A project with all that a release can publish, installed, at origin, and released as 1.0.0."""
    with installed(render(preset="full", license="Apache-2.0"), tag="v1.0.0") as project:
        assert uv(project, "sync", "--locked", "--quiet", "--group", "release").returncode == 0
        git(project, "remote", "add", "origin", str(origin))
        git(project, "push", "--quiet", "origin", "main", "v1.0.0")
        yield project


@pytest.fixture
def project(released: Path, origin: Path) -> Iterator[Path]:
    """The released project, which is as it was afterwards, here and at origin."""
    yield released
    git(released, "switch", "--quiet", "--force", "main")
    git(released, "reset", "--hard", "--quiet", "v1.0.0")
    git(released, "clean", "-fdq", "-e", "uv.lock")
    git(released, "push", "--quiet", "--force", str(origin), "main")
    for tag in git(released, "tag").splitlines():
        if tag != "v1.0.0":
            git(released, "tag", "--delete", tag)
    for tag in git(origin, "tag").splitlines():
        if tag != "v1.0.0":
            git(origin, "tag", "--delete", tag)


@pytest.fixture
def run(project: Path) -> Script:
    """Return a function that runs a script of the project with the tools of its environment."""

    def script(name: str, *arguments: str, cwd: Path = project, **variables: str) -> Done:
        path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [python(project), f"scripts/{name}.py", *arguments],
            cwd=cwd,
            env=clean_environment(**{"PATH": path} | variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return script


def push(project: Path, message: str) -> None:
    """Commit what is there under a message, and push it."""
    commit(project, message)
    git(project, "push", "--quiet", "origin", "main")


def state(project: Path, origin: Path) -> list[str]:
    """Return what must be as it was: the files, and what both repositories refer to."""
    there = [git(project, "status", "--porcelain"), git(project, "diff", "HEAD")]
    return there + [git(each, "for-each-ref", "refs/heads", "refs/tags") for each in (project, origin)]


def test_release_goes_all_the_way_to_who_installs_it(project: Path, origin: Path, tmp_path: Path) -> None:
    push(project, "fix: do not lose the last item of a page")
    push(project, FEATURE)
    push(project, "docs: say who we are")
    made = uv(project, "run", "doit", "release", "--", "--skip=audit")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "Left out: audit.\nReleased v1.1.0.\n" in made.stdout
    for name in (
        "version",
        "changelog",
        "readme",
        "licence",
        "lock",
        "security",
        "secrets",
        "licences",
        "build",
        "tests",
    ):
        assert re.search(rf"^{name} +ok ", made.stdout, re.MULTILINE), name
    changelog = (project / "CHANGELOG.md").read_text()
    entry = "### Added\n\n- **api**: List orders\n\n### Fixed\n\n- Do not lose the last item of a page"
    assert re.search(rf"\n## 1\.1\.0 \(\d{{4}}-\d\d-\d\d\)\n\n{re.escape(entry)}\n", changelog)
    assert changelog.startswith("# Changelog\n\nWhat users of this service notice")
    assert "who we are" not in changelog
    assert git(project, "log", "-1", "--format=%s") == "release: v1.1.0"
    assert git(origin, "rev-parse", "main", "v1.1.0^{commit}").split() == [git(project, "rev-parse", "HEAD")] * 2
    assert git(project, "for-each-ref", "--format=%(contents)", "refs/tags/v1.1.0").endswith(entry)

    built = uv(project, "run", "doit", "build", "sbom")
    assert built.returncode == 0, built.stdout + built.stderr
    assert (project / "about" / "notes.md").read_text().endswith(f"{entry}\n")
    with running(tmp_path / "index") as index:
        for _ in ("once", "and once more"):
            published = uv(project, "run", "doit", "publish", UV_PUBLISH_TOKEN=PASSWORD, **index.variables)
            assert published.returncode == 0, published.stdout + published.stderr
            assert PASSWORD not in published.stdout + published.stderr
        assert published.stderr.count("already exists, skipping") == 2
        assert index.files() == {path.name for path in (project / "dist").glob("my_service-*")}
        elsewhere = ("--skip=image", "--skip=provenance", "--skip=github")
        verified = uv(project, "run", "doit", "verify", "--", *elsewhere, **index.variables)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "my-service==1.1.0, 2 files as the tag builds them" in verified.stdout
        assert "1.1.0 installs and imports" in verified.stdout


def on_a_branch(project: Path) -> None:
    git(project, "switch", "--quiet", "--create", "topic")


def dirty(project: Path) -> None:
    (project / "README.md").write_text("# Ours\n")


def behind(project: Path) -> None:
    push(project, FEATURE)
    git(project, "reset", "--hard", "--quiet", "HEAD^")


def ahead(project: Path) -> None:
    commit(project, FEATURE)


def idle(project: Path) -> None:
    push(project, "docs: say more")


def with_a_feature(project: Path) -> None:
    push(project, FEATURE)


def cut_off(project: Path) -> None:
    git(project, "remote", "set-url", "origin", "/nowhere")


def with_a_secret(project: Path) -> None:
    (project / "docs" / "notes.txt").write_text(SECRET)
    push(project, FEATURE)


def with_a_red_test(project: Path) -> None:
    plant(project, "tests/conftest.py", "import", "imports")
    push(project, FEATURE)


class Refusal(NamedTuple):
    """What is wrong, what is asked for, and what is said."""

    mistake: Callable[[Path], None]
    arguments: tuple[str, ...]
    said: str


REFUSALS = [
    Refusal(on_a_branch, SLOW, "No release: This is topic, and releases are made from main."),
    Refusal(dirty, SLOW, "No release: 1 files are not committed, such as README.md: commit first."),
    Refusal(behind, SLOW, "No release: main lacks 1 commits that origin has: `git pull --rebase`."),
    Refusal(ahead, SLOW, "No release: main has 1 commits that origin lacks: push them, and let CI pass."),
    Refusal(idle, SLOW, f"No release: {IDLE}"),
    Refusal(with_a_feature, ("--version=1.0.0",), "No release: v1.0.0 exists already: a version is released once."),
    Refusal(with_a_feature, ("--version=0.9.0",), "No release: 0.9.0 is below 1.0.0, which is released: say which"),
    Refusal(with_a_feature, ("--version=next",), "No release: next is no version: it is like 1.2.3 or 1.2.3rc1."),
    Refusal(cut_off, SLOW, "No release: git fetch failed: fatal: '/nowhere' does not appear to be a git repository."),
    Refusal(with_a_secret, SLOW, "Not ready to be released: secrets."),
    Refusal(with_a_red_test, ("--only=tests",), "Not ready to be released: tests."),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal.mistake.__name__} {refusal.arguments[0]}")
def test_refusal_is_one_sentence_and_changes_nothing(
    project: Path, origin: Path, run: Script, refusal: Refusal
) -> None:
    refusal.mistake(project)
    before = state(project, origin)
    done = run("make_release", *refusal.arguments)
    git(project, "remote", "set-url", "origin", str(origin))
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith(refusal.said)
    assert done.stderr.count("\n") == 1
    assert state(project, origin) == before


def test_tag_that_only_origin_has_is_a_version(project: Path, origin: Path, run: Script) -> None:
    push(project, FEATURE)
    git(origin, "tag", "v1.1.0", "main")
    done = run("make_release", "--version=1.1.0", *SLOW)
    assert done.stderr == "No release: v1.1.0 exists already: a version is released once.\n"


def test_dry_run_shows_the_notes_and_changes_nothing(project: Path, origin: Path, run: Script) -> None:
    push(project, "feat!: items need a name\n\nBREAKING CHANGE: clients send one.")
    before = state(project, origin)
    done = run("make_release", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "## 2.0.0 (" in done.stdout
    assert "### Changed, and asks something of you\n\n- Items need a name: clients send one." in done.stdout
    assert done.stdout.endswith("This would be released as v2.0.0.\n")
    assert state(project, origin) == before


def test_push_that_is_refused_is_taken_back(project: Path, origin: Path, run: Script) -> None:
    push(project, FEATURE)
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'nobody pushes on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    (project / "draft.txt").write_text("not yet\n")
    (project / ".git" / "info" / "exclude").write_text("draft.txt\n")
    before = state(project, origin)
    try:
        done = run("make_release", *SLOW)
    finally:
        hook.unlink()
    assert (project / "draft.txt").read_text() == "not yet\n"
    assert done.returncode == 1
    assert done.stderr == "No release: git push failed: ! [remote rejected] HEAD -> main (pre-receive hook declined).\n"
    assert state(project, origin) == before


def test_notes_of_ones_own_and_a_candidate(project: Path, run: Script) -> None:
    plant(project, "CHANGELOG.md", r"\n\Z", "\n\n## 1.1.0rc1\n\nOrders, for those who are curious.\n")
    push(project, FEATURE)
    assert run("make_release", "--version=1.1.0rc1", *SLOW).returncode == 0
    assert (project / "CHANGELOG.md").read_text().count("1.1.0rc1") == 1
    assert git(project, "for-each-ref", "--format=%(contents)", "refs/tags/v1.1.0rc1").endswith("who are curious.")
    # What a candidate had is told again by the version that it becomes.
    assert "**api**: List orders" in run("make_release", "--dry-run").stdout


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
def test_tag_is_signed_where_there_is_a_key(project: Path, run: Script, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub")
    (tmp_path / "allowed").write_text(f"* {public.read_text()}")
    settings = {"gpg.format": "ssh", "user.signingKey": public, "gpg.ssh.allowedSignersFile": tmp_path / "allowed"}
    for name, value in settings.items():
        git(project, "config", name, str(value))
    push(project, FEATURE)
    assert run("make_release", *SLOW).returncode == 0
    git(project, "verify-tag", "v1.1.0")
    git(project, "config", "user.signingKey", "/nowhere.pub")
    push(project, "fix: sign nothing without the key")
    done = run("make_release", *SLOW)
    for name in settings:
        git(project, "config", "--unset", name)
    assert re.match("No release: (git tag failed: |The tag could not be signed: )", done.stderr)
    assert git(project, "tag", "--list", "v1.1.1") == ""
    assert git(project, "status", "--porcelain") == ""


def hashes(done: Done) -> dict[str, str]:
    """Return what `doit build` says it has built."""
    return {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", done.stdout, re.MULTILINE)}


def test_two_builds_in_two_places_are_the_same_bytes(project: Path, run: Script, tmp_path: Path) -> None:
    first = run("build_distribution")
    assert first.returncode == 0, first.stderr
    assert hashes(first).keys() == {"dist/my_service-1.0.0-py3-none-any.whl", "dist/my_service-1.0.0.tar.gz"}
    clone = tmp_path / "elsewhere"
    git(project, "clone", "--quiet", "--branch=v1.0.0", str(project), str(clone))
    second = uv(clone, "run", "--locked", "doit", "build", TZ="EAST-14", PYTHONHASHSEED="7")
    assert hashes(second) == hashes(first), second.stderr


def test_what_builds_it_is_fixed(project: Path) -> None:
    known = tomllib.loads((project / "pyproject.toml").read_text())
    wanted = "\n".join(known["build-system"]["requires"])
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--universal", "--no-config", "-"]
    done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=True, env=clean_environment())
    needed = {re.split(r"[=;\[ ]", line)[0] for line in done.stdout.splitlines()}
    fixed = {line.partition("==")[0] for line in known["tool"]["uv"]["build-constraint-dependencies"]}
    assert len(needed) > 5
    assert needed - fixed <= {"colorama"}


HOOK = """
import time
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class Hook(BuildHookInterface):
    def initialize(self, version, data):
        with open("src/my_service/built.py", "w") as file:
            file.write(f"BUILT = {time.time_ns()}\\n")
"""
CUSTOM = "\n[tool.hatch.build.hooks.custom]\n\n[tool.uv]"
UNSOUND = {
    "changing": ("pyproject.toml", r"\n\[tool\.uv\]", CUSTOM, "is not the same when it is built again"),
    "readme": ("pyproject.toml", 'readme = "README.md"\n', "", "twine check failed: "),
    "contents": ("pyproject.toml", r'"src/my_service"\]', '"src/my_service", "src/other"]', "check-wheel-contents"),
    "import": ("src/my_service/app.py", '"""\n', '"""\nimport pytest\n', "No module named 'pytest'"),
}


@pytest.mark.parametrize("fault", UNSOUND)
def test_distribution_that_is_not_sound_is_refused(project: Path, run: Script, fault: str) -> None:
    file, old, new, said = UNSOUND[fault]
    plant(project, file, old, new)
    (project / "hatch_build.py").write_text(HOOK)
    (project / "src" / "other").mkdir()
    (project / "src" / "other" / "__init__.py").touch()
    done = run("build_distribution")
    assert done.returncode == 1
    assert done.stderr.startswith("No distribution: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_version_without_a_tag_is_refused_and_that_of_a_changed_tree_is_no_release(project: Path, run: Script) -> None:
    (project / "README.md").write_text("# Changed\n")
    done = run("build_distribution", SETUPTOOLS_SCM_PRETEND_VERSION="1.0.0")
    assert done.stderr == "No distribution: The wheel is 1.0.0, and there is no such tag here.\n"
    done = run("build_distribution")
    assert done.returncode == 0, done.stderr
    assert all(re.search(r"my_service-1\.0\.1\.dev0\+g", name) for name in hashes(done))


def test_bill_of_materials_has_what_production_has(project: Path, run: Script) -> None:
    assert run("build_distribution").returncode == 0
    written = []
    for _ in range(2):
        assert run("describe_release").returncode == 0
        written.append((project / "about" / "my_service-1.0.0.cdx.json").read_text())
    assert written[0] == written[1]
    bill = json.loads(written[0])
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("my-service", "1.0.0")
    locked = uv(project, "export", "--locked", "--no-dev", "--no-emit-project", "--no-hashes", "--no-annotate").stdout
    wanted = {line.partition("==")[0] for line in locked.splitlines() if re.match(r"[a-z]", line)}
    found = {component["name"].lower().replace("_", "-") for component in bill["components"]}
    assert found <= wanted
    assert {"fastapi", "sqlalchemy", "redis"} <= found
    assert not {"pytest", "twine"} & found


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with running(tmp_path / "index") as index:
        yield index


def test_nothing_is_published_without_a_token_or_a_tag(project: Path, run: Script, index: Index) -> None:
    lacking = run("publish_distribution", **index.variables)
    assert lacking.stderr.startswith("Nothing is published: There is no token: set UV_PUBLISH_TOKEN, or ")
    wrong = run("publish_distribution", UV_PUBLISH_TOKEN="a wrong one", **index.variables)
    assert wrong.returncode != 0
    commit(project, FEATURE)
    untagged = run("publish_distribution", UV_PUBLISH_TOKEN=PASSWORD, **index.variables)
    assert untagged.stderr.startswith("Nothing is published: What is here is no release")
    assert index.files() == set()


def test_tampered_artifact_is_refused_before_and_after(project: Path, run: Script, index: Index) -> None:
    assert run("build_distribution").returncode == 0
    wheel = project / "dist" / "my_service-1.0.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    refused = run("publish_distribution", UV_PUBLISH_TOKEN=PASSWORD, **index.variables)
    assert f"Nothing is published: {wheel.name} in dist/ is not what v1.0.0 builds" in refused.stderr
    assert index.files() == set()
    for path in (project / "dist").glob("my_service-*"):
        shutil.copy(path, index.folder)
    served = run("verify_release", "--only=index", **index.variables)
    assert served.returncode == 1
    assert "The index has 1 files that v1.0.0 does not build here: ask whose they are." in served.stdout
    (index.folder / wheel.name).unlink()
    lacking = run("verify_release", "--only=index", **index.variables)
    assert f"The index lacks {wheel.name}: publish it." in lacking.stdout


def test_token_may_come_from_the_keyring(project: Path, run: Script, index: Index, tmp_path: Path) -> None:
    backend = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring", "XDG_DATA_HOME": str(tmp_path)}
    assert uv(project, "pip", "install", "--quiet", "keyrings-alt").returncode == 0
    asked = [str(project / ".venv" / "bin" / "keyring"), "set", index.url, USER]
    subprocess.run(asked, input=PASSWORD, env=clean_environment(**backend), text=True, check=True, capture_output=True)
    assert run("build_distribution").returncode == 0
    keyring = {"UV_KEYRING_PROVIDER": "subprocess", "UV_PUBLISH_USERNAME": USER}
    done = run("publish_distribution", **keyring, **backend, **index.variables)
    assert done.returncode == 0, done.stderr
    assert len(index.files()) == 2


def test_version_that_is_nowhere_is_one_sentence(run: Script, index: Index) -> None:
    done = run("verify_release", "--only=index", "--version=9.9.9", **index.variables)
    assert done.returncode == 1
    assert "NOT OK   The index does not have my-service==9.9.9: " in done.stdout
    assert (
        "gh is not installed, and nothing else can tell" in run("verify_release", "--only=github", PATH="/bin").stdout
    )


GH = """#!/bin/sh
for argument; do case "$argument" in --dir=*) cp "$ASSETS"/* "${argument#--dir=}" ;; esac; done
"""


def test_files_of_the_github_release_are_those_of_the_tag(project: Path, run: Script, tmp_path: Path) -> None:
    # GitHub's client cannot be had here: this one hands out what the release would have.
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    assert run("build_distribution").returncode == 0
    good = run("verify_release", "--only=github", PATH=path, ASSETS=str(project / "dist"))
    assert good.returncode == 0, good.stdout
    (project / "dist" / "my_service-1.0.0.tar.gz").write_bytes(b"something else")
    bad = run("verify_release", "--only=github", PATH=path, ASSETS=str(project / "dist"))
    assert "my_service-1.0.0.tar.gz of the release is not what v1.0.0 builds" in bad.stdout


def test_licence_that_is_not_allowed_is_named(project: Path, run: Script) -> None:
    assert run("check_licences").returncode == 0
    plant(project, "pyproject.toml", "; PSF-2.0; ", "; ")
    done = run("check_licences")
    assert done.returncode == 1
    assert "license PSF-2.0 not in allow-only licenses was found for package typing_extensions" in done.stderr
    assert "under [tool.pip-licenses]" in done.stderr


def test_secret_is_named_by_its_place_and_not_shown(project: Path, run: Script) -> None:
    assert run("find_secrets").returncode == 0
    (project / "docs" / "notes.txt").write_text(f"our token: {SECRET}\n")
    done = run("find_secrets")
    assert done.returncode == 1
    assert "docs/notes.txt:1: GitHub Token\n" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert uv(project, "run", "doit", "secrets").returncode != 0


FAULTS = {
    "version": ("pyproject.toml", r'dynamic = \["version"\]', 'version = "1.2.3"', "pyproject.toml names a version"),
    "readme": ("README.md", r"docs/operations\.md\)", "docs/nothing.md)", "README.md links to docs/nothing.md"),
    "licence": ("pyproject.toml", r'\["LICENSE"\]', '["COPYING"]', "COPYING is not there: a licence without its text"),
    "lock": ("pyproject.toml", r"dev = \[", 'dev = ["attrs",', "uv.lock is older than pyproject.toml"),
    "security": ("src/my_service/version.py", "$", "\n\neval(input())\n", "`doit security` fails:"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_by_the_checklist(project: Path, run: Script, name: str) -> None:
    file, old, new, said = FAULTS[name]
    plant(project, file, old, new)
    done = run("check_release", f"--only={name}")
    assert done.returncode == 1
    assert f"{name:12} NOT OK" in done.stdout
    assert said in done.stdout
    assert done.stderr == f"Not ready to be released: {name}.\n"


def test_checklist_finds_nothing_to_tell(run: Script) -> None:
    assert f"changelog    NOT OK   {IDLE}" in run("check_release", "--only=changelog").stdout


def test_version_may_be_made_for_what_nobody_notices(project: Path, run: Script) -> None:
    push(project, "chore(deps): a newer base of the image")
    done = run("make_release", "--version=1.0.1", *SLOW)
    assert done.stdout.endswith("Released v1.0.1.\n"), done.stderr


def test_where_git_tells_nothing_secrets_are_not_said_to_be_none(project: Path, run: Script, tmp_path: Path) -> None:
    shutil.copytree(project / "scripts", tmp_path / "scripts")
    assert run("find_secrets", cwd=tmp_path).returncode == 0
    (tmp_path / "scripts" / "notes.txt").write_text(SECRET)
    found = run("find_secrets", cwd=tmp_path)
    assert "scripts/notes.txt:1: GitHub Token\n" in found.stderr
    machine = Machine(project, tmp_path / "machine")
    machine.give("git", "echo 'fatal: detected dubious ownership' >&2; exit 128\n")
    path = f"{machine.folder / 'bin'}{os.pathsep}{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = run("find_secrets", PATH=path)
    assert done.returncode == 1
    assert (
        done.stderr
        == "No file was looked at, since git does not tell which there are: fatal: detected dubious ownership\n"
    )
