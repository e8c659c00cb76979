"""Running sums and products, and differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.ops.axes import one_axis
from pullback.ops.batching import along
from pullback.ops.families import chain, general, linear


def _samples(rng: np.random.Generator) -> Any:
    return [
        ((rng.normal(size=(3, 4)),), {"axis": 0}),
        ((rng.normal(size=(3, 4)),), {"axis": 1}),
        ((np.array([0.7, 0.0, -1.3, 0.0, 2.0]),), {"axis": 0}),
        ((rng.normal(size=(0, 2)),), {"axis": 0}),
    ]


def _infer(x: Aval, axis: int) -> Aval:
    return Aval(x.shape, np.add.accumulate(np.empty(0, x.dtype)).dtype)


def _reversed_sum(x: Any, axis: int) -> Any:
    """Return the sums from each element to the last."""
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


cumsum_op = linear(
    "cumsum",
    lambda x, axis: np.add.accumulate(x, axis=axis),
    lambda i, ct, args, params: _reversed_sum(ct, params["axis"]),
    infer=_infer,
    batch=along("cumsum", "axis"),
    samples=_samples,
)


def _delayed(x: Any, steps: int, first: int) -> Any:
    """Return `x` moved `steps` towards the end of its last axis, `first` coming in."""
    n = x.shape[-1]
    head = np.full((*x.shape[:-1], min(steps, n)), first, x.dtype)
    return np.concatenate([head, x[..., : max(n - steps, 0)]], axis=-1)


def _recurrence(slope: Any, shift: Any) -> Any:
    """Return y with y[j] = slope[j] * y[j - 1] + shift[j], y[-1] = 0, along the last axis.

    Each pass doubles how many steps are composed (Hillis and Steele, Data parallel algorithms,
    1986), so n log n operations do without a division and without n steps of Python.
    """
    steps, n = 1, shift.shape[-1]
    while steps < n:
        shift = shift + chain(_delayed(shift, steps, 0), slope)
        steps *= 2
        if steps < n:
            slope = slope * _delayed(slope, steps // 2, 0)
    return shift


def _cumprod_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    # y[j] = x[j] y[j-1]: its adjoint g[j] = ct[j] + x[j+1] g[j+1] runs from the end
    x, y, ct = (np.moveaxis(a, params["axis"], -1) for a in (args[0], out, ct))
    slope = _delayed(np.flip(x, -1), 1, 0)
    adjoint = np.flip(_recurrence(slope, np.flip(ct, -1)), -1)
    return np.moveaxis(chain(adjoint, _delayed(y, 1, 1)), -1, params["axis"])


def _cumprod_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    # dy[j] = x[j] dy[j-1] + y[j-1] dx[j]
    x, y, dx = (np.moveaxis(a, params["axis"], -1) for a in (args[0], out, tangents[0]))
    return np.moveaxis(_recurrence(x, chain(dx, _delayed(y, 1, 1))), -1, params["axis"])


cumprod_op = general(
    "cumprod",
    lambda x, axis: np.multiply.accumulate(x, axis=axis),
    vjp=_cumprod_vjp,
    jvp=_cumprod_jvp,
    infer=_infer,
    batch=along("cumprod", "axis"),
    samples=_samples,
)


def _cumulative(op: Any) -> Any:
    def function(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        if dtype is not None:
            a = np.astype(a, dtype)
        if axis is None or a.ndim == 0:
            a, axis = np.ravel(a), 0 if axis is None else axis
        result = op(a, axis=one_axis(axis, a.ndim))
        if out is not None:
            out[...] = result
            return out
        return result

    function.__doc__ = f"The running {op.name[3:]} along `axis`, or of the flattened array."
    return function


implements(np.cumsum)(_cumulative(cumsum_op))
implements(np.cumprod)(_cumulative(cumprod_op))


def _array_api(function: Any, neutral: int) -> Any:
    def cumulative(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None,
        include_initial: bool = False,
    ) -> Any:  # fmt: skip
        if axis is None and x.ndim > 1:
            raise ValueError("axis: expected an axis for an array of several dimensions, got None")
        axis = one_axis(axis or 0, x.ndim)
        result = function(x, axis=axis, dtype=dtype)
        if include_initial:
            shape = [1 if i == axis else n for i, n in enumerate(result.shape)]
            first = np.full(shape, neutral, result.dtype)
            result = np.concatenate([first, result], axis=axis)
        if out is not None:
            out[...] = result
            return out
        return result

    cumulative.__doc__ = f"Return np.{function.__name__}, in the array API's signature."
    return cumulative


implements(np.cumulative_sum)(_array_api(np.cumsum, 0))
implements(np.cumulative_prod)(_array_api(np.cumprod, 1))


@implements(np.diff)
def diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue
) -> Any:
    """Differences of neighbours along `axis`, `n` times."""
    if n < 0:
        raise ValueError(f"n: expected how often to take differences, at least 0, got {n}")
    if n == 0:
        return a
    a = a if hasattr(a, "shape") else np.asarray(a)
    axis = one_axis(axis, a.ndim)
    parts = [p for p in (prepend, a, append) if p is not np._NoValue]
    if len(parts) > 1:
        shape = [1 if i == axis else k for i, k in enumerate(a.shape)]
        parts = [np.broadcast_to(p, shape) if np.ndim(p) == 0 else p for p in parts]
        a = np.concatenate(parts, axis=axis)
    head = (slice(None),) * axis
    difference = np.not_equal if a.dtype == np.bool_ else np.subtract
    for _ in range(n):
        a = difference(a[(*head, slice(1, None))], a[(*head, slice(None, -1))])
    return a


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours of the flattened array, with numbers put before and after."""
    parts = [np.diff(np.ravel(ary))]
    if to_begin is not None:
        parts.insert(0, np.ravel(to_begin).astype(parts[0].dtype))
    if to_end is not None:
        parts.append(np.ravel(to_end).astype(parts[0].dtype))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
