"""Outputs of a model for many rows: in parts of one size, by machine code where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pullback.core.errors import ShapeError
from pullback.core.graph import Graph
from pullback.core.tables import keep
from pullback.core.tracing import trace
from pullback.passes import optimise
from pullback.passes.cost import worth_compiling

ROWS = 1024
"""Rows of a part; fewer rows are one part."""

SIZES = 32
"""Sizes of parts whose graphs, and machine code, are kept."""


class Forward:
    """Computes the outputs (n, ...) of models of one structure for inputs (n, ...).

    `ready(graph)` is to make machine code of a graph, where that takes less time than NumPy.
    """

    def __init__(self, ready: Callable[[Graph], Graph]) -> None:
        self.ready = ready
        self._graphs: dict[Any, Graph] = {}

    def __call__(self, model: Any, inputs: Any, times: int = 1) -> Any:
        """Return the outputs for one row or more, which are needed so many times.

        Raises ShapeError for a model that does not give one array, with an output for each row.
        """
        parts = list(_parts(len(inputs)))
        graph = self._graph(model, inputs[parts[0][0]])
        if worth_compiling(graph, times * len(parts)):
            graph = self.ready(graph)
        with np.errstate(all="ignore"):  # machine code does not warn either
            return np.concatenate([graph(model, inputs[rows])[known:] for rows, known in parts])

    def _graph(self, model: Any, x: Any) -> Graph:
        key = x.shape, x.dtype
        if key not in self._graphs:
            graph = optimise(trace(lambda model, x: model(x), model, x))
            _check_rows(graph, len(x))
            keep(self._graphs, key, graph, SIZES)
        return self._graphs[key]


def _check_rows(graph: Graph, rows: int) -> None:
    shapes = [node.shape for node in graph.results]
    if [shape[:1] for shape in shapes] != [(rows,)]:
        raise ShapeError(
            f"outputs: expected one array with a row for each of {rows} rows of inputs, got shape "
            f"{' and '.join(map(str, shapes))}; call the model itself, as in "
            "trainer.predictor(inputs)"
        )


def _parts(n: int) -> Iterator[tuple[slice, int]]:
    """Yield parts of n rows, all of one size, and how many rows of each are in the one before.

    >>> list(_parts(2500))
    [(slice(0, 1024, None), 0), (slice(1024, 2048, None), 0), (slice(1476, 2500, None), 572)]
    """
    size = min(n, ROWS)
    for done in range(0, n, size):
        start = min(done, n - size)
        yield slice(start, start + size), done - start
