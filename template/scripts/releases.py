"""The version that is here, and its image."""

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
    return next((name for name in ("docker", "podman") if shutil.which(name) and inspect(name, image, "{{.Id}}")), None)


def inspect(engine: str, image: str, template: str) -> str:
    """Return what a Go template makes of an image, or nothing where there is none."""
    command = [engine, "image", "inspect", "--format", template, image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()
