"""Choosing what gets memory; readers take in all else as an expression."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from pullback.core.aval import Aval
from pullback.core.graph import Graph, Node
from pullback.native import control, fourier, library, linalg, places, products
from pullback.native.kinds import (
    REDUCTIONS,
    is_expression,
    is_native,
    is_reduction,
    own_cost,
    terms,
)

INLINE_COST = 3
"""How much arithmetic may be done again, rather than stored and read."""

MOST_DEPTH = 64
"""How many operations may stand inside each other; a chain that is longer is stored in between."""

MOST_LOADS = 16
"""How many arrays an expression may read; with more they would all have to live until then."""


def choose_stored(graph: Graph) -> set[Node]:
    """Choose the nodes that get memory, from the results to the arguments' readers."""
    uses: dict[Node, int] = {}
    for node in graph.nodes:
        for i in node.inputs:
            uses[i] = uses.get(i, 0) + 1
    stored = set(graph.results)
    cost: dict[Node, int] = {}
    depth: dict[Node, int] = {}
    loads: dict[Node, int] = {}
    for node in graph.nodes:
        if node.op is None or only_names(node):
            cost[node] = depth[node] = 0
            loads[node] = not node.is_constant
            continue
        if node.op.name == "recompute":
            stored.add(_seen(node))  # which is kept for it
            cost[node], depth[node], loads[node] = 0, 0, 1
            continue
        if not is_expression(node):
            stored.add(node)
            stored.update(map(_lying_alike, _sources(node, stored)))
        elif places.needs_memory(node):
            stored.add(_lying_alike(node.inputs[0]))
        inside = [i for i in node.inputs if i not in stored]
        depth[node] = 1 + max((depth[i] for i in inside), default=0)
        loads[node] = sum(loads[i] if i in inside else 1 for i in node.inputs)
        if depth[node] > MOST_DEPTH or loads[node] > MOST_LOADS:
            stored.add(node)
        cost[node] = terms(node) * sum(cost[i] for i in inside) + own_cost(node)
        repeated = uses.get(node, 0) > 1 or _is_stretched(graph, node)
        if repeated and cost[node] > INLINE_COST:
            stored.add(_lying_alike(node))
            cost[node] = depth[node] = 0
    return stored


def only_names(node: Node) -> bool:
    """Whether nothing is computed: `node` names one of several values, or the rows of an array."""
    assert node.op is not None
    return node.op.name == "unstack" or (node.op.name == "item" and not places.is_row(node))


def by_library(node: Node) -> Callable[[Any, Node, Any], None] | None:
    """Return what lowers `node` to calls of a library's loops, if there are any for it."""
    return linalg.lowering_of(node) or fourier.lowering_of(node) or library.lowering_of(node)


def _sources(node: Node, stored: Collection[Node]) -> Iterable[Node]:
    """Return the inputs that must lie in memory for `node`, no expression, to be computed."""
    assert node.op is not None
    if node.op.name in REDUCTIONS and is_reduction(node):
        return ()
    if is_native(node) and products.is_native(node):
        return products.sources(node)
    if node.op.name == "scan":
        return control.sources(node, stored)
    return () if by_library(node) else node.inputs


def _is_stretched(graph: Graph, node: Node) -> bool:
    """Whether some reader needs each element of `node` many times."""
    if isinstance(node.aval, tuple):
        return False
    for reader in graph.consumers(node):
        aval = reader.aval
        if isinstance(aval, Aval) and aval.size > node.aval.size and is_expression(reader):
            return True
    return False


def _lying_alike(node: Node) -> Node:
    """Return what `node` shows with its elements as they lie in memory."""
    while shows_as_it_lies(node):
        node = node.inputs[0]
    return node


def shows_as_it_lies(node: Node) -> bool:
    """Whether `node` is a reshape of its input, or a mark of what is computed again."""
    return node.op is not None and node.op.name in ("reshape", "recompute")


def _seen(node: Node) -> Node:
    """Return what `node` is a view of."""
    while node.op is not None and (
        node.op.name in places.VIEWS or (node.op.name == "getitem" and len(node.inputs) == 1)
    ):
        node = node.inputs[0]
    return node
