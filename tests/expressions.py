"""Expressions of Jinja, nearly as they read in a template."""

from typing import Any

from jinja2 import nodes
from jinja2.compiler import operators

FORMS: dict[type[nodes.Node], str] = {
    nodes.Name: "{name}",
    nodes.Const: "{value!r}",
    nodes.List: "[{items}]",
    nodes.Getattr: "{node}.{attr}",
    nodes.Getitem: "{node}[{arg}]",
    nodes.Slice: "{start}:{stop}",
    nodes.Call: "{node}({args})",
    nodes.Filter: "{node} | {name}({args}{kwargs})",
    nodes.Test: "{node} is {name}({args})",
    nodes.Keyword: "{key}={value}",
    nodes.Compare: "{expr} {ops}",
    nodes.Operand: "{operator} {expr}",
    nodes.CondExpr: "({expr1} if {test} else {expr2})",
    nodes.BinExpr: "{left} {operator} {right}",
    nodes.UnaryExpr: "{operator} {node}",
    nodes.Node: "...",
}


def text(part: Any) -> Any:
    """Return an expression nearly as it reads in the template, and what is none as it is."""
    if isinstance(part, list):
        return ", ".join(str(text(each)) for each in part)
    if not isinstance(part, nodes.Node):
        return "" if part is None else part
    form = next(FORMS[kind] for kind in type(part).__mro__ if kind in FORMS)
    operator = getattr(part, "operator", operators.get(getattr(part, "op", "")))
    return form.format(operator=operator, **{name: text(value) for name, value in part.iter_fields()}).replace("()", "")
