"""Figures about the service, read by whoever watches it at the moment they look."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple


class Measure(NamedTuple):
    """A figure, or one for each combination of its labels' values. `read` returns them by those values."""

    name: str
    help: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    read: Callable[[], Mapping[tuple[str, ...], float]]


MEASURES: list[Measure] = []
"""Every measure there is; whoever has one adds it."""
