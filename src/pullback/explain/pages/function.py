"""The page of one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval
from pullback.core.graph import Graph
from pullback.core.tracing import trace
from pullback.explain.pages.graph import graph_data
from pullback.explain.pages.page import Page
from pullback.nn.calls import recorded_calls
from pullback.transform.table import backward


def page(function: Callable[..., Any], *args: Any, title: str | None = None) -> Page:
    """Return an interactive page with the graph of `function` at `args`.

    It shows the forward values, and the gradients that flow back over each edge, which are those
    of the sum of the results. `args` are pytrees of arrays; with `pb.Aval`s instead the page shows
    the graph without numbers. A `Graph` will do for the function.
    Raises DTypeError for arguments that are no numbers, TracerError where the function cannot be
    traced.

    >>> found = page(lambda w, x: np.tanh(x @ w), np.ones(3), np.ones((4, 3)))
    >>> [node["label"] for node in found.content["graph"]["nodes"]]
    ['w', 'x', '@', 'tanh']
    """
    name = function.name if isinstance(function, Graph) else getattr(function, "__name__", "graph")
    data = traced_data(function, *args)
    return Page(title or ("a function" if name == "<lambda>" else name), {"graph": data})


def traced_data(function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Return the data of the graph of `function`, with values where `args` are arrays."""
    with recorded_calls() as calls:
        graph = function if isinstance(function, Graph) else trace(function, *args)
    if any(isinstance(leaf, Aval) for leaf in pytree.leaves(args)):
        return graph_data(graph, calls)
    ones = [np.ones(node.aval.shape, node.aval.dtype) for node in graph.results]
    with np.errstate(all="ignore"):  # what is not finite is shown
        table = backward(graph, *args, cotangent=graph.out_tree.unflatten(ones))
    return graph_data(graph, calls, table)
