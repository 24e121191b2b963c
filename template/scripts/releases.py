"""The version that is here, and its image."""

import json
import re
import shutil
import subprocess
from importlib.metadata import version

RELEASE = re.compile(r"v?[0-9]+(\.[0-9]+)*((a|b|rc|\.post)[0-9]+)?")


def is_release(name: str) -> bool:
    """Tell whether a version, or a tag, is that of a release and not of something between two."""
    return RELEASE.fullmatch(name) is not None


def image_here(service: str) -> str:
    """Return what the image of the version that is here is called where it is built."""
    return f"{service}:{version(service).replace('+', '-')}"


def engine_with(image: str) -> str | None:
    """Return docker or podman, whichever has an image, or None."""
    return next((name for name in ("docker", "podman") if shutil.which(name) and labels(name, image) is not None), None)


def labels(engine: str, image: str) -> dict[str, str] | None:
    """Return the labels of an image, or None where there is no such image."""
    done = subprocess.run([engine, "image", "inspect", image], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, str] | None = json.loads(done.stdout)[0]["Config"].get("Labels")
    return found or {}
