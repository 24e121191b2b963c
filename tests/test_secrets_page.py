"""The commands of the page on secrets are run as they stand, and then the service starts with what was put there."""

import base64
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.back_ends import SecretsManager, Vault
from tests.conftest import Render
from tests.kubernetes_api import running
from tests.manifests import kustomize
from tests.servers import ask_database, embedded, installed, python
from tests.shell import ROOT, clean_environment

pytestmark = pytest.mark.slow
DATABASE = "postgresql://service:password@localhost/service"
Done = subprocess.CompletedProcess[str]


class Walk(NamedTuple):
    """A project whose pages are followed, with its database and what the commands are run with."""

    project: Path
    database: str
    folder: Path

    def commands(self, page: str, word: str) -> list[str]:
        """Return the blocks of a page whose first command begins with a word, with the database that is there."""
        text = (self.project / "docs" / "deployment" / page).read_text()
        blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
        found = [re.sub(r"^    ", "", block.strip("\n"), flags=re.MULTILINE) for block in blocks]
        text = "\n".join(each for each in found if each.startswith(f"{word} "))
        assert text, f"{page} has nothing that begins with {word}"
        here = text.replace(DATABASE, self.database)
        # The address of a server, of which there is a socket.
        return here.replace("@localhost:5432/service", "@" + self.database.partition("@")[2]).split("\n")

    def patched(self, page: str) -> list[dict[str, Any]]:
        """Return what kustomize makes of production with the patches of a page."""
        text = (self.project / "docs" / "deployment" / page).read_text()
        (block,) = re.findall(r"^    patches:\n(?:^    .*\n)+", text, re.MULTILINE)
        overlay = self.project / "kubernetes" / "overlays" / "production" / "kustomization.yaml"
        overlay.write_text(overlay.read_text() + textwrap.dedent(block))
        return kustomize(overlay.parent)

    def run(self, lines: list[str], **variables: str) -> Done:
        """Run commands as a shell does, and end at the first that fails."""
        path = f"{self.folder}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-e"], input="\n".join(lines), env=clean_environment(PATH=path, **variables),
            cwd=self.project, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def bring(self, name: str, command: str) -> None:
        """Have a command under another name."""
        program = self.folder / name
        program.write_text(f'#!/bin/sh\n{command} "$@"\n')
        program.chmod(0o755)

    def check(self, **variables: str) -> Done:
        """Ask the service whether it would start in production."""
        given = {"PORT": "0", "DATABASE_MIGRATE": "yes", "SECRET_KEY": ""} | variables
        command = [python(self.project), "-m", "my_service", "check"]
        environment = clean_environment(**given)
        return subprocess.run(
            command, env=environment, cwd=self.project, capture_output=True, text=True, check=False, timeout=60
        )


def ready(done: Done) -> bool:
    """Tell whether a service would start, with its database."""
    assert done.returncode == 0, done.stdout + done.stderr
    return '"database": "ok"' in done.stdout


@pytest.fixture
def walk(request: pytest.FixtureRequest, render: Render) -> Iterator[Walk]:
    with ExitStack() as stack:
        rendered = render(preset="minimal", database="postgres", deploy="kubernetes", secrets=request.param)
        project = stack.enter_context(installed(rendered))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield Walk(project, stack.enter_context(embedded(project, "postgres", folder / "postgres")), folder)


def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the specification of the pods."""
    (found,) = (each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment")
    return dict(found)


@pytest.mark.parametrize("walk", ["vault"], indirect=True)
def test_vault_is_set_up_as_the_page_says(walk: Walk) -> None:
    walk.bring("vault", f"{python(walk.project)} {ROOT / 'tests' / 'vault_cli.py'}")
    vault = Vault(walk.project, walk.folder)
    try:
        ask_database(walk.project, walk.database, *walk.commands("secrets.md", "CREATE ROLE"))
        done = walk.run(walk.commands("secrets.md", "vault"), VAULT_ADDR=vault.url, VAULT_TOKEN="root")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ready(walk.check(**vault.variables(), VAULT_CREDENTIALS="database=database/creds/my-service"))
        left = ask_database(walk.project, walk.database, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'")
        assert left == ["0"]
        assert ready(walk.check(**vault.variables()))
        role_id, secret_id = re.findall(r"^[0-9a-f]{16}$", done.stdout, re.MULTILINE)
        approle = {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id}
        assert ready(walk.check(**vault.variables() | {"VAULT_ROLE": "", "VAULT_JWT_FILE": ""} | approle))
    finally:
        vault.close()
    patched = pod(walk.patched("secrets.md"))
    assert {"name": "ca", "mountPath": "/etc/vault", "readOnly": True} in patched["containers"][0]["volumeMounts"]
    assert "ca" in [volume["name"] for volume in patched["volumes"]]


@pytest.mark.parametrize("walk", ["aws"], indirect=True)
def test_secrets_manager_is_set_up_as_the_page_says(walk: Walk) -> None:
    manager = SecretsManager(walk.project, walk.folder)
    walk.bring("aws", "uvx --quiet --from 'awscli>=1.44,<2' aws")
    try:
        done = walk.run(walk.commands("secrets.md", "aws"), **manager.variables(), AWS_DEFAULT_REGION="eu-west-1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ready(walk.check(**manager.variables()))
        assert walk.check(**manager.variables() | {"AWS_SECRET_NAMES": "others"}).returncode == 78
    finally:
        manager.close()


@pytest.mark.parametrize("walk", ["kubernetes"], indirect=True)
def test_secret_is_set_up_as_the_pages_say(walk: Walk) -> None:
    # kubectl creates in a form that our server does not read, and applies in JSON.
    kubectl = shutil.which("kubectl")
    applied = f'{kubectl} "$@" --dry-run=client --output=json | {kubectl} apply --filename=-'
    walk.bring("kubectl", f'[ "$1" = create ] && {{ {applied}; exit; }}\nexec {kubectl}')
    with running(walk.folder) as api:
        cluster = {"KUBECONFIG": str(walk.folder / "config")}
        made = [*walk.commands("production.md", "kubectl create secret"), *walk.commands("secrets.md", "kubectl")]
        done = walk.run(made, **cluster)
        assert done.returncode == 0, done.stdout + done.stderr
        data = api.objects["secrets", "my-service"]["data"]
        mounted = walk.folder / "secrets"
        mounted.mkdir()
        for name, value in data.items():
            (mounted / name).write_bytes(base64.b64decode(value))
        assert {"SECRET_KEY", "SECRET_KEY_PREVIOUS", "DATABASE_URL"} == data.keys()
        assert ready(walk.check(SECRETS_DIR=str(mounted)))
        assert ready(walk.check(**{name: (mounted / name).read_text() for name in data}))
    assert {"secretRef": {"name": "my-service"}} in pod(walk.patched("secrets.md"))["containers"][0]["envFrom"]
