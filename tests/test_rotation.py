"""Passwords of the database are rotated while requests are counted: none fails, and nothing shows a secret."""

import functools
import json
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.back_ends import LEASE_SECONDS, BackEnd, Files, SecretsManager, Vault, wait_for
from tests.conftest import Render
from tests.load import answered, failures, load
from tests.servers import Service, ask_database, embedded, installed, python, service
from tests.shell import clean_environment
from tests.test_managed import make_certificate

pytestmark = [pytest.mark.alone, pytest.mark.slow]
REQUESTS = 10_000
KEYS = ["4c1f9f0f6a1d4be8a7c3d2e5b6908172", "92b7e05d1f3c4a688d0e6f7a5b4c3d21"]
USERS = "FROM pg_stat_activity WHERE usename IN ('service') OR usename LIKE 'v-%'"
Say = Callable[[str], None]


class Place(NamedTuple):
    """A project with its database, which asks for passwords, and the back end of its secrets."""

    project: Path
    database: str
    back_end: BackEnd

    def sql(self, *statements: str) -> list[str]:
        """Return what the database answers to somebody who needs no password."""
        return ask_database(self.project, self.database, *statements)

    def rotate(self, password: str, key: str) -> None:
        """Change the password, first in the database and then where the service reads it."""
        self.sql(f"ALTER ROLE service PASSWORD '{password}'")
        self.keep(password, key)

    def keep(self, password: str, key: str) -> None:
        """Put the secrets where the service reads them."""
        previous = KEYS[1 - KEYS.index(key)]
        self.back_end.put(
            SECRET_KEY=key, SECRET_KEY_PREVIOUS=previous, DATABASE_URL=self.url, DATABASE_USERNAME="service",
            DATABASE_PASSWORD=password,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Return where the database is, without a user."""
        return re.sub("//[^@]*@", "//", self.database)

    def oldest(self) -> float:
        """Return when the oldest connection of the service was made, in the time of this machine."""
        (found,) = self.sql(f"SELECT extract(epoch FROM min(backend_start))::text {USERS}")  # noqa: S608 - our own words
        return float(found)


@pytest.fixture(scope="module")
def install(render: Render) -> Iterator[Callable[[str], Path]]:
    """What installs a project, once for each back end."""
    with ExitStack() as stack:

        @functools.cache
        def install(secrets: str) -> Path:
            answers = {"preset": "minimal", "example": "items", "database": "postgres", "secrets": secrets}
            return stack.enter_context(installed(render(**answers)))

        yield install


@pytest.fixture(params=["kubernetes", "aws", "vault"])
def place(request: pytest.FixtureRequest, install: Callable[[str], Path]) -> Iterator[Place]:
    project = install(request.param)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(embedded(project, "postgres", folder / "postgres"))
        make: dict[str, Callable[[], BackEnd]] = {
            "kubernetes": lambda: Files(folder),
            "aws": lambda: SecretsManager(project, folder),
            "vault": lambda: Vault(project, folder, make_certificate(folder)),
        }
        back_end = make[request.param]()
        stack.callback(back_end.close)
        if isinstance(back_end, Vault):
            back_end.let_in()
        there = Place(project, database, back_end)
        there.sql(
            "CREATE ROLE rotated", "CREATE ROLE service LOGIN PASSWORD 'first-9f3' IN ROLE rotated",
            "GRANT CREATE ON SCHEMA public TO rotated",
        )  # fmt: skip
        (hba,) = folder.rglob("pg_hba.conf")
        hba.write_text(f"local all +rotated scram-sha-256\n{hba.read_text()}")
        there.sql("SELECT pg_reload_conf()")
        there.keep("first-9f3", KEYS[0])
        yield there


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Print past pytest."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", flush=True)

    return say


@contextmanager
def serving(place: Place, may_end: bool = False, /, **variables: str) -> Iterator[Service]:
    """Run the service, which logs all it can."""
    given = place.back_end.variables() | {"SECRET_KEY": "", "LOG_LEVEL": "DEBUG", "DATABASE_MIGRATE": "yes"}
    given |= {"SECRETS_REFRESH_SECONDS": "0.3"}
    with service(place.project, may_end, **given | variables) as running:
        yield running


def asked(running: Service, path: str) -> str:
    """Return the body of whatever is answered."""
    return running.ask(path)[1]


def shown(running: Service) -> str:
    """Return everything that the service has put out, and what others on its machine may see of it."""
    bodies = [asked(running, path) for path in ("/version", "/health", "/items?cursor=x", "/nowhere", "/items/x")]
    about = Path(f"/proc/{running.process.pid}")
    return "\n".join([*running.lines, *bodies, (about / "cmdline").read_text(), (about / "environ").read_text()])


def test_no_request_fails_and_no_secret_shows_while_passwords_are_rotated(place: Place, say: Say) -> None:
    seen: Counter[str] = Counter()
    passwords = ["first-9f3"]
    everything = ""
    # As it comes, where rotation alone replaces a connection, and with new ones made all the time.
    for seconds, requests in (("3600", REQUESTS // 2), ("1", REQUESTS)):
        with serving(place, DATABASE_POOL_RECYCLE_SECONDS=seconds) as running:
            for number in range(3):
                running.ask("/items", json.dumps({"name": f"{seconds} {number}"}).encode())
            while answered(seen) < requests:
                with load(("127.0.0.1", running.port), "/items?limit=2", "/items", callers=6) as counted:
                    cursor = json.loads(asked(running, "/items?limit=2"))["next"]
                    passwords.append(f"number-{len(passwords)}-9f3")
                    rotated = time.time()
                    place.rotate(passwords[-1], KEYS[len(passwords) % 2])
                    time.sleep(2)
                    assert place.oldest() > rotated
                    with place.back_end.away():
                        time.sleep(1)
                    # That of before is still one of ours.
                    assert running.ask(f"/items?cursor={cursor}")[0] == 200
                seen.update(counted)
            # An error that nobody expects, with its traceback.
            place.sql("ALTER TABLE items RENAME TO gone")
            assert running.ask("/items")[0] == 500
            place.sql("ALTER TABLE gone RENAME TO items")
            everything += shown(running)
    rotations, characters = len(passwords) - 1, len(everything)
    say(f"{place.back_end.name}: {answered(seen)} requests, {rotations} rotations, {characters} characters searched")
    assert failures(seen) == {}
    assert "settings have changed" in everything
    assert "Traceback" in everything
    for secret in [*passwords, *KEYS, *place.back_end.secrets()]:
        assert secret not in everything


@pytest.mark.parametrize("place", ["vault"], indirect=True)
def test_certificate_of_vault_has_to_be_trusted(place: Place) -> None:
    for ca, code in ((None, 0), ("", 78)):
        given = place.back_end.variables() | {"PORT": "0", "DATABASE_MIGRATE": "yes"}
        given |= {} if ca is None else {"VAULT_CA_FILE": ca}
        command = [python(place.project), "-m", "my_service", "check"]
        done = subprocess.run(command, env=clean_environment(**given), capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert ("is not trusted: see VAULT_CA_FILE." in done.stderr) == (code == 78)


@pytest.mark.parametrize("place", ["vault"], indirect=True)
def test_no_request_fails_while_vault_makes_a_user_after_the_other(place: Place, say: Say) -> None:
    assert isinstance(place.back_end, Vault)
    place.back_end.put(SECRET_KEY=KEYS[0], DATABASE_URL=place.url)
    lent = place.back_end.lend_users_of(place.database)
    seen: Counter[str] = Counter()
    users: set[str] = set()
    with serving(place, True, DATABASE_POOL_RECYCLE_SECONDS="1", **lent) as running:
        while answered(seen) < REQUESTS:
            with load(("127.0.0.1", running.port), "/items", callers=6) as counted:
                for _ in range(4):
                    time.sleep(1)
                    users |= set(place.sql("SELECT max(usename) " + USERS))
            seen.update(counted)
        running.process.terminate()
        assert running.process.wait(30) == 0
        # Those of logins before end with their leases, at the latest, which are looked at with each request.
        time.sleep(LEASE_SECONDS)
        wait_for(f"{place.back_end.url}/v1/sys/health", place.back_end.certificate)
        left = place.sql("SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'v-%'")
    say(f"vault: {answered(seen)} requests, {len(users)} users of the database")
    assert failures(seen) == {}
    assert len(users) > 2
    assert left == ["0"]
