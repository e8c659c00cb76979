"""Sorting and order statistics: a permutation of the elements, and its transpose back."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.ops.axes import all_axes, flag, one_axis, reduced_shape
from pullback.ops.batching import along
from pullback.ops.families import general
from pullback.ops.reduce import finish

argsort_op = general(
    "argsort",
    lambda x, axis, kind: np.argsort(x, axis=axis, kind=kind),
    vjp=None,
    jvp=None,
    infer=lambda x, axis, kind: Aval(x.shape, np.intp),
    batch=along("argsort", "axis"),
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)),), {"axis": 1, "kind": "stable"}),
        ((rng.normal(size=(3, 4)),), {"axis": 0, "kind": "stable"}),
        ((np.array([2.0, 1.0, 2.0, 1.0]),), {"axis": 0, "kind": "stable"}),
        ((np.zeros((0, 2)),), {"axis": 1, "kind": "stable"}),
    ],
)


def _no_fields(order: Any) -> None:
    if order is not None:
        raise ValueError(f"order: expected None, for an array without fields, got {order!r}")


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, **options: Any) -> Any:
    """Return the order that sorts along `axis`; piecewise constant. Ties keep their order."""
    _no_fields(order)
    if axis is None or a.ndim == 0:
        a, axis = np.ravel(a), 0 if axis is None else axis
    return argsort_op(a, axis=one_axis(axis, a.ndim), kind="stable")


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, **options: Any) -> Any:
    """Sort along `axis`; of equal elements the first keeps its place in the gradient."""
    _no_fields(order)
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(a, axis=axis), axis=axis)


@implements(np.partition)
def partition(
    a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None
) -> Any:
    """Put the elements at `kth` in their sorted places; here by sorting them all."""
    _check_places(a, kth, axis)
    return np.sort(a, axis=axis, order=order)


@implements(np.argpartition)
def argpartition(
    a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None
) -> Any:
    """Return an order that puts the elements at `kth` in their sorted places."""
    _check_places(a, kth, axis)
    return np.argsort(a, axis=axis, order=order)


def _check_places(a: Any, kth: Any, axis: Any) -> None:
    n = a.size if axis is None else a.shape[one_axis(axis, a.ndim)]
    places = np.asarray(kth)
    if np.any((places < -n) | (places >= n)):
        raise ValueError(f"kth: expected places from {-n} to {n - 1}, got {kth}")


def sorted_last(a: Any, axes: tuple[int, ...]) -> Any:
    """Return `a` sorted along `axes`, which become its last one."""
    kept = [i for i in range(a.ndim) if i not in axes]
    length = 1
    for i in axes:
        length *= a.shape[i]
    rows = np.reshape(np.transpose(a, (*kept, *axes)), (*[a.shape[i] for i in kept], length))
    return np.sort(rows, axis=-1)


def _spoil(result: Any, ordered: Any) -> Any:
    """Return NaN where there are any; sorting puts them last."""
    if ordered.dtype.kind not in "fc" or ordered.shape[-1] == 0:
        return result
    return np.where(np.isnan(ordered[..., -1]), np.nan, result)


@implements(np.median)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Any:
    """Return the middle value, or the mean of the two in the middle; NaN if there is any."""
    axes = all_axes(axis, a.ndim)
    ordered = sorted_last(a, axes)
    n = ordered.shape[-1]
    middle = np.mean(ordered[..., max(n - 1, 0) // 2 : n // 2 + 1], axis=-1)
    result = _spoil(middle, ordered)
    if flag(keepdims):
        result = np.reshape(result, reduced_shape(a.shape, axes, True))
    return finish(result, out)
