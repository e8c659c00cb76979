"""Quantiles: interpolated between two neighbours in order, at a place that moves with the level.

The methods are those of Hyndman and Fan, Sample quantiles in statistical packages, The American
Statistician 50 (1996) 361-365, and the four of older programs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import DTypeError, NotDifferentiableError
from pullback.core.tracer import Tracer
from pullback.ops.axes import all_axes, flag, reduced_shape
from pullback.ops.reduce import finish
from pullback.ops.sort import sorted_last
from pullback.ops.values import as_array

CONTINUOUS = {
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
"""alpha and beta: of n elements, level q lies at n q + alpha + q (1 - alpha - beta) - 1."""


def _alone(place: Any) -> tuple[Any, Any]:
    return place, place


DISCRETE: dict[str, Any] = {
    "lower": lambda n, q: _alone(np.floor((n - 1) * q)),
    "higher": lambda n, q: _alone(np.ceil((n - 1) * q)),
    "nearest": lambda n, q: _alone(np.rint((n - 1) * q)),
    "midpoint": lambda n, q: (np.floor((n - 1) * q), np.ceil((n - 1) * q)),
    "inverted_cdf": lambda n, q: _alone(np.ceil(n * q - 1)),
    "averaged_inverted_cdf": lambda n, q: (np.ceil(n * q - 1), np.floor(n * q - 1) + 1),
    "closest_observation": lambda n, q: _alone(_closest(n * q - 1.5)),
}
"""The two places whose elements are averaged."""


def _closest(place: Any) -> Any:
    """Return the whole number above, but the odd one, counted from 0, of two equally near."""
    below = np.floor(place)
    return np.where((place == below) & (below % 2 == 1), below, below + 1)


def _neighbours(method: str, count: Any, levels: Any) -> tuple[Any, Any, Any]:
    """Return the places of both neighbours, and how far from the first the quantile lies."""
    last = np.maximum(count - 1, 0)
    if method in DISCRETE:
        below, above = (np.clip(p, 0, last) for p in DISCRETE[method](count, levels))
        return below, above, np.asarray(0.5)
    if method == "linear":
        place = last * levels
    elif method in CONTINUOUS:
        alpha, beta = CONTINUOUS[method]
        place = count * levels + alpha + levels * (1 - alpha - beta) - 1
        place = np.where(place < 0, 0, np.where(place > last, last, place))
    else:
        known = ", ".join(["linear", *CONTINUOUS, *DISCRETE])
        raise ValueError(f"method: expected one of {known}, got {method!r}")
    below = np.floor(place)
    return below, np.ceil(place), place - below


def _quantile(name: str, without_nan: bool) -> Any:
    def quantile(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
        method: str = "linear", keepdims: Any = False, *, weights: Any = None,
        interpolation: Any = None,
    ) -> Any:  # fmt: skip
        a, levels = as_array(a), as_array(q)
        if weights is not None or interpolation is not None:
            raise NotDifferentiableError(
                f"np.{name}: weights= and interpolation= have no derivative rule; use method="
            )
        if a.dtype.kind == "c":
            raise DTypeError(f"a: expected real numbers, which have an order, got {a.dtype}")
        wrong = (levels < 0) | (levels > 1)
        if not isinstance(wrong, Tracer) and np.any(wrong):
            raise ValueError(
                f"q: expected numbers from 0 to 1 (0 to 100 for a percentile), got {q}"
            )
        axes = all_axes(axis, a.ndim)
        ordered = sorted_last(a, axes)  # NaN come last
        n = ordered.shape[-1]
        if n == 0:
            raise ValueError(f"a: expected at least one element to reduce, got shape {a.shape}")
        missing = np.isnan(ordered)
        count = n - np.sum(missing, axis=-1)[..., None] if without_nan else n
        rows = np.reshape(levels, (*(1,) * (ordered.ndim - 1), levels.size))
        below, above, fraction = _neighbours(method, count, rows)
        # an array of levels widens the result, as in NumPy, and a Python number does not
        dtype = np.result_type(a, 0.5 if isinstance(q, (int, float)) else levels)
        fraction = np.astype(fraction, dtype)
        low, high = (
            np.take_along_axis(ordered, np.astype(place, np.intp), axis=-1)
            for place in (below, above)
        )
        found = low + (high - low) * fraction
        if not without_nan:
            found = np.where(missing[..., -1:], np.nan, found)
        shape = reduced_shape(a.shape, axes, flag(keepdims))
        found = np.reshape(np.moveaxis(found, -1, 0), (*levels.shape, *shape))
        return finish(found, out)

    quantile.__doc__ = f"Return np.{name}, which moves with the elements and with the levels `q`."
    return quantile


def _percentile(of_quantile: Any) -> Any:
    def percentile(a: Any, q: Any, *args: Any, **options: Any) -> Any:
        return of_quantile(a, np.true_divide(q, 100), *args, **options)

    percentile.__doc__ = f"Return percentiles, as np.{of_quantile.__name__} of q / 100."
    return percentile


implements(np.quantile)(_quantile("quantile", without_nan=False))
implements(np.nanquantile)(_quantile("nanquantile", without_nan=True))
implements(np.percentile)(_percentile(np.quantile))
implements(np.nanpercentile)(_percentile(np.nanquantile))


@implements(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Any:
    """Return the middle value of what is not NaN, or the mean of the two in the middle."""
    return np.nanquantile(a, 0.5, axis=axis, out=out, keepdims=flag(keepdims))
