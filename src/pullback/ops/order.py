"""Orders by several keys, and the places of extremes that leave NaN out."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.tracer import Tracer
from pullback.ops.axes import flag, one_axis
from pullback.ops.values import as_array


def _place_of(function: Any, last: float) -> Any:
    def place(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        missing = np.isnan(a)
        empty = np.all(missing, axis=axis)
        if not isinstance(empty, Tracer) and np.any(empty):
            raise ValueError("a: expected a number that is not NaN in every slice")
        filled = np.where(missing, last, a)
        return function(filled, axis=axis, out=out, keepdims=flag(keepdims))

    place.__doc__ = f"Return np.{function.__name__} of what is not NaN; piecewise constant."
    return place


implements(np.nanargmax)(_place_of(np.argmax, -np.inf))
implements(np.nanargmin)(_place_of(np.argmin, np.inf))


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """Return the order by the last key, ties by the one before it; piecewise constant."""
    rows = [as_array(k) for k in keys]
    if not rows:
        raise ValueError("keys: expected at least one, got none")
    axis = one_axis(axis, rows[0].ndim)
    order = np.argsort(rows[0], axis=axis, kind="stable")
    for key in rows[1:]:
        later = np.argsort(np.take_along_axis(key, order, axis), axis=axis, kind="stable")
        order = np.take_along_axis(order, later, axis)
    return order


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """Sort by real and then by imaginary parts, as complex numbers."""
    return np.sort(a if a.dtype.kind == "c" else np.astype(a, np.complex128))
