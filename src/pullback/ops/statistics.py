"""Statistics and norms made of reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError
from pullback.ops.axes import all_axes


@implements(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    """Return the mean, weighted by `weights` of the shape of `a` or of one axis."""
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims is True)
        total: Any = np.ones_like(result) * (np.size(a) / max(np.size(result), 1))
    else:
        if np.shape(weights) != np.shape(a):
            if not isinstance(axis, int) or np.shape(weights) != (np.shape(a)[axis],):
                raise ValueError(
                    f"weights: expected the shape of a, {np.shape(a)}, or of its axis, "
                    f"got {np.shape(weights)}"
                )
            shape = [1] * np.ndim(a)
            shape[axis] = -1
            weights = np.reshape(weights, shape) * np.ones(np.shape(a))
        total = np.sum(weights, axis=axis, keepdims=keepdims is True)
        result = np.sum(a * weights, axis=axis, keepdims=keepdims is True) / total
    return (result, total) if returned else result


@implements(np.nansum)
def nansum(a: Any, axis: Any = None, **options: Any) -> Any:
    """Sum over `axis`, taking NaN as zero."""
    return np.sum(np.where(np.isnan(a), 0, a), axis=axis, **options)


@implements(np.nanmean)
def nanmean(a: Any, axis: Any = None, **options: Any) -> Any:
    """Mean over `axis` of what is not NaN."""
    count = np.sum(~np.isnan(a), axis=axis, **options)
    return np.nansum(a, axis=axis, **options) / count


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return a vector norm, or the Frobenius, 1 or infinity norm of a matrix.

    At 0, where the 2-norm has no gradient, the gradient is 0, the subgradient of least norm.
    """
    flat = axis is None and (ord is None or (ord == 2 and x.ndim == 1))
    axes = all_axes(axis, x.ndim)
    if flat or (len(axes) == 1 and ord in (None, 2)) or (len(axes) == 2 and ord in (None, "fro")):
        return _two_norm(x, axes, keepdims)
    size = np.abs(x)
    if len(axes) == 1:
        return _vector_norm(size, ord, axes, keepdims)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        first, second = axes if axis is None else (a % x.ndim for a in axis)
        summed, kept = (first, second) if abs(ord) == 1 else (second, first)
        sums = np.sum(size, axis=summed, keepdims=True)
        pick = np.max if ord > 0 else np.min
        result = pick(sums, axis=kept, keepdims=True)
        return result if keepdims else np.squeeze(result, axis=axes)
    raise NotDifferentiableError(
        f"np.linalg.norm(ord={ord!r}) of {len(axes)} axes has no rule: expected None, 'fro', 1, "
        "2 (vectors), inf or their negatives"
    )


def _two_norm(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    squares = np.sum(np.real(x * np.conjugate(x)), axis=axes, keepdims=keepdims)
    zero = squares == 0
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, squares)))


def _vector_norm(size: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord == np.inf:
        return np.max(size, axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.sum((size != 0).astype(size.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axes, keepdims=keepdims)
    safe = np.where(size == 0, 1, size)
    powers = np.where(size == 0, 0, safe ** float(ord))
    total = np.sum(powers, axis=axes, keepdims=keepdims)
    zero = total == 0
    return np.where(zero, 0, np.where(zero, 1, total) ** (1.0 / ord))
