"""The image that is rolled out: one that stays what it is."""

import re
import shlex
import subprocess
from importlib.metadata import version

from releases import engine_with, image_here, is_release

from . import Refused

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def split(image: str) -> tuple[str, str]:
    """Return the name of an image, and its tag or digest, which may be empty."""
    name, _, digest = image.partition("@")
    if digest:
        return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name, digest
    if ":" not in image.rpartition("/")[2]:
        return image, ""
    name, _, tag = image.rpartition(":")
    return name, tag


def join(name: str, reference: str) -> str:
    """Return a name with a tag or a digest."""
    return f"{name}{'@' if DIGEST.fullmatch(reference) else ':'}{reference}"


def released(service: str, name: str, image: str | None) -> str:
    """Return the image to roll out: the one given, or that of this version.

    Raises Refused for one that may be another one tomorrow.
    """
    if image is None:
        current = version(service)
        if not is_release(current):
            raise Refused(
                f"What is here is {current}, which is no release: commit and tag it, or name an image with --image."
            )
        return join(name, current)
    _, reference = split(image)
    if not reference or reference == "latest":
        raise Refused(f"{image} may be another image tomorrow: give it a version or a digest.")
    return image


def push(service: str, image: str, *, dry_run: bool) -> None:
    """Push the image of this version under another name. Raises Refused where there is none, or no way in."""
    local = image_here(service)
    engine = engine_with(local)
    if engine is None:
        raise Refused(f"There is no image {local} here: `doit image` builds it.")

    def ran(*command: str) -> bool:
        print("+", shlex.join(command), flush=True)
        return dry_run or subprocess.run(command, check=False).returncode == 0

    done = ran(engine, "tag", local, image) and ran(engine, "push", image)
    # podman gives an image that is built as NAME:VERSION to whatever registry it knows that name from.
    ran(engine, "rmi", image)
    if not done:
        raise Refused(f"{image} could not be pushed: what {engine} says above is why.")
