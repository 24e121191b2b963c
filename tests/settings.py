"""What the documents of a rendered service say about its settings."""

import re
from pathlib import Path


def settings(project: Path) -> dict[str, str]:
    """Return the documented variables and their examples."""
    text = (project / ".env.example").read_text()
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", text, re.MULTILINE))


def default(project: Path, name: str) -> float:
    """Return the default of a number in production, from the configuration table."""
    row = re.search(
        rf"^\| `{name}` \|[^|]*\| `([\d.]+)`", (project / "docs/configuration.md").read_text(), re.MULTILINE
    )
    assert row
    return float(row[1])
