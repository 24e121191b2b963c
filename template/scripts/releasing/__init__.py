"""Making a release: the version and its notes from the commits, the built files from the version."""

from checks import NotReadyError


class NoReleaseError(NotReadyError):
    """No release is made; the message says why, and what to do."""


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it does not say why"
