"""Running sums and products, and differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.ops.axes import one_axis
from pullback.ops.families import general, linear


def _samples(rng: np.random.Generator) -> Any:
    return [
        ((rng.normal(size=(3, 4)),), {"axis": 0}),
        ((rng.normal(size=(3, 4)),), {"axis": 1}),
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
    samples=_samples,
)


def _cumprod_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    # d out_j / d x_i = product of the others up to j, as a matrix of partial products: exact
    # where elements are zero, at quadratic cost in the length of the axis
    moved, back = np.moveaxis(args[0], params["axis"], -1), np.moveaxis(ct, params["axis"], -1)
    return np.moveaxis(np.einsum("...ji,...j->...i", _partials(moved), back), -1, params["axis"])


def _cumprod_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    moved = np.moveaxis(args[0], params["axis"], -1)
    tangent = np.moveaxis(tangents[0], params["axis"], -1)
    return np.moveaxis(np.einsum("...ji,...i->...j", _partials(moved), tangent), -1, params["axis"])


def _partials(x: Any) -> Any:
    """Return d cumprod(x)_j / d x_i with shape (..., j, i): x_i replaced by 1, running product."""
    n = x.shape[-1]
    ones = np.where(np.eye(n, dtype=bool), 1, x[..., None, :])  # (..., i, k)
    products = np.swapaxes(np.cumprod(ones, axis=-1), -1, -2) if n else np.zeros((*x.shape, n))
    return np.where(np.tri(n, dtype=bool), products, 0)


cumprod_op = general(
    "cumprod",
    lambda x, axis: np.multiply.accumulate(x, axis=axis),
    vjp=_cumprod_vjp,
    jvp=_cumprod_jvp,
    infer=_infer,
    samples=lambda rng: _samples(rng)[:2],
)


def _cumulative(op: Any) -> Any:
    def function(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        if dtype is not None:
            a = np.astype(a, dtype)
        if axis is None:
            a, axis = np.ravel(a), 0
        result = op(a, axis=one_axis(axis, a.ndim))
        if out is not None:
            out[...] = result
            return out
        return result

    function.__doc__ = f"The running {op.name[3:]} along `axis`, or of the flattened array."
    return function


implements(np.cumsum)(_cumulative(cumsum_op))
implements(np.cumprod)(_cumulative(cumprod_op))


@implements(np.diff)
def diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue
) -> Any:
    """Differences of neighbours along `axis`, `n` times."""
    axis = one_axis(axis, a.ndim)
    parts = [p for p in (prepend, a, append) if p is not np._NoValue]
    if len(parts) > 1:
        shape = [1 if i == axis else k for i, k in enumerate(a.shape)]
        parts = [np.broadcast_to(p, shape) if np.ndim(p) == 0 else p for p in parts]
        a = np.concatenate(parts, axis=axis)
    head = (slice(None),) * axis
    for _ in range(n):
        a = a[(*head, slice(1, None))] - a[(*head, slice(None, -1))]
    return a
