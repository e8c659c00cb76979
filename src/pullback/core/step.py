"""One step of a loop as a graph, and the part of it that is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pullback.core.graph import Graph, ancestors, remembered
from pullback.core.pytree import flat


class Step(NamedTuple):
    """The body of a loop: a graph from (fixed, carry, x) to (carry, y).

    `fixed` and `carries` count the values that every step sees and those that it hands on.
    """

    graph: Graph
    fixed: int
    carries: int

    def split(self, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the fixed values, the carry and the xs among `args`."""
        start, end = self.fixed, self.fixed + self.carries
        return list(args[:start]), list(args[start:end]), list(args[end:])

    def __str__(self) -> str:
        return self.graph.name


class Trimmed(NamedTuple):
    """A step without what is not needed, and the positions of what stayed."""

    step: Step
    arguments: tuple[int, ...]
    results: tuple[int, ...]


@remembered
def trim(step: Step, wanted: tuple[bool, ...]) -> Trimmed:
    """Return the part of `step` that the wanted results need, over all steps."""
    graph, start, end = step.graph, step.fixed, step.fixed + step.carries
    live = {i for i, w in enumerate(wanted) if w}
    while True:  # a carry lives if a result that lives depends on it
        needed = ancestors([graph.results[i] for i in live])
        more = {k for k in range(step.carries) if graph.arguments[start + k] in needed} - live
        if not more:
            break
        live |= more
    kept = [
        i
        for i, node in enumerate(graph.arguments)
        if (i - start in live if start <= i < end else node in needed)
    ]
    results = sorted(live)
    trimmed = Graph(
        [graph.arguments[i] for i in kept],
        [graph.results[i] for i in results],
        flat(len(kept)),
        flat(len(results)),
        graph.name,
    )
    fixed, carries = sum(i < start for i in kept), sum(start <= i < end for i in kept)
    return Trimmed(Step(trimmed, fixed, carries), tuple(kept), tuple(results))
