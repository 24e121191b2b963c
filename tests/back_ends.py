"""Where secrets are kept: servers that speak the real protocols, and files that change as a kubelet does it."""

import base64
import json
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, python
from tests.shell import clean_environment

POLICY = """
path "secret/data/my-service" { capabilities = ["read"] }
path "database/creds/my-service" { capabilities = ["read"] }
"""
CLAIMS = {"aud": ["vault"], "sub": "system:serviceaccount:default:my-service"}
JWT = f"e30.{base64.urlsafe_b64encode(json.dumps(CLAIMS).encode()).decode()}.c2ln-9f3"
"""A token as Kubernetes makes them for the account of the service, but for its signature."""
LEASE_SECONDS = 3
CREATE = """
CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' IN ROLE rotated;
ALTER ROLE "{{name}}" SET role rotated;
"""


class BackEnd(ABC):
    """What keeps the secrets of the service `my-service`."""

    name: str
    process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """Return what the service has to know."""

    @abstractmethod
    def put(self, **values: str) -> None:
        """Keep these, in place of those of before."""

    def secrets(self) -> list[str]:
        """Return what must not show, besides what is kept."""
        return []

    def await_answer(self, url: str, certificate: Path | None = None) -> None:
        """Wait until it answers, and leave nothing behind if it does not."""
        try:
            wait_for(url, certificate)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        if self.process:
            self.process.kill()
            self.process.wait()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it answer nothing for a while."""
        if self.process:
            self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if self.process:
                self.process.send_signal(signal.SIGCONT)


class Files(BackEnd):
    """A mounted Secret."""

    name = "kubernetes"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "secrets"
        self.folder.mkdir()
        self.versions = 0

    def variables(self) -> dict[str, str]:
        """Return what the service has to know."""
        return {"SECRETS_DIR": str(self.folder)}

    def put(self, **values: str) -> None:
        """Move the link to another folder, in one step."""
        self.versions += 1
        own = self.folder / f"..{self.versions}"
        own.mkdir()
        for name, value in values.items():
            (own / name).write_text(value)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..data_tmp").symlink_to(own.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have the link lead nowhere for a while."""
        data = self.folder / "..data"
        there = data.readlink()
        data.unlink()
        try:
            yield
        finally:
            data.symlink_to(there)


class SecretsManager(BackEnd):
    """AWS Secrets Manager, as moto has it."""

    name = "aws"

    def __init__(self, project: Path, folder: Path) -> None:
        self.port, self.folder, self.is_there = free_port(), folder, False
        (folder / "credentials").write_text("[default]\naws_access_key_id = id-9f3\naws_secret_access_key = key-9f3\n")
        self.process = subprocess.Popen(
            [str(project / ".venv" / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)],
            env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.await_answer(f"http://127.0.0.1:{self.port}/moto-api/")

    def variables(self) -> dict[str, str]:
        """Return what the service has to know."""
        return {
            "AWS_SECRET_NAMES": "my-service",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://127.0.0.1:{self.port}",
            "AWS_TIMEOUT_SECONDS": "0.5",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
        }

    def secrets(self) -> list[str]:
        """Return the credentials."""
        return ["key-9f3"]

    def put(self, **values: str) -> None:
        """Write another version."""
        call = "PutSecretValue" if self.is_there else "CreateSecret"
        data = {"Name": "my-service", "SecretId": "my-service", "SecretString": json.dumps(values)}
        headers = {
            "X-Amz-Target": f"secretsmanager.{call}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=id-9f3/20261126/eu-west-1/secretsmanager/aws4_request",
        }
        send(f"http://127.0.0.1:{self.port}", data, headers)
        self.is_there = True


class Vault(BackEnd):
    """Vault, over TLS; pods log in with the token of their account."""

    name = "vault"

    def __init__(self, project: Path, folder: Path, certificate: Path | None = None) -> None:
        self.certificate, self.folder = certificate, folder
        self.url = f"{'https' if certificate else 'http'}://localhost:{(port := free_port())}"
        files = [str(certificate), str(certificate.with_name("key.pem"))] if certificate else []
        command = [python(project), "-m", "tests.vault_server", str(port), *files]
        self.process = subprocess.Popen(command, cwd=project, env=clean_environment())
        (folder / "token").write_text(JWT)
        self.await_answer(f"{self.url}/v1/sys/health", certificate)

    def let_in(self) -> None:
        """Let the service log in and read."""
        self.write("sys/policies/acl/my-service", policy=POLICY)
        role = {"bound_service_account_names": ["my-service"], "audience": "vault", "token_policies": ["my-service"]}
        self.write("auth/kubernetes/role/my-service", **role, token_ttl=4, token_max_ttl=8)

    def variables(self) -> dict[str, str]:
        """Return what the service has to know."""
        return {
            "VAULT_ADDR": self.url,
            "VAULT_CA_FILE": str(self.certificate or ""),
            "VAULT_ROLE": "my-service",
            "VAULT_JWT_FILE": str(self.folder / "token"),
            "VAULT_PATH": "my-service",
            "VAULT_TIMEOUT_SECONDS": "0.5",
        }

    def secrets(self) -> list[str]:
        """Return what logs in, and how the tokens of Vault begin."""
        return ["c2ln-9f3", "hvs."]

    def write(self, path: str, **values: object) -> dict[str, str]:
        """Write what is configured, as somebody who may do everything, and return what is answered."""
        return send(f"{self.url}/v1/{path}", values, {"X-Vault-Token": "root"}, self.certificate)

    def read(self, path: str) -> dict[str, str]:
        """Return what is configured."""
        return send(f"{self.url}/v1/{path}", None, {"X-Vault-Token": "root"}, self.certificate)

    def put(self, **values: str) -> None:
        """Write another version."""
        self.write("secret/data/my-service", data=values)

    def lend_users_of(self, database: str) -> dict[str, str]:
        """Make users of a database, each for a short time, and return what the service has to know."""
        self.write("database/config/my-service", connection_url=database)
        statements = {"creation_statements": [CREATE], "default_ttl": LEASE_SECONDS, "max_ttl": 5}
        self.write("database/roles/my-service", db_name="my-service", **statements)
        return {"VAULT_CREDENTIALS": "database=database/creds/my-service"}


def send(
    url: str, values: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None,
    certificate: Path | None = None,
) -> dict[str, str]:  # fmt: skip
    """Send a request, with a body if there are values, and return the `data` of the answer.

    Raises OSError where it is not answered well.
    """
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    body = None if values is None else json.dumps(values).encode()
    request = urllib.request.Request(url, body, dict(headers or {}))  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310 - our own server
        body = answer.read()
    found: dict[str, str] = json.loads(body).get("data", {}) if body.startswith(b"{") else {}
    return found


def wait_for(url: str, certificate: Path | None = None) -> None:
    """Wait until somebody answers there, whatever it is."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            send(url, certificate=certificate)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
