"""Patterns of Jacobians and Hessians: which elements may be other than zero, for any input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from pullback.core.graph import Graph, Node
from pullback.transform.sparse.dependence import constant, identity, known
from pullback.transform.sparse.inputs import Call
from pullback.transform.sparse.rules import result_of


def jacobian_pattern(
    function: Callable[..., Any], *args: Any, argnums: int | Sequence[int] = 0
) -> Any:
    """Return the pattern of the Jacobian of `function`, a boolean `scipy.sparse.csr_array`.

    Rows are the elements of the result, columns those of the arguments at `argnums`, flattened and
    joined in order. The pattern holds for all values of floating arguments; only their shapes and
    dtypes count. Integers and booleans count by value, as what the function closes over does.
    The function is traced once, and sets of inputs go through the graph (Griewank and Walther,
    Evaluating Derivatives, 2nd ed., section 7.1); zeros of constants are followed, too.
    Raises TracerError where the function branches on a traced value in Python.

    >>> import numpy as np, pullback as pb
    >>> pb.jacobian_pattern(lambda x: x[1:] * x[:-1], np.ones(4)).astype(int).toarray()
    array([[1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1]])
    """
    call = Call(function, argnums, args)
    return graph_pattern(call.graph(), len(call.moving))


def hessian_pattern(
    function: Callable[..., Any], *args: Any, argnums: int | Sequence[int] = 0
) -> Any:
    """Return the pattern of the Hessian of a scalar function, a boolean `scipy.sparse.csr_array`.

    It is the pattern of the gradient's Jacobian, made symmetric; see `jacobian_pattern`.

    >>> import numpy as np, pullback as pb
    >>> pb.hessian_pattern(lambda x: (x[1:] * x[:-1]).sum(), np.ones(3)).astype(int).toarray()
    array([[0, 1, 0],
           [1, 0, 1],
           [0, 1, 0]])
    """
    call = Call(function, argnums, args)
    return gradient_pattern(call.gradient(), len(call.moving))


def gradient_pattern(gradient: Graph, moving: int) -> Any:
    """Return the symmetric pattern of the Jacobian of a gradient's graph."""
    pattern = graph_pattern(gradient, moving)
    symmetric = pattern + pattern.T
    symmetric.sort_indices()
    return symmetric


def graph_pattern(graph: Graph, moving: int) -> Any:
    """Return the pattern of the Jacobian of `graph` by its first `moving` arguments."""
    sizes = [node.aval.size for node in graph.arguments[:moving]]
    inputs = sum(sizes)
    starts = np.cumsum([0, *sizes])
    dependences: dict[Node, Any] = {}
    for k, node in enumerate(graph.arguments):
        dependences[node] = (
            identity(node.shape, int(starts[k]), inputs)
            if k < moving
            else constant(node.shape, inputs)
        )
    values: dict[Node, Any] = {}
    for node in graph.nodes:
        if node.is_constant:
            values[node] = node.value
        elif node.op is not None and all(i in values for i in node.inputs):
            with np.errstate(all="ignore"):
                values[node] = node.op.forward(*[values[i] for i in node.inputs], **node.params)
        elif node.op is not None:
            dependences[node] = _dependence(node, dependences, values, inputs)
    rows = [_of(node, dependences, values, inputs).rows() for node in graph.results]
    pattern = vstack(rows, format="csr") if rows else csr_array((0, inputs), dtype=bool)
    pattern.sort_indices()
    return pattern


def _of(node: Node, dependences: dict[Node, Any], values: dict[Node, Any], inputs: int) -> Any:
    return dependences[node] if node in dependences else known(values[node], inputs)


def _dependence(
    node: Node, dependences: dict[Node, Any], values: dict[Node, Any], inputs: int
) -> Any:
    assert node.op is not None
    if node.op.name == "item":
        return dependences[node.inputs[0]][node.params["index"]]
    parts = [_of(i, dependences, values, inputs) for i in node.inputs]
    return result_of(node.op, parts, [values.get(i) for i in node.inputs], node.params, node.aval)
