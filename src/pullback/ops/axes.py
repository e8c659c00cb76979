"""Axis arguments as NumPy takes them, made canonical once at the door."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.exceptions import AxisError

Axes = tuple[int, ...]


def one_axis(axis: Any, ndim: int) -> int:
    """Return `axis` counted from the first; raises AxisError where it does not exist."""
    position = operator.index(axis)
    if not -ndim <= position < ndim:
        raise AxisError(position, ndim)
    return position % ndim


def all_axes(axis: Any, ndim: int) -> Axes:
    """Return `axis`, an integer, a tuple or None for all, as sorted axes counted from the first.

    As in NumPy's reductions, a 0-d array has axis 0 (and -1), though there is nothing along it.
    """
    if axis is None or (ndim == 0 and not isinstance(axis, (tuple, list)) and axis in (0, -1)):
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(sorted(one_axis(a, ndim) for a in given))
    if len(set(found)) != len(found):
        raise ValueError(f"axis: an axis is named twice in {axis}")
    return found


def reduced_shape(shape: tuple[int, ...], axes: Axes, keepdims: bool) -> tuple[int, ...]:
    """Return the shape that is left after reducing `axes`."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def restore_axes(x: Any, shape: tuple[int, ...], axes: Axes, keepdims: bool) -> Any:
    """Give the reduction `x` of an array of `shape` its reduced axes back, as length 1."""
    return x if keepdims else np.reshape(x, reduced_shape(shape, axes, True))


def flag(keepdims: Any) -> bool:
    """Return NumPy's keepdims argument, which may be a marker for "not given"."""
    return keepdims is True or (keepdims is not np._NoValue and bool(keepdims))
