"""What Copier renders of a template: files, their names, and the strings of its questions."""

from collections.abc import Iterator
from pathlib import Path

import yaml


def strings(node: yaml.Node, place: str) -> Iterator[tuple[str, str]]:
    """Return the strings of a YAML document, each with its file and key; what is included is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from strings(key, place)
            yield from strings(value, f"{place}{'.' if ' ' in place else ' '}{key.value}")
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from strings(value, place)
    elif node.tag == "tag:yaml.org,2002:str":
        yield place, node.value


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Return what Copier renders of a template: where it is, and the source."""
    files = [path for path in sorted(root.glob("template/**/*")) if path.is_file()]
    for path in files:
        *folders, name = path.relative_to(root / "template").parts
        yield from ((f"template/{'/'.join(folders)}", folder) for folder in folders)
        yield f"template/{'/'.join([*folders, name])}", name.removesuffix(".jinja")
    for path in [*files, *sorted(root.glob("questions/*.jinja"))]:
        if path.suffix == ".jinja":
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
    for path in [root / "copier.yml", *sorted(root.glob("questions/*.yml"))]:
        for document in yaml.compose_all(path.read_text(encoding="utf-8"), yaml.SafeLoader):
            yield from strings(document, path.relative_to(root).as_posix())
