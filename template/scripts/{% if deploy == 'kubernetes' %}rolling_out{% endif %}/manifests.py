"""What is applied: an overlay with an image, made a canary or a slot by components."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import Refused
from .cluster import Object, kubectl, last_line
from .images import DIGEST, split

FOLDER = Path("kubernetes")
# https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-change-cause
CAUSE = "kubernetes.io/change-cause"


def overlay(environment: str) -> Path:
    """Return the folder of an environment. Raises Refused where there is none."""
    names = sorted(path.name for path in (FOLDER / "overlays").iterdir())
    if environment not in names:
        raise Refused(f"There is no {FOLDER}/overlays/{environment}: there is {', '.join(names)}.")
    # The root is production with what was added to it there.
    return FOLDER if environment == "production" else FOLDER / "overlays" / environment


def build(folder: Path) -> str:
    """Return the manifests of a kustomization. Raises Refused where it is wrong."""
    done = kubectl("kustomize", str(folder))
    if done.returncode:
        raise Refused(f"kustomize cannot build {folder}: {last_line(done.stderr)}")
    return done.stdout


def objects(environment: str) -> list[Object]:
    """Return the manifests of an environment. Raises Refused where kustomize cannot build them."""
    # They are YAML, and kubectl is what reads it here.
    command = ["kubectl", "annotate", "--local", "--filename=-", "--output=json", "read=yes"]
    nowhere = os.environ | {"KUBECONFIG": os.devnull}
    manifests = build(overlay(environment))
    text = subprocess.run(command, input=manifests, env=nowhere, capture_output=True, text=True, check=True).stdout
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        each, end = decoder.raw_decode(text)
        found.append(each)
        text = text[end:]
    return found


def image_of(environment: str) -> str:
    """Return the image that an environment names, with its tag or digest."""
    found = re.search(r"^ +image: (\S+)$", build(overlay(environment)), re.MULTILINE)
    if not found:
        raise Refused(f"The manifests of {environment} name no image.")
    return found[1]


@contextmanager
def composed(
    environment: str,
    image: str,
    *components: str,
    replicas: Mapping[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Yield a folder, outside of the project, that kustomize builds an environment from, with an image.

    `replicas` are those of Deployments, by name; `notes` become annotations of theirs.
    """
    name, reference = split(image)
    kind = "digest" if DIGEST.fullmatch(reference) else "newTag"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        # kustomize takes relative paths only.
        base = Path(os.path.relpath(overlay(environment).resolve(), folder))
        kubernetes = Path(os.path.relpath(FOLDER.resolve(), folder))
        kustomization = {
            "resources": [str(base)],
            "components": [str(kubernetes / "components" / component) for component in components],
            "images": [{"name": split(image_of(environment))[0], "newName": name, kind: reference}],
            "replicas": [{"name": each, "count": count} for each, count in (replicas or {}).items()],
            "patches": [
                {
                    "target": {"kind": "Deployment"},
                    "patch": json.dumps(
                        [
                            {"op": "add", "path": f"/metadata/annotations/{note.replace('/', '~1')}", "value": value}
                            for note, value in {CAUSE: image, **(notes or {})}.items()
                        ]
                    ),
                }
            ],
        }
        # JSON is YAML.
        (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2), encoding="utf-8")
        yield folder
