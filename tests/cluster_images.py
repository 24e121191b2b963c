"""Versions of a service whose images are in a cluster, or are brought there as CLUSTER_IMAGES says.

`kind` loads them into the nodes of kind, `registry` pushes them to CLUSTER_REGISTRY, `there` takes them as they are.
"""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.cluster import succeeded
from tests.cluster_pods import SERVICE
from tests.engine import find_engine
from tests.shell import commit, git, uv

GOOD, BROKEN = ("1.0.0", "1.1.0"), "1.2.0"
"""Versions, of which the broken one migrates and does not serve."""


def image(version: str) -> str:
    """Return the image of a version: in CLUSTER_REGISTRY, where there is one."""
    return f"{os.environ.get('CLUSTER_REGISTRY', 'ghcr.io/example')}/{SERVICE}:{version}"


def release(project: Path, context: str) -> None:
    """Commit and tag every version of a rendered project, bring their images, and check the first one out."""
    name_image(project / "kubernetes" / "base" / "kustomization.yaml")
    succeeded(uv(project, "lock", "--quiet"))
    for version in (*GOOD, BROKEN):
        if version == BROKEN:
            (server,) = project.glob("src/*/server.py")
            server.write_text(server.read_text() + '\nraise SystemExit("It does not come up.")\n')
        commit(project, f"feat: {version}")
        git(project, "tag", f"v{version}")
        bring(project, version, context)
    git(project, "checkout", "--quiet", f"v{GOOD[0]}")


def name_image(kustomization: Path) -> None:
    """Write the image of the first version where `kubectl apply -k` finds it."""
    before = kustomization.read_text()
    name, _, tag = image(GOOD[0]).rpartition(":")
    named = before.replace(f"newName: ghcr.io/example/{SERVICE}\n", f"newName: {name}\n")
    named = named.replace('newTag: "0.1.0"', f'newTag: "{tag}"')
    assert f'newName: {name}\n    newTag: "{tag}"' in named
    kustomization.write_text(named)


def bring(project: Path, version: str, context: str) -> None:
    """Build the version that is checked out, and bring its image to the cluster."""
    way = os.environ.get("CLUSTER_IMAGES", "there")
    assert way in {"kind", "registry", "there"}, f"CLUSTER_IMAGES is {way}: it may be kind, registry or there"
    if way == "there":
        return
    flags = shlex.split(os.environ.get("IMAGE_BUILD_FLAGS", ""))
    succeeded(uv(project, "run", "--quiet", "doit", "image", "--", *flags))
    if way == "registry":
        assert "CLUSTER_REGISTRY" in os.environ, "CLUSTER_REGISTRY has to say where images are pushed to"
        succeeded(uv(project, "run", "--quiet", "doit", "push"))
    else:
        load(version, context.removeprefix("kind-"))


def load(version: str, cluster: str) -> None:
    """Load an image that was built here into the nodes of kind; an archive, since that is the same for each engine."""
    engine = find_engine()
    assert engine, "neither docker nor podman works here"
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/image.tar"
        for command in (
            [engine, "tag", f"{SERVICE}:{version}", image(version)],
            [engine, "save", f"--output={archive}", image(version)],
            ["kind", "load", "image-archive", archive, f"--name={cluster}"],
        ):
            succeeded(subprocess.run(command, capture_output=True, text=True, check=False, timeout=600))
