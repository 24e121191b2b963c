"""Changes that existing projects would not survive unnoticed: the template beside its last release.

Each function returns complaints. A root is a plain folder with the template and CHANGELOG.md: of a repository, Copier
would render the last tag.
"""

import functools
import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import copier
import yaml

from tests.releases import releases
from tests.shell import ROOT

Question = tuple[Any, str, list[Any] | None]
"""What a project stores for it, its type, and the answers it offers: None for a free one."""
NOTHING: tuple[Any, ...] = (None, [], {}, "", False, "none", "no", "false")


def last_release(folder: Path) -> Path:
    """Unpack the newest released version into a folder within this one and return it; its name is the version."""
    version, commit = list(releases().items())[-1]
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder / version, filter="data")
    return folder / version


def is_noted(root: Path, release: Path, *names: str) -> bool:
    """Tell whether CHANGELOG.md names all of them, in backticks, above the entry of the last release."""
    above, heading, _ = (root / "CHANGELOG.md").read_text(encoding="utf-8").partition(f"\n## {release.name}\n")
    return bool(heading) and all(f"`{name}`" in above for name in names)


def paths(root: Path) -> set[str]:
    """Return the paths that a template may render, without their conditions: `src/<package>/app.py`."""
    found = (path.relative_to(root / "template").as_posix() for path in root.glob("template/**/*") if path.is_file())
    plain = (re.sub(r"\{%.*?%\}", "", name).removesuffix(".jinja") for name in found)
    return {re.sub(r"\{\{\s*(.*?)\s*\}\}", r"<\1>", name) for name in plain}


def paths_without_a_note(root: Path, release: Path) -> list[str]:
    """Complain of paths of the last release that are gone, and neither named nor in a folder that is."""
    return [
        f"`{path}` is gone or renamed: an update deletes it without a word, even where it was edited. "
        "Keep it, or name it in CHANGELOG.md under `To do when updating`."
        for path in sorted(paths(release) - paths(root))
        if not any(is_noted(root, release, name) for name in [path, *(f"{up}/" for up in PurePosixPath(path).parents)])
    ]


def offers(worker: Any, question: dict[str, Any]) -> list[Any] | None:
    """Return the answers that a question offers where Copier has asked all; None for a free one."""
    offered = question.get("choices")
    if isinstance(offered, str):
        offered = yaml.safe_load(worker.jinja_env.from_string(offered).render(**worker.answers.combined)) or []
    values = offered.values() if isinstance(offered, dict) else offered
    return None if values is None else [each["value"] if isinstance(each, dict) else each for each in values]


def questions(root: Path, **last: Any) -> dict[str, Question]:
    """Let Copier do to a project with these last answers what an update with --defaults does."""
    with tempfile.TemporaryDirectory() as project:
        file = Path(project, ".copier-answers.yml")
        file.write_text(yaml.safe_dump(last), encoding="utf-8")
        only = ["*", f"!/{file.name}"]
        worker = copier.run_copy(str(root), project, defaults=True, overwrite=True, quiet=True, exclude=only)
        stored = yaml.safe_load(file.read_text(encoding="utf-8"))
    asked = {name: question for name, question in worker.template.questions_data.items() if name in stored}
    kinds = {name: f"{each.get('type')}{', several' * bool(each.get('multiselect'))}" for name, each in asked.items()}
    return {name: (stored[name], kinds[name], offers(worker, question)) for name, question in asked.items()}


@functools.cache
def released(release: Path) -> dict[str, dict[str, Question]]:
    """Return the projects that a release makes, by preset."""
    return {preset: questions(release, preset=preset) for preset in questions(release)["preset"][2] or []}


def changes(project: str, before: dict[str, Question], after: dict[str, Question]) -> Iterator[tuple[str, ...]]:
    """Yield what an update changes in a project: a sentence, and the names that CHANGELOG.md has to give."""
    for name, (new, _, _) in after.items():
        if name not in before and new not in NOTHING:
            yield f"`{name}` is new, and an update sets it to {new!r} in {project}", name
    for name, (old, kind, offered) in before.items():
        new, new_kind, still = after.get(name, (None, "gone", None))
        if new_kind != kind:
            yield f"`{name}` was {kind} and is {new_kind}: updates may lose its answer", name
        elif new != old:
            yield f"`{name}` falls back from {old!r} to {new!r} in {project}", name
        for choice in offered or []:
            if still is not None and choice not in still:
                yield f"`{name}` no longer offers `{choice}`: an update falls back to its default", name, choice


def questions_without_a_note(root: Path, release: Path) -> list[str]:
    """Complain of questions that change existing projects, and are not named."""
    complaints = []
    for preset, before in released(release).items():
        project = f"a project of preset `{preset}`"
        try:
            after = questions(root, **{name: answer for name, (answer, _, _) in before.items()})
        except ValueError as error:
            complaints.append(f"{project} can no longer be updated with --defaults: {error}")
        else:
            found = [said for said, *names in changes(project, before, after) if not is_noted(root, release, *names)]
            complaints += [f"{said}. Say so in CHANGELOG.md." for said in found]
    return list(dict.fromkeys(complaints))
