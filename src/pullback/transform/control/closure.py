"""Functions as graphs: what they capture of outer traces becomes explicit arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of, result_type
from pullback.core.batch import BatchTracer
from pullback.core.graph import Graph, Node
from pullback.core.tracer import Tracer
from pullback.core.tracing import GraphTrace, GraphTracer, argument_names


@dataclass(frozen=True)
class Closed:
    """Functions of the same arguments as graphs, whose first arguments are the `captured` values.

    The arguments of a graph are flat: the captured ones, then the leaves of the function's own.
    """

    graphs: tuple[Graph, ...]
    captured: tuple[Any, ...]


def close(functions: Sequence[Callable[..., Any]], *args: Any) -> Closed:
    """Trace `functions`, each once, for arguments of the shapes and dtypes of `args`.

    Numbers of Python's among `args` stay as they are. A tracer of an outer trace that a function
    captured (a weight it closes over) would be a constant of the graph, and its derivative lost:
    it is made an argument (closure conversion).
    """
    traced = [_trace(function, args) for function in functions]
    captured: dict[int, Any] = {}
    for _, found in traced:
        captured.update({id(node.value): node.value for node in found})
    graphs = []
    for graph, found in _agreed(traced):
        known = {id(node.value): node for node in found}
        nodes = [known.get(key) or Node(aval_of(value)) for key, value in captured.items()]
        for node in nodes:
            node.value = None  # a constant becomes an argument
        arguments = [*nodes, *graph.arguments]
        graphs.append(
            Graph(arguments, graph.results, pytree.flat(len(arguments)), graph.out_tree, graph.name)
        )
    return Closed(tuple(graphs), tuple(captured.values()))


def _trace(function: Callable[..., Any], args: Sequence[Any]) -> tuple[Graph, list[Node]]:
    leaves, in_tree = pytree.flatten(tuple(args))
    tracing = GraphTrace()
    tracers = [
        leaf if is_number(leaf) else tracing.argument(aval_of(leaf), name)
        for leaf, name in zip(leaves, argument_names(function, args), strict=True)
    ]
    arguments = [t.value for t in tracers if isinstance(t, GraphTracer)]
    out_leaves, out_tree = pytree.flatten(function(*pytree.unflatten(in_tree, tracers)))
    results = [tracing.node_of(x) for x in out_leaves]
    name = getattr(function, "__name__", "body")
    graph = Graph(
        arguments,
        results,
        pytree.flat(len(arguments)),
        out_tree,
        name if name.isidentifier() else "body",
    )
    return graph, [node for node in graph.constants if isinstance(node.value, Tracer)]


def _agreed(traced: list[tuple[Graph, list[Node]]]) -> list[tuple[Graph, list[Node]]]:
    """Give results that are numbers of Python's the dtype of their counterparts."""
    alike = len({graph.out_tree for graph, _ in traced}) == 1
    agreed = []
    for graph, found in traced:
        peers = [other for other, _ in traced] if alike else [graph]
        results = []
        for k, node in enumerate(graph.results):
            if node.aval.weak:
                dtype = result_type(*[peer.results[k].aval for peer in peers])
                value = np.asarray(node.value, dtype)
                node = Node(aval_of(value), value=value)
            results.append(node)
        agreed.append(
            (Graph(graph.arguments, results, graph.in_tree, graph.out_tree, graph.name), found)
        )
    return agreed


def is_number(leaf: Any) -> bool:
    """Whether `leaf` is a number of Python's, which takes the dtype of what it meets."""
    return aval_of(leaf).weak


def is_abstract(tree: Any) -> bool:
    """Whether some leaf of `tree` is known by shape and dtype only, under whatever traces."""
    return any(_is_made_of(leaf, _unknown) for leaf in pytree.leaves(tree))


def has_no_truth(x: Any) -> bool:
    """Whether `x` is no one number that Python could branch on: abstract, or one per example."""
    return _is_made_of(x, lambda t: _unknown(t) or (isinstance(t, BatchTracer) and bool(t.node)))


def _unknown(tracer: Tracer) -> bool:
    return isinstance(tracer, GraphTracer)


def _is_made_of(x: Any, condition: Callable[[Tracer], bool]) -> bool:
    while isinstance(x, Tracer):
        if condition(x):
            return True
        x = x.value
    return False
