"""The product of the chain rule, cotangent times slope, in which a zero cotangent annihilates.

What a mask leaves out has cotangent 0, also where its slope is infinite or NaN: in the derivative
of `np.where(x < 1, x, np.sqrt(x - 1))` the branch not taken counts for nothing. The converse does
not hold: an infinite cotangent times the slope 0 is NaN, for there the limit is truly open.
"""

from __future__ import annotations

import cmath
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from pullback.core.tracer import Trace, Tracer

if TYPE_CHECKING:
    from pullback.core.graph import Node

_DENSE = frozenset({"sum", "broadcast_to", "reshape", "transpose", "astype"})
"""Operations, besides the elementwise and bilinear ones, whose rules put no zeros in."""

_known: WeakKeyDictionary[Trace, dict[Node, bool]] = WeakKeyDictionary()


def is_finite(x: Any) -> bool:
    """Whether a number, or every entry of an array, is; very large ones may be taken for not."""
    # the sum of squares is finite only if every entry is, and costs less than looking at each;
    # unlike dot, vdot does not warn of an overflow
    return cmath.isfinite(np.vdot(x, x) if x.__class__ is np.ndarray else x)


def annihilating(cotangent: Any, slope: Any) -> Any:
    """Return `cotangent * slope`, and 0 where the cotangent is 0; for NumPy's own arrays."""
    if is_finite(slope):
        return cotangent * slope
    dtype = np.result_type(cotangent, slope)  # a Python number does not widen the product
    return cotangent * np.where(np.equal(cotangent, 0), 0, slope).astype(dtype)


def needs_no_care(cotangent: Any, bounded: bool) -> bool:
    """Whether no entry of a traced cotangent can be a zero that meets an infinite or NaN slope.

    Known only while a graph is traced: the cotangent has no zeros, or the slope is `bounded` (it
    is NaN or infinite only with its inputs) and nothing before it masks.
    """
    context = None
    while isinstance(cotangent, Tracer):
        context, cotangent = cotangent.context, cotangent.value
    if isinstance(cotangent, (np.ndarray, np.generic, int, float, complex)):
        return context is None and bool(np.all(cotangent))
    return _never_zero(cotangent) or (bounded and not _masked(cotangent, context))


def _never_zero(node: Node) -> bool:
    while node.op is not None and node.op.name in {"broadcast_to", "reshape", "negative"}:
        node = node.inputs[0]
    return node.is_constant and bool(np.all(node.value))


def _masked(node: Node, context: Any) -> bool:
    """Whether `node` depends on an operation that sets entries to zero, or compares."""
    known = _known.setdefault(context, {})
    pending = [node]
    while pending:
        last = pending[-1]
        missing = [i for i in last.inputs if i not in known]
        if missing:
            pending.extend(missing)
        else:
            known[pending.pop()] = _masks(last) or any(known[i] for i in last.inputs)
    return bool(known[node])


def _masks(node: Node) -> bool:
    op = node.op
    if op is None:
        return False
    if op.kind in ("elementwise", "bilinear"):
        return bool(node.aval.dtype == np.bool_)
    return op.name not in _DENSE
