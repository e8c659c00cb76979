"""Equal operations on equal values as one node, so that a value has one name in a derivation."""

from __future__ import annotations

from typing import Any

from pullback.core.graph import Graph, Node


def shared(graph: Graph) -> tuple[Graph, dict[Node, Node]]:
    """Return a graph where equal nodes are one, and what became of each node of `graph`."""
    known: dict[Any, Node] = {}
    became: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = tuple(became[i] for i in node.inputs)
        new = Node(node.aval, node.op, inputs, node.params, node.value, node.name)
        became[node] = new
        if node.op is not None:
            try:
                key = (node.op, inputs, tuple(sorted(node.params.items())))
                became[node] = known.setdefault(key, new)
            except TypeError:  # a parameter that is not hashable
                continue
    arguments, results = ([became[n] for n in ns] for ns in (graph.arguments, graph.results))
    return Graph(arguments, results, graph.in_tree, graph.out_tree, graph.name), became
