"""Products of many matrices with one, and sums of many products, as one product.

Rows of x @ w do not depend on each other: a stack of matrices x is one matrix of all its rows. The
slope of w is the sum of x.T @ y over the stack, which is one product of all rows of x with all rows
of y. One large product is what machine code is quick at.
"""

from __future__ import annotations

import math

from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.passes.rows import make

Views = dict[tuple[Node, tuple[int, ...]], Node]
"""Transposes that there are, by what is transposed and its axes."""


def flat_products(graph: Graph) -> Graph:
    """Return a graph whose products of stacks with one matrix are products of two matrices.

    >>> import numpy as np, pullback as pb
    >>> slope = pb.grad(lambda w, x: np.sum(np.sin(x @ w)))
    >>> graph = pb.trace(slope, np.ones((3, 2)), np.ones((5, 4, 3)))
    >>> [node.shape for node in flat_products(graph).nodes if node.op is OPS["matmul"]]
    [(20, 2), (3, 2)]
    """
    new: dict[Node, Node] = {}
    views: Views = {}
    for node in graph.nodes:
        if node.op is None:
            new[node] = node
            continue
        inputs = tuple([new[i] for i in node.inputs])
        found = _rows_of_one(node, inputs) or _sum_of_many(graph, node, inputs, views)
        new[node] = found or Node(node.aval, node.op, inputs, node.params)
        if node.op is OPS["transpose"]:
            views[inputs[0], node.params["axes"]] = new[node]
    return Graph(
        [new[node] for node in graph.arguments], [new[node] for node in graph.results],
        graph.in_tree, graph.out_tree, graph.name,
    )  # fmt: skip


def _rows_of_one(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """Return x @ w for a stack x and one matrix w, by one product; None for all else."""
    if node.op is not OPS["matmul"]:
        return None
    x, w = inputs
    if x.aval.ndim < 3 or w.aval.ndim != 2 or _swaps(x):
        return None
    return make("reshape", make("matmul", _all_rows(x), w), shape=node.shape)


def _sum_of_many(graph: Graph, node: Node, inputs: tuple[Node, ...], views: Views) -> Node | None:
    """Return the sum of x.T @ y over stacks x and y, by one product; None for all else."""
    if node.op is not OPS["sum"] or inputs[0].op is not OPS["matmul"]:
        return None
    (products,) = node.inputs
    if node.dtype != products.dtype:  # sums of small integers are wider
        return None
    if graph.consumers(products) != (node,) or products in graph.results:  # made in any case
        return None
    turned, y = inputs[0].inputs
    n = y.aval.ndim
    if node.params["axis"] != tuple(range(n - 2)) or turned.shape[:-2] != y.shape[:-2]:
        return None
    if not _swaps(turned):
        return None
    whole, axes = turned.inputs[0], turned.params["axes"]
    axes = (*axes[:-2], axes[-1], axes[-2])
    x = whole if axes == tuple(range(n)) else views.get((whole, axes))
    if x is None:
        return None
    total = make("matmul", make("transpose", _all_rows(x), axes=(1, 0)), _all_rows(y))
    return total if total.shape == node.shape else make("reshape", total, shape=node.shape)


def _all_rows(x: Node) -> Node:
    return make("reshape", x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def _swaps(x: Node) -> bool:
    """Whether the last two axes of `x` are some others, exchanged."""
    return x.op is OPS["transpose"] and x.params["axes"][-2] > x.params["axes"][-1]
