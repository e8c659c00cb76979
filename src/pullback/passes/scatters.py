"""Sums of parts: what adds up zeros with a part at x[0], zeros with a part at x[1], ... is joined.

The gradient of each x[k] is an array of zeros but for one part, and their sum over n steps of a
loop takes n times the size of x. The parts of one place are added by themselves, and then laid end
to end, so that all takes the size of x once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pullback.core.aval import Aval, aval_of
from pullback.core.graph import Graph, Node
from pullback.ops.index import Template
from pullback.passes.rows import make, spelled_out


@dataclass
class _Parts:
    """A sum: the part at each place, in the order they came, and what is no such part."""

    aval: Aval
    at: dict[Template, Node] = field(default_factory=dict)
    rest: Node | None = None


def join_parts(graph: Graph) -> Graph:
    """Return a graph that adds up parts of an array, not arrays that are zero but for a part.

    >>> import numpy as np, pullback as pb
    >>> product = pb.trace(lambda x: x[1] * x[0] * x[1], pb.Aval((2,), "f8"))
    >>> print(join_parts(pb.simplify(pb.grad(product))))
    grad_graph(x: f64[2]):
      a = getitem(x, index=[1])      # f64[]
      b = getitem(x, index=[0])      # f64[]
      c = a * b                      # f64[]
      d = a * b                      # f64[]
      e = c + d                      # f64[]
      f = a * a                      # f64[]
      g = reshape(f, shape=(1,))     # f64[1]
      h = reshape(e, shape=(1,))     # f64[1]
      i = concatenate(g, h, axis=0)  # f64[2]
      return i
    """
    if sum(_is_part(node) for node in graph.nodes) < 2:
        return graph
    return _Joining(graph).graph()


class _Joining:
    """Makes the new graph; sums of parts are made only where something else needs them."""

    def __init__(self, graph: Graph) -> None:
        self._old = graph
        self._new = {node: Node(node.aval, name=node.name) for node in graph.arguments}
        self._sums: dict[Node, _Parts] = {}
        self._uses: dict[Node, int] = {}
        for group in (graph.results, *[node.inputs for node in graph.nodes]):
            for i in group:
                self._uses[i] = self._uses.get(i, 0) + 1

    def graph(self) -> Graph:
        """Return the graph."""
        old = self._old
        for node in old.nodes:
            if node.op is None:
                self._new.setdefault(node, Node(node.aval, value=node.value))
            elif _is_part(node):
                part = self._value(node.inputs[0])
                self._sums[node] = _Parts(node.aval, {node.params["index"]: part})
            elif self._adds_parts(node):
                self._sums[node] = self._added(*node.inputs)
            else:
                inputs = tuple([self._value(i) for i in node.inputs])
                self._new[node] = Node(node.aval, node.op, inputs, node.params)
        return Graph(
            [self._new[node] for node in old.arguments],
            [self._value(node) for node in old.results],
            old.in_tree,
            old.out_tree,
            old.name,
        )

    def _adds_parts(self, node: Node) -> bool:
        assert node.op is not None
        return (
            node.op.name == "add"
            and any(self._uses[i] == 1 and i in self._sums for i in node.inputs)
            and all(i.aval == node.aval for i in node.inputs)
        )

    def _added(self, left: Node, right: Node) -> _Parts:
        total, more = self._taken(left), self._taken(right)
        for index, part in more.at.items():
            known = total.at.get(index)
            total.at[index] = part if known is None else make("add", known, part)
        if more.rest is not None:
            total.rest = more.rest if total.rest is None else make("add", total.rest, more.rest)
        return total

    def _taken(self, node: Node) -> _Parts:
        """Return `node` as a sum that may be changed."""
        if self._uses[node] == 1 and node in self._sums:
            return self._sums[node]
        return _Parts(node.aval, rest=self._value(node))

    def _value(self, node: Node) -> Node:
        if node not in self._new:
            self._new[node] = _whole(self._sums[node])
        return self._new[node]


def _is_part(node: Node) -> bool:
    return node.op is not None and node.op.name == "scatter_add" and len(node.inputs) == 1


def _whole(parts: _Parts) -> Node:
    """Return a sum as one array."""
    found = _end_to_end(parts) if len(parts.at) > 1 else None
    terms = [found] if found is not None else []
    if found is None:
        shape = parts.aval.shape
        terms = [make("scatter_add", x, shape=shape, index=index) for index, x in parts.at.items()]
    if parts.rest is not None:
        terms.insert(0, parts.rest)
    total = terms[0]
    for term in terms[1:]:
        total = make("add", total, term)
    return total


def _end_to_end(parts: _Parts) -> Node | None:
    """Return the parts joined along the one axis on which they differ; None if they overlap."""
    shape, dtype = parts.aval.shape, parts.aval.dtype
    stretches = [(_stretch(index, shape), part) for index, part in parts.at.items()]
    found = sorted((s, k) for k, (s, _) in enumerate(stretches) if s is not None)
    axis = found[0][0][0] if found else 0
    if len(found) < len(stretches) or found[-1][0][0] != axis:
        return None

    def zeros(start: int, end: int) -> list[Node]:
        value = np.zeros((*shape[:axis], end - start, *shape[axis + 1 :]), dtype)
        return [Node(aval_of(value), value=value)] if end > start else []

    pieces: list[Node] = []
    done = 0
    for (_, start, end), k in found:
        part, wanted = stretches[k][1], (*shape[:axis], end - start, *shape[axis + 1 :])
        if start < done or part.aval.size != math.prod(wanted):
            return None
        pieces += zeros(done, start)
        pieces.append(part if part.shape == wanted else make("reshape", part, shape=wanted))
        done = end
    pieces += zeros(done, shape[axis])
    return make("concatenate", *pieces, axis=axis) if len(pieces) > 1 else pieces[0]


def _stretch(index: Template, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return the one axis on which `index` is not everything, where it starts and where it ends."""
    parts = spelled_out(index.parts, len(shape))
    narrow = [k for k, part in enumerate(parts) if part != slice(None)]
    if None in parts or len(narrow) != 1:
        return None
    part, length = parts[narrow[0]], shape[narrow[0]]
    if not isinstance(part, slice):
        return narrow[0], part % length, part % length + 1
    start, end, step = part.indices(length)
    return (narrow[0], start, end) if step == 1 and start < end else None
