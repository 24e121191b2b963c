"""What a row may say, and the tables of the documents that are made from the rows.

Nothing here runs when a project is rendered: copier.yml names no Jinja extension, or everybody who
uses the template would have to trust it with their machine. `doit docs` and the tests are who
load this module.
"""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment
from jinja2.ext import Extension

ROOT = Path(__file__).parents[1]
KINDS = ["database", "cache", "queue", "secrets", "errors", "observability"]
PRESETS = ["minimal", "api", "worker", "full"]

VARIABLE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "help"],
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$"},
        "help": {"type": "string", "pattern": "^[A-Z].*[^.]$"},
        "default": {"type": "string"},
        "development": {"type": "string", "description": "the default in development, where it differs"},
        "kubernetes": {
            "type": "string",
            "description": "the value in the manifests, where it differs; SERVICE becomes the name of the service",
        },
        "example": {"type": "string"},
        "required": {"type": "boolean"},
        "secret": {"type": "boolean"},
    },
    "anyOf": [{"required": ["default"]}, {"required": ["example"]}],
}

REQUIREMENTS = {
    "type": "array",
    "description": "requirements with a lower and an upper bound, both tested",
    "items": {"type": "string", "pattern": r"^[a-z0-9-]+(\[[a-z0-9,-]+\])?>=[0-9.]+(b[0-9]+)?,<[0-9.]+$"},
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A row: one integration that a service can be extended with",
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "kind", "help", "presets", "requires"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$", "description": "file, module, test, answer and heading"},
        "kind": {"enum": KINDS, "description": "the question that offers it"},
        "help": {"type": "string", "pattern": "^[^:#]+$", "description": "what the prompt says"},
        "presets": {"type": "array", "items": {"enum": PRESETS}, "uniqueItems": True},
        "requires": REQUIREMENTS,
        "variables": {"type": "array", "items": VARIABLE},
        "commands": {
            "type": "array",
            "description": "what `python -m PACKAGE` can do with it",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "module", "help"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z]+$"},
                    "module": {"type": "string"},
                    "help": {"type": "string"},
                    "job": {"const": True, "description": "a Job runs it before a new version is rolled out"},
                    "pods": {"enum": ["one", "many"], "description": "its own Deployment runs it, in so many pods"},
                    "pool": {
                        "type": "integer",
                        "minimum": 1,
                        "description": "connections to the database that each process of it keeps; one more when busy",
                    },
                    "words": {"type": "string", "description": "what may follow it, any number of times"},
                },
            },
        },
        "early": {
            "type": "string",
            "pattern": "^[a-z_]+$",
            "description": "a module whose function `begin` is called before anything else is imported",
        },
        "traces": REQUIREMENTS | {"description": "the same, where there are traces of OpenTelemetry"},
        "develop": REQUIREMENTS | {"description": "the same for development and tests"},
        "tasks": {
            "type": "array",
            "description": "tasks for development; `run` is what Python is given, as it stands in dodo.py",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "run", "help"],
                "properties": {name: {"type": "string"} for name in ("name", "run", "help")},
            },
        },
        "container": {
            "type": "object",
            "description": "it is a server: in compose.yaml like this, else from scripts/embedded/NAME.py",
            "additionalProperties": False,
            "required": ["image", "port", "data", "check", "url"],
            "properties": {
                "image": {"type": "string", "pattern": "@sha256:[0-9a-f]{64}$"},
                "port": {"type": "integer"},
                "inside": {"type": "integer", "description": "the port within the container, where it is another"},
                "command": {"type": "array", "items": {"type": "string"}},
                "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                "data": {"type": "string", "pattern": "^/"},
                "check": {"type": "array", "items": {"type": "string"}},
                "url": {"type": "string"},
            },
        },
        "alerts": {
            "type": "array",
            "description": "what somebody has to know of it; OURS in `expr` becomes the labels of the service",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "expr", "minutes", "severity", "summary", "means", "answer"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[A-Z][A-Za-z]*$"},
                    "expr": {"type": "string", "pattern": "OURS"},
                    "minutes": {"type": "integer", "minimum": 0},
                    "severity": {"enum": ["page", "ticket"]},
                    **{name: {"type": "string", "pattern": "^[A-Z].*[^.]$"} for name in ("summary", "means", "answer")},
                },
            },
        },
        "panels": {
            "type": "array",
            "description": "what the dashboard shows of it; OURS in `expr` becomes the labels of the service",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title", "unit", "queries"],
                "properties": {
                    "title": {"type": "string"},
                    "unit": {"type": "string", "description": "as Grafana calls it"},
                    "queries": {
                        "type": "array",
                        "maxItems": 6,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["expr", "legend"],
                            "properties": {"expr": {"type": "string"}, "legend": {"type": "string"}},
                        },
                    },
                },
            },
        },
        "warnings": {
            "type": "array",
            "items": {"type": "string"},
            "description": "warnings of its own that tests overlook, as pytest has them",
        },
        "unlicensed": {
            "type": "array",
            "items": {"type": "string"},
            "description": "packages of its own that do not say their licence",
        },
        "untyped": {"type": "array", "items": {"type": "string"}, "description": "modules without types, for mypy"},
        "egress": {
            "type": "array",
            "description": "what it connects to: pods of that role, the internet, or a network",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["port", "to"],
                "properties": {
                    "port": {"type": "integer"},
                    "to": {"type": "string", "pattern": r"^([a-z-]+|[0-9.]+/[0-9]+)$"},
                    "anywhere": {"const": True, "description": "it is pods of that name, in whatever namespace"},
                },
            },
        },
        "token": {
            "type": "object",
            "description": "a token of the service account, for that audience, in a file `token` of that folder",
            "additionalProperties": False,
            "required": ["audience", "folder"],
            "properties": {"audience": {"type": "string"}, "folder": {"type": "string", "pattern": "^/var/run/"}},
        },
        "ports": {
            "type": "array",
            "description": "ports the service listens on for it",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "variable"],
                "properties": {"name": {"type": "string", "maxLength": 15}, "variable": {"type": "string"}},
            },
        },
    },
}


def rows() -> list[dict[str, Any]]:
    """Return every row, by name."""
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "extensions").glob("*.yml"))]


class _Loader(yaml.SafeLoader):
    """Reads questions, and leaves out what they include."""


_Loader.add_constructor("!include", lambda *_: None)


def questions() -> dict[str, dict[str, Any]]:
    """Return every question that is stored, in the order of copier.yml."""
    documents = [(ROOT / "questions" / f"{room}.yml") for room in ("project", "service", "integrations", "delivery")]
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        found |= yaml.load(document.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    return {name: question for name, question in found.items() if question.get("when") is not False}


def choices(name: str, question: dict[str, Any]) -> list[str]:
    """Return the answers a question offers; a free one offers none."""
    offered = question.get("choices")
    if isinstance(offered, dict):
        return [str(value) for value in offered.values()]
    if isinstance(offered, list):
        return [str(value) for value in offered]
    if name == "preset":
        return PRESETS
    if offered:
        nothing = [] if question.get("multiselect") else ["none"]
        return nothing + [row["name"] for row in rows() if row["kind"] == name]
    return []


class RowsExtension(Extension):
    """Gives the templates of our own documents the rows and the questions."""

    def __init__(self, environment: Environment) -> None:
        """Add the globals `rows`, `questions` and `choices`."""
        super().__init__(environment)
        environment.globals.update(rows=rows(), questions=questions(), choices=choices)
