"""The manifests of a rendered service, built by kustomize the way each roll-out builds them."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Object = dict[str, Any]


class Pod(NamedTuple):
    """The pod that an object makes."""

    owner: Object
    labels: dict[str, str]
    spec: Object

    @property
    def container(self) -> Object:
        """Return its only container."""
        (only,) = self.spec["containers"]
        assert isinstance(only, dict)
        return only


class Manifests:
    """What is built of the overlays of a project, and of production with each component, by the component's name."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.folder = project / "kubernetes"

    @cached_property
    def variants(self) -> dict[str, list[Object]]:
        """Return the objects of every variant; they are built at once, each in a namespace of its own."""
        overlays = sorted(path.name for path in (self.folder / "overlays").iterdir())
        components = sorted(path.name for path in (self.folder / "components").iterdir())
        taken = yaml.safe_load((self.folder / "overlays/production/kustomization.yaml").read_text())
        taken = {Path(each).name for each in taken.get("components", [])}
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary).resolve()
            there = Path(os.path.relpath(self.folder.resolve(), root / "variant"))
            for name in overlays:
                _write(root / name, namespace=name, resources=[str(there / "overlays" / name)])
            for name in components:
                used = [] if name in taken else [str(there / "components" / name)]
                _write(root / name, namespace=name, resources=[str(there)], components=used)
            _write(root, resources=[*overlays, *components])
            found: dict[str, list[Object]] = {name: [] for name in [*overlays, *components]}
            for each in kustomize(root):
                found[each["metadata"].pop("namespace")].append(each)
        return found

    @cached_property
    def objects(self) -> list[Object]:
        """Return every object of every variant, those that are equal once."""
        found: list[Object] = []
        for objects in self.variants.values():
            found += [each for each in objects if each not in found]
        return found

    def one(self, kind: str, name: str = "", variant: str = "production") -> Object:
        """Return the only object of a kind, or the one of that name."""
        (only,) = (
            each
            for each in self.variants[variant]
            if each["kind"] == kind and (not name or each["metadata"]["name"] == name)
        )
        return only

    def pods(self, variant: str | None = None) -> Iterator[Pod]:
        """Yield the pods of a variant, or of all."""
        for each in self.objects if variant is None else self.variants[variant]:
            spec = each.get("spec", {})
            spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
            if template := spec.get("template"):
                yield Pod(each, template["metadata"]["labels"], template["spec"])


def kustomize(folder: Path) -> list[Object]:
    """Return the objects that a kustomization makes."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def _write(folder: Path, **kustomization: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
