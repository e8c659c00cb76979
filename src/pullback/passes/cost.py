"""What computing a node costs, in about the nanoseconds of one core."""

from __future__ import annotations

import math

from pullback.core.graph import Graph, Node, remembered
from pullback.core.memory import is_view, nbytes

_CALL = 500.0
_PER_BYTE = 0.1
_PER_BYTE_GENERAL = 2.0  # factorisations, loops, functions of the user's
_PER_FLOP = 0.05
_PER_TRANSCENDENTAL = 8.0
_ARITHMETIC = {"add", "subtract", "multiply", "divide", "negative", "positive", "square"}
_ARITHMETIC |= {"absolute", "maximum", "minimum", "reciprocal", "sqrt", "sign"}
COMPILE_SECONDS = 0.4
"""What NumPy does in this time, by an estimate on the high side, is not compiled."""

_REDUCTIONS = {"sum", "max", "min", "prod", "cumsum"}


def _products_of_conv(node: Node) -> int:
    """Return how many products a convolution takes: for each result those with its weight."""
    assert node.op is not None
    w, y = {
        "conv": (node.inputs[1], node),
        "conv_input": (node.inputs[1], node.inputs[0]),
        "conv_kernel": (node, node.inputs[1]),
    }[node.op.name]
    return math.prod(y.shape[:-1]) * math.prod(w.shape)


def flops(node: Node) -> int | None:
    """Return the floating-point operations of computing `node`; None where that is not known.

    An elementary function of an entry counts as one.
    """
    op = node.op
    if op is None or is_view(node):
        return 0
    if op.name == "matmul":
        return 2 * math.prod(node.shape) * node.inputs[0].shape[-1]
    if op.name in ("conv", "conv_input", "conv_kernel"):
        return 2 * _products_of_conv(node)
    if op.kind == "elementwise":
        return math.prod(node.shape)
    return math.prod(node.inputs[0].shape) if op.name in _REDUCTIONS else None


def cost(node: Node) -> float:
    """Return the estimated time of computing `node` from its inputs; views are free."""
    op = node.op
    if op is None or is_view(node):
        return 0.0
    moved = nbytes(node) + sum(map(nbytes, node.inputs))
    found = _CALL + (_PER_BYTE_GENERAL if op.kind == "general" else _PER_BYTE) * moved
    if op.name in ("matmul", "conv", "conv_input", "conv_kernel"):
        found += _PER_FLOP * (flops(node) or 0)
    elif op.kind == "elementwise" and op.name not in _ARITHMETIC:
        found += _PER_TRANSCENDENTAL * math.prod(node.shape)
    return found


def worth_compiling(graph: Graph, times: float) -> bool:
    """Return whether NumPy would be busy for long with `graph`, which is to run so many times.

    An estimate decides, not a clock: the same training is to run the same way each time.
    """
    return 1e-9 * _nanoseconds((graph,)) * times > COMPILE_SECONDS


@remembered
def _nanoseconds(graphs: tuple[Graph, ...]) -> float:
    return sum(cost(node) for graph in graphs for node in graph.nodes)
