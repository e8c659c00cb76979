"""What the compiler makes of a node: an expression, a reduction, something that needs memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval, DType, result_type
from pullback.core.graph import Node
from pullback.native import complexes, library, places
from pullback.native.loops import Combine
from pullback.native.narrow import SINGLE, is_narrow
from pullback.native.scalar import CHEAP, COMPARISONS, SCALARS, takes

REDUCTIONS: dict[str, Combine] = {
    "sum": "sum", "prod": "prod", "max": "max", "min": "min", "all": "all", "any": "any",
}  # fmt: skip

TOGETHER = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}
"""The operation that combines two elements of a reduction."""

MOST_TURNS = 4
"""Loops of so few turns are written out: what lies last in memory may be coordinates or colours,
and three elements fill no vector."""


def terms(node: Node) -> int:
    """Return how many elements of each input make an element of `node`."""
    return node.inputs[0].aval.size // max(node.aval.size, 1) if is_short(node) else 1


def is_short(node: Node) -> bool:
    """Whether `node` reduces so few elements to one that it is an expression."""
    return (
        is_reduction(node)
        and node.op is not None
        and node.op.name in TOGETHER
        and node.dtype.kind in "fiu"
        and not is_narrow(node.dtype)
        and 0 < node.inputs[0].aval.size <= MOST_TURNS * node.aval.size
    )


def own_cost(node: Node) -> int:
    """Return what computing an element again costs, beside its inputs; views cost nothing."""
    assert node.op is not None
    if node.op.name in CHEAP:
        return 1
    if is_short(node):
        return terms(node) - 1
    return 8 * (node.op.name in SCALARS or places.needs_memory(node))


def is_expression(node: Node) -> bool:
    """Whether readers may take in `node` as an expression, with no memory of its own."""
    if places.is_row(node):
        return library.knows(node.dtype)
    if node.op is None or not is_native(node):
        return False
    name = node.op.name
    if is_short(node):
        return True
    if complexes.concerns(node) and name not in places.VIEWS and name != "getitem":
        return name in complexes.PARTS
    if name in SCALARS:
        return takes(name, working_dtype(node)) and not _rounds(node)
    return name in places.VIEWS or name == "getitem"


def is_reduction(node: Node) -> bool:
    """Whether a loop combines the elements of the input of `node`."""
    if node.op is None or node.op.name not in REDUCTIONS or not is_native(node):
        return False
    return node.op.name == "sum" or node.inputs[0].dtype.kind != "c"


def is_native(node: Node) -> bool:
    avals = [node.aval, *[i.aval for i in node.inputs]]
    literals = [np.asarray(i.value) for i in node.inputs if i.is_constant and i.aval.weak]
    return (
        all(isinstance(a, Aval) and library.knows(a.dtype) for a in avals)
        # others are Python's, too large for NumPy's
        and all(library.knows(x.dtype) for x in literals)
        and places.is_native(node)
    )


def working_dtype(node: Node) -> Any:
    """Return the dtype that an element-by-element operation computes in."""
    assert node.op is not None
    if node.op.name in ("astype", "discrete_astype"):
        return node.inputs[0].dtype
    if node.op.name in COMPARISONS:
        avals = [i.aval for i in node.inputs]
        if all(a.dtype.kind in "biu" for a in avals):
            return np.result_type(*[a.dtype for a in avals])  # a Python number may be out of range
        return _wide(result_type(*avals))
    return _wide(node.dtype)


def _wide(dtype: DType) -> DType:
    """Return the dtype to compute in for results of `dtype`."""
    return SINGLE if is_narrow(dtype) else dtype


def _rounds(node: Node) -> bool:
    """Whether the working dtype cannot hold the integers compared: uint64 with signed ones."""
    return (
        node.dtype.kind == "b"
        and working_dtype(node).kind == "f"
        and all(i.dtype.kind in "biu" for i in node.inputs)
    )
