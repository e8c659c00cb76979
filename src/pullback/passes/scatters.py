"""Sums of parts: what adds up zeros with a part at x[0], zeros with a part at x[1], ... is joined.

The gradient of each x[k] is an array of zeros but for one part, and their sum over n steps of a
loop takes n times the size of x. The parts of one place are added by themselves, and then laid end
to end, so that all takes the size of x once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

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


def join_parts(graph: Graph, fewest: int = 2) -> Graph:
    """Return a graph that adds up parts of an array, not arrays that are zero but for a part.

    If there are less than `fewest` parts, it stays as it is.

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
    if sum(_is_part(node) for node in graph.nodes) < fewest:
        return graph
    return _Joining(graph).graph()


class _Joining:
    """Makes the new graph; sums of parts are made only where something else needs them.

    What depends on no part stays the node that it is.
    """

    def __init__(self, graph: Graph) -> None:
        self._old = graph
        self._nodes: list[Node] = []
        self._new: dict[Node, Node] = {}
        self._sums: dict[Node, _Parts] = {}
        self._uses = _uses(graph)

    def graph(self) -> Graph:
        """Return the graph."""
        old = self._old
        for node in old.nodes:
            if node not in self._uses:
                self._nodes.append(node)
            elif _is_part(node):
                part = self._value(node.inputs[0])
                self._sums[node] = _Parts(node.aval, {node.params["index"]: part})
            elif self._adds_parts(node):
                self._sums[node] = self._added(*node.inputs)
            else:
                inputs = tuple([self._value(i) for i in node.inputs])
                self._new[node] = self._add(Node(node.aval, node.op, inputs, node.params))
        results = [self._value(node) for node in old.results]
        return Graph(old.arguments, results, old.in_tree, old.out_tree, old.name, self._nodes)

    def _add(self, node: Node) -> Node:
        self._nodes.append(node)
        return node

    def _make(self, name: str, *inputs: Node, **params: Any) -> Node:
        return self._add(make(name, *inputs, **params))

    def _adds_parts(self, node: Node) -> bool:
        assert node.op is not None
        return (
            node.op.name == "add"
            and any(i in self._sums and self._uses[i] == 1 for i in node.inputs)
            and all(i.aval == node.aval for i in node.inputs)
        )

    def _added(self, left: Node, right: Node) -> _Parts:
        total, more = self._taken(left), self._taken(right)
        for index, part in more.at.items():
            known = total.at.get(index)
            total.at[index] = part if known is None else self._make("add", known, part)
        if more.rest is not None:
            rest = total.rest
            total.rest = more.rest if rest is None else self._make("add", rest, more.rest)
        return total

    def _taken(self, node: Node) -> _Parts:
        """Return `node` as a sum that may be changed."""
        if node in self._sums and self._uses[node] == 1:
            return self._sums[node]
        return _Parts(node.aval, rest=self._value(node))

    def _value(self, node: Node) -> Node:
        if node not in self._uses:
            return node
        if node not in self._new:
            self._new[node] = self._whole(self._sums[node])
        return self._new[node]

    def _whole(self, parts: _Parts) -> Node:
        """Return a sum as one array."""
        found = self._end_to_end(parts) if len(parts.at) > 1 else None
        terms = [found] if found is not None else []
        if found is None:
            terms = [
                self._make("scatter_add", x, shape=parts.aval.shape, index=index)
                for index, x in parts.at.items()
            ]
        if parts.rest is not None:
            terms.insert(0, parts.rest)
        total = terms[0]
        for term in terms[1:]:
            total = self._make("add", total, term)
        return total

    def _end_to_end(self, parts: _Parts) -> Node | None:
        """Return the parts joined along the one axis on which they differ; None if they overlap."""
        shape, dtype = parts.aval.shape, parts.aval.dtype
        stretches = [(_stretch(index, shape), part) for index, part in parts.at.items()]
        found = sorted((s, k) for k, (s, _) in enumerate(stretches) if s is not None)
        axis = found[0][0][0] if found else 0
        if len(found) < len(stretches) or found[-1][0][0] != axis:
            return None

        def zeros(start: int, end: int) -> list[Node]:
            value = np.zeros((*shape[:axis], end - start, *shape[axis + 1 :]), dtype)
            return [self._add(Node(aval_of(value), value=value))] if end > start else []

        pieces: list[Node] = []
        done = 0
        for (_, start, end), k in found:
            part, wanted = stretches[k][1], (*shape[:axis], end - start, *shape[axis + 1 :])
            if start < done or part.aval.size != math.prod(wanted):
                return None
            pieces += zeros(done, start)
            fits = part.shape == wanted
            pieces.append(part if fits else self._make("reshape", part, shape=wanted))
            done = end
        pieces += zeros(done, shape[axis])
        return self._make("concatenate", *pieces, axis=axis) if len(pieces) > 1 else pieces[0]


def _uses(graph: Graph) -> dict[Node, int]:
    """Return how often each part, and whatever depends on one, is used."""
    found: dict[Node, int] = {}
    changing = found.keys()
    for node in graph.nodes:
        depends = not changing.isdisjoint(node.inputs)
        if depends:
            for i in node.inputs:
                if i in found:
                    found[i] += 1
        if depends or _is_part(node):
            found[node] = 0
    for node in graph.results:
        if node in found:
            found[node] += 1
    return found


def _is_part(node: Node) -> bool:
    return node.op is not None and node.op.name == "scatter_add" and len(node.inputs) == 1


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
