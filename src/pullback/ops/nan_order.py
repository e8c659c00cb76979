"""Order statistics that leave NaN out, and orders by several keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError
from pullback.core.tracer import Tracer
from pullback.ops.axes import all_axes, flag, one_axis, reduced_shape
from pullback.ops.reduce import finish
from pullback.ops.sort import sorted_last
from pullback.ops.values import as_array


@implements(np.nanquantile)
def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: Any = False, *, weights: Any = None,
    interpolation: Any = None,
) -> Any:  # fmt: skip
    """Return quantiles of what is not NaN, by linear interpolation; NaN where nothing is."""
    if method != "linear" or weights is not None or interpolation is not None:
        raise NotDifferentiableError(
            "np.nanquantile: only method='linear' without weights has a derivative rule"
        )
    if isinstance(q, Tracer):
        raise NotDifferentiableError(
            "q: expected constant quantiles, got a traced array; use pb.stop_gradient on it, or "
            "float(q) where it has a concrete value"
        )
    levels = np.asarray(q, dtype=np.float64)
    if not np.all((levels >= 0) & (levels <= 1)):
        raise ValueError(f"q: expected numbers from 0 to 1 (0 to 100 for a percentile), got {q}")
    axes = all_axes(axis, a.ndim)
    ordered = sorted_last(a, axes)  # NaN come last
    present = np.sum(~np.isnan(ordered), axis=-1)[..., None]
    place = np.maximum(present - 1, 0) * np.ravel(levels)
    below, above = (np.astype(f(place), np.intp) for f in (np.floor, np.ceil))
    low, high = (np.take_along_axis(ordered, at, axis=-1) for at in (below, above))
    fraction = place - below
    if isinstance(q, (int, float)):  # an array of quantiles widens the result, as in NumPy
        fraction = np.astype(fraction, ordered.dtype)
    between = low + (high - low) * fraction
    kept = between.shape[:-1]
    between = np.moveaxis(between, -1, 0)
    shape = reduced_shape(a.shape, axes, True) if flag(keepdims) else kept
    return finish(np.reshape(between, (*levels.shape, *shape)), out)


@implements(np.nanpercentile)
def nanpercentile(a: Any, q: Any, *args: Any, **options: Any) -> Any:
    """Return percentiles of what is not NaN, as np.nanquantile of q / 100."""
    return np.nanquantile(a, np.true_divide(q, 100), *args, **options)


@implements(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Any:
    """Return the middle value of what is not NaN, or the mean of the two in the middle."""
    return np.nanquantile(a, 0.5, axis=axis, out=out, keepdims=flag(keepdims))


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
