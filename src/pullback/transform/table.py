"""The backward pass as a table one can read: every node's value and gradient, every edge's flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ShapeError
from pullback.core.graph import Graph, Node
from pullback.core.tape import Tape, TapeNode
from pullback.core.tape import backward as run_backward
from pullback.core.tracer import Tracer
from pullback.transform.inputs import as_array, matching_leaves


@dataclass(frozen=True, slots=True)
class GradientTable:
    """What backward found: `values` and `gradients` by node, `edges` by (consumer, position).

    A node that the result does not depend on smoothly is missing in `gradients`. The gradient of a
    node is the sum of what flows in over the edges to its consumers; `visited_edges` counts them.

    >>> import pullback as pb
    >>> table = pb.backward(pb.trace(lambda x, y: x * y, 1.0, 1.0), 2.0, 3.0)
    >>> product = table.graph.results[0]
    >>> float(table.values[product]), float(table.gradients[product])
    (6.0, 1.0)
    >>> [float(table.edges[product, position]) for position in (0, 1)]
    [3.0, 2.0]
    """

    graph: Graph
    values: Mapping[Node, Any]
    gradients: Mapping[Node, Any]
    edges: Mapping[tuple[Node, int], Any]
    visited_edges: int

    def to_dot(self) -> str:
        """Return the graph in Graphviz's language with values on nodes and gradients on edges."""
        return self.graph.to_dot(values=self.values, edges=self.edges)


def backward(graph: Graph, *args: Any, cotangent: Any = None) -> GradientTable:
    """Run `graph` forward and backward on `args`, and keep everything.

    `args` are pytrees of arrays as the graph's arguments; integer arguments take part as
    constants. `cotangent` is that of the results; it may be left out for one scalar result.
    Raises ShapeError where it is left out for another result; TreeError or ShapeError for
    arguments that are not those of the graph.

    >>> import numpy as np, pullback as pb
    >>> graph = pb.trace(lambda x, y: (x + y) * y, 1.0, 1.0)
    >>> table = pb.backward(graph, 2.0, 3.0)
    >>> [float(table.gradients[node]) for node in graph.arguments]
    [3.0, 8.0]
    >>> table.visited_edges
    4
    """
    leaves = pytree.match(graph.in_tree, args, name=f"the arguments of {graph.name}")
    graph.check(leaves)
    tape = Tape()
    inputs = []
    for node, leaf in zip(graph.arguments, leaves, strict=True):
        if node.aval.dtype.kind in "fc":
            inputs.append(tape.input(as_array(leaf, lambda node=node: f"argument {node.name!r}")))  # type: ignore[misc]
        else:
            inputs.append(leaf)
    traced = graph.evaluate(inputs)
    owners: dict[TapeNode, Node] = {}
    values: dict[Node, Any] = {}
    for node, x in traced.items():
        values[node] = x
        if isinstance(x, Tracer) and x.context is tape:
            values[node] = x.value
            if x.node is not None:
                owners.setdefault(x.node, node)
        elif isinstance(x, tuple):
            values[node] = tuple(o.value if isinstance(o, Tracer) else o for o in x)
            several = next((o.node for o in x if isinstance(o, Tracer) and o.node), None)
            if several is not None:
                owners.setdefault(several.parents[0], node)
    results = [values[node] for node in graph.results]
    if cotangent is None:
        if len(results) != 1 or np.shape(results[0]) != ():
            shapes = [aval_of(r).shape for r in results]
            raise ShapeError(
                f"backward: expected a graph with one scalar result, got the shapes {shapes}; "
                "give their cotangents with cotangent=..."
            )
        seeds = [np.ones_like(results[0])]
    else:
        seeds = matching_leaves(graph.out_tree, cotangent, results, "cotangent")
    edges: dict[tuple[Node, int], Any] = {}
    visits = 0

    def visit(node: TapeNode, position: int, contribution: Any) -> None:
        nonlocal visits
        visits += 1
        edges[owners[node], position] = contribution

    out_nodes = [getattr(traced[n], "node", None) for n in graph.results]
    table = run_backward(zip(out_nodes, seeds, strict=True), visit=visit)
    gradients = {owners[node]: ct for node, ct in table.items() if node in owners}
    for node, ct in gradients.items():
        if isinstance(ct, list):  # one for each result of an operation with several
            pairs = zip(ct, values[node], strict=True)
            gradients[node] = tuple(np.zeros_like(o) if c is None else c for c, o in pairs)
    return GradientTable(graph, values, gradients, edges, visits)
