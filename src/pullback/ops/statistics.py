"""Averages, deviations and norms: what is made of reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.ops.axes import Axes, all_axes, flag, one_axis
from pullback.ops.reduce import NOT_GIVEN, finish, is_masked
from pullback.ops.reduce import sum as sum_of


def _count(a: Any, axes: Axes, keepdims: bool, where: Any) -> Any:
    """Return how many elements each result is made of; a Python number unless there is a mask."""
    if is_masked(where):
        counts = np.sum(np.broadcast_to(where, a.shape), axis=axes, keepdims=keepdims)
        return counts.astype(np.empty(0, a.dtype).real.dtype)
    count = 1
    for i in axes:
        count *= a.shape[i]
    return count


def _working(a: Any, dtype: Any) -> tuple[Any, Any]:
    """Return `a` in the dtype that averages are computed in, and the dtype of the result."""
    if dtype is not None:
        final = np.dtype(dtype)
    elif a.dtype.kind in "fc":
        final = a.dtype
    else:
        final = np.dtype(np.float64)
    half = dtype is None and final == np.float16  # too narrow to add up in
    working = np.dtype(np.float32) if half else final
    return a if a.dtype == working else np.astype(a, working), final


def _result(x: Any, final: Any, out: Any) -> Any:
    return finish(x.astype(final) if final == np.float16 else x, out)


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
    *, where: Any = NOT_GIVEN,
) -> Any:  # fmt: skip
    """Mean over `axis`; integers are averaged as float64, float16 is summed as float32."""
    axes, keepdims = all_axes(axis, a.ndim), flag(keepdims)
    a, final = _working(a, dtype)
    total = sum_of(a, axes, keepdims=keepdims, where=where)
    return _result(total / _count(a, axes, keepdims, where), final, out)


@implements(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
    keepdims: Any = False, *, where: Any = NOT_GIVEN, mean: Any = NOT_GIVEN,
    correction: Any = NOT_GIVEN,
) -> Any:  # fmt: skip
    """Variance over `axis`, divided by the count less `ddof`."""
    axes, keepdims = all_axes(axis, a.ndim), flag(keepdims)
    if correction is not NOT_GIVEN:
        ddof = correction
    a, final = _working(a, dtype)
    if mean is NOT_GIVEN:
        mean = sum_of(a, axes, keepdims=True, where=where) / _count(a, axes, True, where)
    total = sum_of(_squared_size(a - mean), axes, keepdims=keepdims, where=where)
    free = _count(a, axes, keepdims, where) - ddof
    free = max(free, 0) if isinstance(free, (int, float)) else np.maximum(free, 0)
    return _result(total / free, final, out)


def _squared_size(x: Any) -> Any:
    """Return |x|**2, real for complex numbers too."""
    return np.real(x * np.conjugate(x)) if x.dtype.kind == "c" else np.square(x)


@implements(np.std)
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
    keepdims: Any = False, **options: Any,
) -> Any:  # fmt: skip
    """Standard deviation over `axis`; its gradient where all values are equal is 0."""
    variance = np.var(a, axis, dtype, None, ddof, flag(keepdims), **options)
    return finish(_root(variance), out)


def _root(x: Any) -> Any:
    """Return the square root with derivative 0 at 0."""
    zero = x == 0
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, x)))


@implements(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    """Return the mean, weighted by `weights` of the shape of `a` or of the averaged axes."""
    a = a if hasattr(a, "shape") else np.asarray(a)
    keepdims = flag(keepdims)
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims)
        total: Any = np.full_like(result, a.size / max(result.size, 1))
    else:
        weights = _spread_weights(weights if hasattr(weights, "shape") else np.asarray(weights),
                                  a, axis)  # fmt: skip
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        result = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (result, total) if returned else result


def _spread_weights(weights: Any, a: Any, axis: Any) -> Any:
    """Broadcast weights of the averaged axes, in the order they are named, to the shape of `a`."""
    if weights.shape == a.shape:
        return weights
    named = axis if isinstance(axis, (tuple, list)) else () if axis is None else (axis,)
    axes = [one_axis(i, a.ndim) for i in named]
    if not axes or weights.shape != tuple(a.shape[i] for i in axes):
        raise ShapeError(
            f"weights: expected the shape of a, {a.shape}, or the lengths of the averaged axes "
            f"(axis={axis}), got {weights.shape}"
        )
    in_order = np.transpose(weights, np.argsort(axes))
    lengths = [n if i in axes else 1 for i, n in enumerate(a.shape)]
    return np.broadcast_to(np.reshape(in_order, lengths), a.shape)


# reductions that leave NaN out


def _without_nan(function: Any, neutral: int) -> Any:
    def reduction(a: Any, *args: Any, **options: Any) -> Any:
        return function(np.where(np.isnan(a), neutral, a), *args, **options)

    reduction.__doc__ = f"Return np.{function.__name__}, taking NaN as {neutral}."
    return reduction


for _nan_function, _function, _neutral in (
    (np.nansum, np.sum, 0),
    (np.nanprod, np.prod, 1),
    (np.nancumsum, np.cumsum, 0),
    (np.nancumprod, np.cumprod, 1),
):
    implements(_nan_function)(_without_nan(_function, _neutral))


def _over_numbers(function: Any) -> Any:
    def reduction(a: Any, *args: Any, where: Any = NOT_GIVEN, **options: Any) -> Any:
        missing = np.isnan(a)
        mask = ~missing & where if is_masked(where) else ~missing
        return function(np.where(missing, 0, a), *args, where=mask, **options)

    reduction.__doc__ = f"Return np.{function.__name__} over what is not NaN."
    return reduction


implements(np.nanmean)(_over_numbers(np.mean))
implements(np.nanvar)(_over_numbers(np.var))
implements(np.nanstd)(_over_numbers(np.std))


def _extreme_number(function: Any, last: float) -> Any:
    def extreme(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any
    ) -> Any:
        missing = np.isnan(a)
        keepdims = flag(keepdims)
        found = function(np.where(missing, last, a), axis=axis, keepdims=keepdims, **options)
        none = np.all(missing, axis=axis, keepdims=keepdims)
        return finish(np.where(none, np.nan, found) if "initial" not in options else found, out)

    extreme.__doc__ = f"Return np.{function.__name__} of what is not NaN; NaN where nothing is."
    return extreme


implements(np.nanmax)(_extreme_number(np.max, -np.inf))
implements(np.nanmin)(_extreme_number(np.min, np.inf))


# norms


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return a norm of vectors along one axis, or of matrices along two.

    At 0, where the 2-norm has no gradient, the gradient is 0, the subgradient of least norm.
    """
    if x.dtype.kind not in "fc":
        x = np.astype(x, np.float64)
    axes = all_axes(axis, x.ndim)
    if (axis is None and ord is None) or (len(axes), ord) in ((1, None), (2, None), (2, "fro")):
        return _root(sum_of(_squared_size(x), axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) != 2:
        raise ShapeError(f"norm: expected one or two axes, got {len(axes)}; name them with axis=")
    if ord in (1, -1, np.inf, -np.inf):
        first, second = axes if axis is None else (one_axis(i, x.ndim) for i in axis)
        summed, kept = (first, second) if abs(ord) == 1 else (second, first)
        sums = np.sum(np.abs(x), axis=summed, keepdims=True)
        result = (np.max if ord > 0 else np.min)(sums, axis=kept, keepdims=True)
        return result if keepdims else np.squeeze(result, axis=axes)
    if ord in (2, -2, "nuc"):
        result = _spectral_norm(np.moveaxis(x, axes, (-2, -1)), ord)
        return np.expand_dims(result, axes) if keepdims else result
    raise ValueError(
        f"ord: expected None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, got {ord!r}"
    )


def _spectral_norm(x: Any, ord: Any) -> Any:
    """Return the largest singular value (2), the smallest (-2) or the sum of all ('nuc')."""
    s = np.linalg.svdvals(x)
    return np.sum(s, axis=-1) if ord == "nuc" else np.max(s, axis=-1) if ord > 0 else s[..., -1]


def _vector_norm(x: Any, ord: Any, axes: Axes, keepdims: bool) -> Any:
    if ord == 2:
        return _root(np.sum(_squared_size(x), axis=axes, keepdims=keepdims))
    if isinstance(ord, str):
        raise ValueError(f"ord: expected None or a number for vectors, got {ord!r}")
    size = np.abs(x)
    if abs(ord) == np.inf:
        return (np.max if ord > 0 else np.min)(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.sum((size != 0).astype(size.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axes, keepdims=keepdims)
    absent = size == 0
    powers = np.where(absent, 0, np.where(absent, 1, size) ** float(ord))
    total = np.sum(powers, axis=axes, keepdims=keepdims)
    # 0**ord is 0, or infinite for a negative ord, where one zero makes the norm 0
    zero = total == 0 if ord > 0 else np.any(absent, axis=axes, keepdims=keepdims)
    return np.where(zero, 0, np.where(zero, 1, total) ** (1 / float(ord)))


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Return a vector norm over `axis`, one or several, or over all elements."""
    axes = all_axes(axis, x.ndim)
    if x.dtype.kind not in "fc":
        x = np.astype(x, np.float64)
    return _vector_norm(x, ord, axes, bool(keepdims))


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Return a matrix norm over the last two axes."""
    return norm(x, ord=ord, axis=(-2, -1), keepdims=keepdims)
