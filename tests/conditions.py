"""Conditions and loops: those that the template declares, and the ways in which Copier has run them.

A decision is the test of an `if` or of a loop, an operand of `and` or `or`, or what a loop goes over. It has two
ways: true and false, or something and nothing to go over. Copier renders names and settings from plain strings, so a
decision goes by the source it is in and by its index there; two places with the same source are one.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from copier._jinja_ext import SandboxedEnvironment, YieldExtension
from jinja2 import Environment, nodes
from jinja2.exceptions import UndefinedError
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from tests.expressions import text
from tests.sources import sources

Way = tuple[str, int, bool]
"""A source, the index of a decision in it, and what the decision came to."""

SEEN: set[Way] = set()
"""What has been run while `recording()`."""

UNREACHABLE = {
    "template/src/{{ package }}/{% if 'celery' in chosen %}celery_worker.py{% endif %}.jinja: `rows` was never empty": (
        "Celery is one of them."
    ),
    "template/src/{{ package }}/{% if 'celery' in chosen %}celery_beat.py{% endif %}.jinja: `rows` was never empty": (
        "Celery is one of them."
    ),
    "questions/choices.jinja: `catalogue | sort(attribute='name')` was never empty": "There is always a row.",
    "template/{% if servers %}compose.yaml{% endif %}.jinja: `servers` was never empty": "There is one.",
    "template/{% if deploy == 'kubernetes' %}kubernetes{% endif %}/components/"
    "{% if secrets not in ['none', 'kubernetes'] %}external-secrets{% endif %}/kustomization.yaml.jinja: "
    "`rows` was never empty": "The folder is there for one.",
    "template/{% if deploy == 'kubernetes' %}kubernetes{% endif %}/components/{% if jobs %}migration{% endif %}/"
    "kustomization.yaml.jinja: `jobs` was never empty": "The folder is there for them.",
    "template/{% if deploy == 'kubernetes' %}kubernetes{% endif %}/base/{% yield process from processes %}"
    "{{ process.name }}-deployment.yaml{% endyield %}.jinja: `rows` was never empty": "The file is there for one.",
    "template/{% if deploy == 'kubernetes' %}kubernetes{% endif %}/base/network-policy.yaml.jinja: "
    "`processes` was never empty": "The policy is there for them.",
    "template/{% if deploy == 'kubernetes' %}kubernetes{% endif %}/base/network-policy.yaml.jinja: "
    "`row.ports` was never empty": "The policy is there for a row that has some.",
    "template/{% if deploy == 'kubernetes' %}kubernetes{% endif %}/components/"
    "{% if 'prometheus' in chosen %}monitoring{% endif %}/pod-monitor.yaml.jinja: "
    "`processes` was never empty": "The expression is there for them.",
    "template/docs/deployment/development.md.jinja: `servers` was never empty": "The section is there for them.",
    "template/docs/deployment/{% if secrets != 'none' %}secrets.md{% endif %}.jinja: "
    "`rows` was never empty": "The page is there for one.",
    "template/docs/deployment/{% if secrets != 'none' %}secrets.md{% endif %}.jinja: "
    "`row.variables | default([])` was never empty": "Each row that comes with others so far has some.",
    "template/docs/operations.md.jinja: `rows | selectattr('alerts', 'defined') | sum('alerts', [])` was never empty": (
        "The section is there with Prometheus, whose row has some."
    ),
    "template/{% if 'prometheus' in chosen %}observability{% endif %}/dashboard.json.jinja: "
    "`rows | selectattr('panels', 'defined') | sum('panels', [])` was never empty": "So does its dashboard.",
    "template/{% if 'prometheus' in chosen %}observability{% endif %}/dashboard.json.jinja: "
    "`panel.queries` was never empty": "A panel shows something.",
}
"""What cannot be rendered, and why. An entry that can, or is no more, fails the test."""

NEVER = {(False, True): "true", (False, False): "false", (True, True): "non-empty", (True, False): "empty"}


def constant(part: nodes.Expr) -> bool:
    """Return whether the value of an expression is known before anything is rendered."""
    try:
        part.as_const()
    except nodes.Impossible:
        return False
    return True


def parts(node: nodes.Node) -> list[tuple[Any, bool]]:
    """Return the expressions that decide in a node, each with whether a loop goes over it."""
    match node:
        case nodes.If() | nodes.CondExpr():
            return [(node.test, False)]
        case nodes.And() | nodes.Or():
            return [(node.left, False), (node.right, False)]
        case nodes.For():
            return [(node.iter, True), (node.test, False)]
        case nodes.CallBlock(call=nodes.Call(node=nodes.ExtensionAttribute())):  # `yield`, in the name of a file
            return [(node.call.args[1], True)]
    return []


def decisions(tree: nodes.Template) -> dict[nodes.Expr, tuple[int, bool]]:
    """Return the decisions of a syntax tree, each with its index and whether a loop goes over it."""
    found = [pair for node in tree.find_all(nodes.Node) for pair in parts(node)]
    found = [(part, loop) for part, loop in found if part is not None and (loop or not constant(part))]
    return {part: (index, loop) for index, (part, loop) in enumerate(found)}


def conditions(source: str, environment: Environment) -> Iterator[tuple[Way, str]]:
    """Return every way of every decision in a source, and what is said of one that never ran."""
    for part, (index, loop) in decisions(Parser(environment, source).parse()).items():
        line = f" (line {part.lineno})" if "\n" in source else ""
        for way in (True,) if constant(part) else (True, False):
            yield (source, index, way), f"`{text(part)}` was never {NEVER[loop, way]}{line}"


def declared(root: Path) -> dict[Way, str]:
    """Return every way that a template can go, and what is said of one that never ran."""
    settings = next(yaml.safe_load_all((root / "copier.yml").read_text(encoding="utf-8")))["_envops"]
    del settings["undefined"]  # the name of a class, which matters to rendering only
    extensions = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension", YieldExtension]
    environment = SandboxedEnvironment(extensions=extensions, **settings)
    found: dict[Way, str] = {}
    for place, source in sources(root):
        for way, never in conditions(source, environment):
            found.setdefault(way, f"{place}: {never}")
    return found


def without_line(sentence: str) -> str:
    """Return what is said of a way, without the number of a line, which moves."""
    return re.sub(r" \(line \d+\)$", "", sentence)


def count(root: Path) -> tuple[int, int]:
    """Return how many ways of a template are to be seen, and how many it declares."""
    ways = declared(root).values()
    return sum(without_line(sentence) not in UNREACHABLE for sentence in ways), len(ways)


def missing(root: Path) -> list[str]:
    """Return what is said of each way of a template that has not run so far."""
    return [never for way, never in declared(root).items() if way not in SEEN]


def note(source: str, index: int, value: Any) -> Any:
    """Note what a condition came to; return its value."""
    with suppress(UndefinedError):  # what comes next raises it again, or asks only whether it is defined
        SEEN.add((source, index, bool(value)))
    return value


def note_loop(source: str, index: int, values: Any) -> Any:
    """Note whether a loop has anything to go over; return that, as a list if it could be read only once."""
    return note(source, index, values if hasattr(values, "__len__") else list(values))


class _Recorder(NodeTransformer):
    """Has every decision in a tree pass through `note` or `note_loop`."""

    def __init__(self, source: str, tree: nodes.Template) -> None:
        self.source, self.decisions = source, decisions(tree)

    def visit(self, node: nodes.Node, *_: Any, **__: Any) -> nodes.Node:
        """Return a decision inside a call, and every other node as it is."""
        node = self.generic_visit(node)
        if not isinstance(node, nodes.Expr) or node not in self.decisions:
            return node
        index, loop = self.decisions[node]
        noted = nodes.ImportedName(f"{__name__}.{'note_loop' if loop else 'note'}")
        arguments = [nodes.Const(self.source), nodes.Const(index), node]
        return nodes.Call(noted, arguments, [], None, None, lineno=node.lineno)


def recording() -> AbstractContextManager[Any]:
    """Return a context in which every template that Copier compiles notes what its decisions come to."""

    def parse(self: Environment, source: str, name: str | None, filename: str | None) -> nodes.Node:
        tree = Parser(self, source, name, filename).parse()
        return _Recorder(source, tree).visit(tree).set_environment(self)

    return patch.object(SandboxedEnvironment, "_parse", parse)
