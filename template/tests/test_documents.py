"""The documents say about the settings what the code says: `doit docs` has nothing left to do."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRITTEN = (".env.example", "docs/configuration.md")


def test_settings_are_documented(tmp_path: Path) -> None:
    for name in ("pyproject.toml", *WRITTEN):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    script = ROOT / "scripts" / "document_settings.py"
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)  # noqa: S603 - our own script
    for name in WRITTEN:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), f"{name}: run `uv run doit docs`"
