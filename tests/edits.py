"""Edits that people make in their services: the catalogue in edits.yml, applied and looked for."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

Place = dict[str, str]


@dataclass(frozen=True)
class Edit:
    """A change to some files of a project."""

    name: str
    below: list[Place] = field(default_factory=list)
    instead: list[Place] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    deleted_too: list[str] = field(default_factory=list)

    def is_possible(self, project: Path) -> bool:
        """Tell whether the project has all that is edited."""
        places = [*self.below, *self.instead]
        return all(place["at"] in read(project, place["file"]) for place in places) and all(
            locate(project, name).is_file() for name in self.deleted
        )

    def apply(self, project: Path) -> None:
        """Make the edit."""
        for place in self.below:
            _replace(project, place["file"], place["at"], place["at"] + named(project, place["text"]), 1)
        for place in self.instead:
            _replace(project, place["file"], place["at"], named(project, place["text"]))
        for name, text in self.files.items():
            locate(project, name).parent.mkdir(exist_ok=True)
            locate(project, name).write_text(named(project, text), encoding="utf-8")
        for name in self.deleted:
            locate(project, name).unlink()
        for name in self.deleted_too:
            locate(project, name).unlink(missing_ok=True)

    def losses(self, project: Path) -> list[str]:
        """Return the files in which the edit is not whole any more."""
        places = [*self.below, *self.instead]
        lost = [place["file"] for place in places if named(project, place["text"]) not in read(project, place["file"])]
        lost += [name for name, text in self.files.items() if read(project, name) != named(project, text)]
        lost += [name for name in self.deleted if locate(project, name).exists()]
        return [locate(project, name).relative_to(project).as_posix() for name in lost]


def make(project: Path, edits: list[Edit]) -> list[Edit]:
    """Make those of the edits that are possible, and return them."""
    possible = [edit for edit in edits if edit.is_possible(project)]
    for edit in possible:
        edit.apply(project)
    return possible


def locate(project: Path, name: str) -> Path:
    """Return the path of a file, with the project's package in its name."""
    return project / named(project, name)


def named(project: Path, text: str) -> str:
    """Return a text with the project's package in it."""
    (app,) = (project / "src").glob("*/app.py")
    return text.replace("PACKAGE", app.parent.name)


def read(project: Path, name: str) -> str:
    """Return the text of a file, or nothing where there is none."""
    path = locate(project, name)
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _replace(project: Path, name: str, old: str, new: str, count: int = -1) -> None:
    locate(project, name).write_text(read(project, name).replace(old, new, count), encoding="utf-8")


EDITS = [Edit(**edit) for edit in yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))]
