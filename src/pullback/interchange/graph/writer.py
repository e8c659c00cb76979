"""A graph as JSON and named constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.errors import FormatError
from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.core.tracer import Tracer
from pullback.interchange.graph.reader import LONGEST_NAME, checked_aval
from pullback.interchange.graph.structures import encode_structure
from pullback.interchange.graph.values import decode, encode, encode_aval


class Writer:
    """The graphs of one file, each after those inside it, and the constants of all."""

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self.graphs: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._classes = classes
        self._numbers: dict[Graph, int] = {}
        self._originals: list[Graph] = []
        self._names: dict[int, str] = {}

    def add(self, graph: Graph) -> int:
        """Add `graph`, once, and return its number. Raises FormatError naming the node at fault."""
        if graph not in self._numbers:
            place = {node: i for i, node in enumerate(graph.nodes)}
            content = {
                "name": graph.name if graph.name.isidentifier() else "graph",
                "arguments": len(graph.arguments),
                "nodes": [self._node(node, place) for node in graph.nodes],
                "results": [place[node] for node in graph.results],
                "in_tree": encode_structure(graph.in_tree, self._classes),
                "out_tree": encode_structure(graph.out_tree, self._classes),
            }
            self._numbers[graph] = len(self.graphs)
            self._originals.append(graph)
            self.graphs.append(content)
        return self._numbers[graph]

    def _node(self, node: Node, place: Mapping[Node, int]) -> Any:
        try:
            content = {"type": encode_aval(node.aval), **self._what(node, place)}
        except FormatError as error:
            raise FormatError(f"node {node.name or place[node]!r}: {error}") from None
        return {"name": node.name[:LONGEST_NAME], **content} if node.name else content

    def _what(self, node: Node, place: Mapping[Node, int]) -> dict[str, Any]:
        if node.op is None:
            return {} if node.value is None else self._constant(node.value)
        if OPS.get(node.op.name) is not node.op:
            raise FormatError(
                f"{node.op.name!r} holds Python functions of your own, which have no place in a "
                "file: save the part of the graph before or after it, or write it in NumPy"
            )
        avals, given = [i.aval for i in node.inputs], node.params
        if node.op.name == "solve_ivp":
            given = {"problem": _with_graph(given["problem"], avals)}
        params = {key: encode(value, self.add) for key, value in given.items()}
        read = {key: decode(value, self._originals) for key, value in params.items()}
        checked_aval(node.op, avals, read)
        return {"op": node.op.name, "inputs": [place[i] for i in node.inputs], "params": params}

    def _constant(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Tracer):
            raise FormatError("it is a traced value from outside; pass it as an argument")
        if not isinstance(value, np.ndarray | np.generic):
            return {"number": encode(value, self.add)}
        name = self._names.setdefault(id(value), f"constant{len(self.constants)}")
        array = np.asarray(value)
        columns = array.flags.f_contiguous and not array.flags.c_contiguous
        self.constants[name] = array.T if columns else array
        marks = {"scalar": isinstance(value, np.generic), "columns": columns}
        return {"constant": name, **{mark: True for mark, holds in marks.items() if holds}}


def _with_graph(problem: Any, avals: Sequence[Any]) -> Any:
    """Return a differential equation whose right side is a graph, if it can be traced."""
    from pullback.scipy.integrate.adjoint import as_graph

    y0, _, *parameters = avals
    return problem.of(as_graph(problem.field, y0.size, parameters))
