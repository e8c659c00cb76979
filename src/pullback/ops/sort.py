"""Sorting: a permutation of the elements, so its transpose is the permutation back."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.ops.axes import one_axis
from pullback.ops.families import general

argsort_op = general(
    "argsort",
    lambda x, axis, kind: np.argsort(x, axis=axis, kind=kind),
    vjp=None,
    jvp=None,
    infer=lambda x, axis, kind: Aval(x.shape, np.intp),
    samples=lambda rng: [((rng.normal(size=(3, 4)),), {"axis": 1, "kind": "stable"})],
)


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, **options: Any) -> Any:
    """Return the order that sorts along `axis`; piecewise constant. Ties keep their order."""
    if axis is None:
        a, axis = np.ravel(a), 0
    return argsort_op(a, axis=one_axis(axis, a.ndim), kind=kind or "stable")


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, **options: Any) -> Any:
    """Sort along `axis`; of equal elements the first keeps its place in the gradient."""
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(a, axis=axis, kind="stable"), axis=axis)


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, *args: Any, keepdims: bool = False) -> Any:
    """Return the middle value, or the mean of the two in the middle."""
    if axis is None:
        flat = np.median(np.ravel(a), axis=0)
        return np.reshape(flat, (1,) * a.ndim) if keepdims else flat
    axis = one_axis(axis, a.ndim)
    ordered = np.sort(a, axis=axis)
    n = a.shape[axis]
    low = np.take(ordered, [(n - 1) // 2], axis=axis)
    high = np.take(ordered, [n // 2], axis=axis)
    middle = (low + high) / 2
    return middle if keepdims else np.squeeze(middle, axis=axis)
