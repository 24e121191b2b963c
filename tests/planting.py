"""Mistakes, planted in a copy of the template to see them caught."""

import re
import shutil
from pathlib import Path


def copy_of(source: Path, folder: Path, *names: str) -> Path:
    """Copy files and folders to a new folder, without git: Copier then renders a template as it stands."""
    folder.mkdir()
    for name in names:
        (shutil.copytree if (source / name).is_dir() else shutil.copy)(source / name, folder / name)
    return folder


def plant(root: Path, name: str, old: str, new: str) -> None:
    """Replace what a pattern finds in a file, once, or put the new text at its end."""
    text = (root / name).read_text()
    changed = re.sub(old, lambda _: new, text, count=1, flags=re.DOTALL)
    assert changed != text, f"{name} has nothing to plant a mistake in"
    (root / name).write_text(changed)


def about(complaints: list[str], *names: str) -> set[str]:
    """Return which of the names the complaints begin with."""
    return {name for name in names if any(complaint.startswith(f"`{name}` ") for complaint in complaints)}
