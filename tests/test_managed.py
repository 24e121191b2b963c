"""Servers as somebody else runs them: over TCP with TLS and passwords, PostgreSQL and Redis as Debian packages them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from tests.conftest import Render
from tests.servers import SECRET_KEY, free_port, python
from tests.shell import clean_environment, uv
from tests.test_projects import passed

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not POSTGRES or not shutil.which("redis-server"), reason="needs Debian's PostgreSQL and Redis"),
]
PASSWORD = "p@ss/w:rd?#%&=ü 'x'"
HBA = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


class Managed(NamedTuple):
    """Where the servers are, and what signed their certificates."""

    database: str
    cache: str
    ca: Path

    def variables(self, prefix: str = "") -> dict[str, str]:
        """Return the settings of a service that uses them."""
        said = {"DATABASE_URL": self.database, "REDIS_URL": self.cache, "CELERY_BROKER_URL": self.cache}
        said |= dict.fromkeys(("DATABASE_CA_FILE", "REDIS_CA_FILE", "CELERY_CA_FILE"), str(self.ca))
        return {prefix + name: value for name, value in said.items()}


def as_nobody(*command: str) -> list[str]:
    """Return a command that runs as somebody else than root, as PostgreSQL wants it."""
    return (
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command] if os.getuid() == 0 else [*command]
    )


def make_certificate(folder: Path) -> Path:
    """Make a certificate for this machine, signed by itself, and return its path; the key lies beside it."""
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    options += ["-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    paths = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", *options, *names, *paths], check=True, capture_output=True)
    return folder / "cert.pem"


@contextmanager
def process(*command: str) -> Iterator[None]:
    """Run a server until the block ends."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def managed() -> Iterator[Managed]:
    assert POSTGRES
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        certificate = make_certificate(folder)
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody", "nogroup")
        data, database, cache = folder / "data", free_port(), free_port()
        initdb = [str(POSTGRES.with_name("initdb")), f"--pgdata={data}", "--username=postgres", "--encoding=UTF8"]
        initdb += [f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--no-sync"]
        subprocess.run(as_nobody(*initdb), check=True, capture_output=True, cwd="/")
        (data / "pg_hba.conf").write_text(HBA)
        options = {"port": database, "ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": folder / "key.pem"}
        options |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        said = [part for option, value in options.items() for part in ("-c", f"{option}={value}")]
        stack.enter_context(process(*as_nobody(str(POSTGRES), "-D", str(data), *said)))
        keys = ["--tls-cert-file", str(certificate), "--tls-key-file", str(folder / "key.pem")]
        keys += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no", "--requirepass", PASSWORD]
        listening = ["--port", "0", "--tls-port", str(cache), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        stack.enter_context(process(*as_nobody("redis-server", *listening, *keys)))
        time.sleep(1)
        secret = quote(PASSWORD, safe="")
        yield Managed(
            f"postgresql://postgres:{secret}@localhost:{database}/postgres?sslmode=require",
            f"rediss://:{secret}@localhost:{cache}/0",
            certificate,
        )


@pytest.fixture(scope="module")
def installed(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full project, installed."""
    project = tmp_path_factory.mktemp("managed") / "project"
    shutil.copytree(render(preset="full"), project)
    assert uv(project, "sync", "--quiet").returncode == 0
    return project


def test_suite_passes_on_them(installed: Path, managed: Managed) -> None:
    assert passed(uv(installed, "run", "pytest", "--quiet", **managed.variables("TEST_"))) > 200


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"DATABASE_CA_FILE": "OTHER"}, 78, "The database's certificate is not trusted: see DATABASE_CA_FILE."),
        ({"DATABASE_URL": ("%26%3D", "x")}, 78, "The database refuses the user or the password in DATABASE_URL"),
        ({"DATABASE_URL": ("sslmode=require", "sslmode=disable"), "DATABASE_CA_FILE": ""}, 78, "The database refuses"),
        ({"REDIS_CA_FILE": "OTHER"}, 0, ""),
        ({"CELERY_CA_FILE": "OTHER"}, 0, ""),
        ({}, 0, ""),
    ],
    ids=["wrong certificate", "wrong password", "no TLS", "cache with a wrong one", "queue with a wrong one", "good"],
)
def test_what_is_wrong_with_them_is_one_sentence(  # noqa: PLR0917 - fixtures, and what they are to give
    installed: Path, managed: Managed, tmp_path: Path, variables: dict[str, str | tuple[str, str]], code: int, said: str
) -> None:
    given = managed.variables()
    for name, value in variables.items():
        if isinstance(value, tuple):
            given[name] = given[name].replace(*value)
        else:
            given[name] = str(make_certificate(tmp_path)) if value == "OTHER" else value
    common = {"SECRET_KEY": SECRET_KEY, "DATABASE_MIGRATE": "yes", "PORT": "0", "METRICS_PORT": "0"}
    done = subprocess.run(
        [python(installed), "-m", "my_service", "check"], env=clean_environment(**common, **given),
        capture_output=True, text=True, check=False, cwd=installed,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == (1 if said else 0)
    for name, variable in {"cache": "REDIS_CA_FILE", "queue": "CELERY_CA_FILE"}.items():
        assert (f'"{name}":"ok"' in done.stdout.replace(" ", "")) == (code == 0 and variable not in variables)
    assert PASSWORD not in done.stdout + done.stderr
