"""Functions given by samples: interpolation, slopes, areas, and phases without jumps."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.ops.axes import all_axes, one_axis
from pullback.ops.families import general
from pullback.ops.gather import take
from pullback.ops.values import as_array, concrete


def _search(knots: Any, x: Any, side: str) -> Any:
    return np.searchsorted(knots, x, side)  # type: ignore[call-overload]


def _search_batch(args: Any, batched: Any, params: Any) -> Any:
    knots, x = args
    if not batched[0]:
        return search_op(knots, x, **params)
    # where a knot array belongs to each example: count the knots on the left
    x = x if batched[1] else np.broadcast_to(x, (knots.shape[0], *np.shape(x)))
    each = np.reshape(knots, (knots.shape[0], *(1,) * (x.ndim - 1), knots.shape[1]))
    left = np.less if params["side"] == "left" else np.less_equal
    return np.sum(left(each, x[..., None]), axis=-1)


search_op = general(
    "searchsorted",
    _search,
    vjp=None,
    jvp=None,
    infer=lambda knots, x, side: Aval(x.shape, np.intp),
    batch=_search_batch,
    samples=lambda rng: [
        ((np.sort(rng.normal(size=5)), rng.normal(size=shape)), {"side": side})
        for shape in ((2, 3), (), (0,))
        for side in ("left", "right")
    ],
)


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Return where `v` would go into the sorted `a`; piecewise constant."""
    if side not in ("left", "right"):
        raise ValueError(f"side: expected 'left' or 'right', got {side!r}")
    a = as_array(a)
    return search_op(a if sorter is None else a[sorter], as_array(v), side=side)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """Return the bin that each value of `x` falls into; piecewise constant."""
    bins = as_array(concrete(bins, "np.digitize"))
    side = "left" if right else "right"
    if bins.size and bins[-1] < bins[0]:
        return bins.size - np.searchsorted(bins[::-1], x, side=side)  # type: ignore[call-overload]
    return np.searchsorted(bins, x, side=side)  # type: ignore[call-overload]


@implements(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """Interpolate linearly between the points (xp, fp), in float64 as NumPy does.

    The derivative in `x` at a point of `xp` is the slope on its right; outside it is 0.
    """
    x, xp, fp = (as_array(v) for v in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(
            f"interp: expected xp and fp as sequences of one length, at least 1, got shapes "
            f"{xp.shape} and {fp.shape}"
        )
    x, xp = (np.astype(v, np.float64, copy=False) for v in (x, xp))
    fp = np.astype(fp, np.complex128 if fp.dtype.kind == "c" else np.float64, copy=False)
    if period is not None:
        x, xp, fp = _periodic(x, xp, fp, period)
        left = right = None
    before, after = fp[0] if left is None else left, fp[-1] if right is None else right
    if xp.shape[0] == 1:
        inside = fp[0] + 0 * x
    else:
        i = np.clip(np.searchsorted(xp, x, side="right"), 1, xp.shape[0] - 1)
        x0, x1, y0, y1 = (take(v, at) for v in (xp, fp) for at in (i - 1, i))
        step = x0 == x1
        slope = (y1 - y0) / np.where(step, 1, x1 - x0)
        inside = np.where(step, y1, y0 + slope * (x - x0))
    return np.where(x < xp[0], before, np.where(x > xp[-1], after, inside))


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Return one period of the points in order, with the neighbours on both sides."""
    period = np.abs(period)
    x, xp = x % period, xp % period
    order = np.argsort(xp)
    xp, fp = take(xp, order), take(fp, order)
    around = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, around, np.concatenate([fp[-1:], fp, fp[:1]])


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integrate samples along `axis` by the trapezoidal rule."""
    y = as_array(y)
    axis = one_axis(axis, y.ndim)
    width = dx
    if x is not None:
        width = np.diff(as_array(x), axis=-1 if np.ndim(x) == 1 else axis)
        if width.ndim == 1:
            width = _on_axis(width, axis, y.ndim)
    head = (slice(None),) * axis
    heights = (y[(*head, slice(1, None))] + y[(*head, slice(None, -1))]) / 2.0
    return np.sum(width * heights, axis=axis)


def _on_axis(v: Any, axis: int, ndim: int) -> Any:
    """Return the vector `v` so that it broadcasts along `axis`."""
    return np.reshape(v, [-1 if i == axis else 1 for i in range(ndim)])


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Return the slopes of samples, by differences of second order inside.

    One number is the distance of samples on every axis; one array or number per axis gives the
    places of the samples, or their distance, on each. (Fornberg, Generation of finite difference
    formulas on arbitrarily spaced grids, 1988.)
    """
    f = as_array(f)
    axes = range(f.ndim) if axis is None else _axes_in_order(axis, f.ndim)
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order: expected 1 or 2, got {edge_order}")
    if len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        varargs = varargs * len(axes)
    if len(varargs) not in (0, len(axes)):
        raise TypeError(
            f"gradient: expected no spacing, one for all or one for each of the {len(axes)} axes, "
            f"got {len(varargs)}"
        )
    if f.dtype.kind not in "fc":
        f = np.astype(f, np.float64)
    spacings = varargs or (1.0,) * len(axes)
    slopes = tuple(
        _slopes(f, i, _distances(h, f.shape[i]), edge_order)
        for i, h in zip(axes, spacings, strict=True)
    )
    return slopes[0] if len(slopes) == 1 else slopes


def _axes_in_order(axis: Any, ndim: int) -> tuple[int, ...]:
    all_axes(axis, ndim)  # refuses an axis named twice
    return tuple(one_axis(i, ndim) for i in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def _distances(spacing: Any, length: int) -> Any:
    if np.ndim(spacing) == 0:
        return spacing
    places = as_array(spacing)
    if places.shape != (length,):
        raise ShapeError(
            f"gradient: expected one place for each of the {length} samples, got shape "
            f"{places.shape}"
        )
    return np.diff(places)


def _slopes(f: Any, axis: int, h: Any, edge_order: int) -> Any:
    if f.shape[axis] < edge_order + 1:
        raise ShapeError(
            f"gradient: expected at least {edge_order + 1} samples along axis {axis}, got "
            f"{f.shape[axis]}"
        )

    f = np.moveaxis(f, axis, -1)
    inside = _three_points(f[..., :-2], f[..., 1:-1], f[..., 2:], *_neighbours(h))
    h_first, h_second, h_before, h_last = _at_the_edges(h)
    if edge_order == 1:
        first = (f[..., 1] - f[..., 0]) / h_first
        last = (f[..., -1] - f[..., -2]) / h_last
    else:
        first = _from_one_side(f[..., 0], f[..., 1], f[..., 2], h_first, h_second)
        last = _from_one_side(f[..., -1], f[..., -2], f[..., -3], -h_last, -h_before)
    return np.moveaxis(np.concatenate([first[..., None], inside, last[..., None]], -1), -1, axis)


def _neighbours(h: Any) -> tuple[Any, Any]:
    return (h, h) if np.ndim(h) == 0 else (h[:-1], h[1:])


def _at_the_edges(h: Any) -> tuple[Any, Any, Any, Any]:
    return (
        (h,) * 4 if np.ndim(h) == 0 else (h[0], h[min(1, len(h) - 1)], h[max(-2, -len(h))], h[-1])
    )


def _three_points(before: Any, here: Any, after: Any, h0: Any, h1: Any) -> Any:
    """Return the slope in the middle of three points, of distances h0 and h1, to second order."""
    return (h0 / h1 * (after - here) + h1 / h0 * (here - before)) / (h0 + h1)


def _from_one_side(here: Any, next: Any, third: Any, h0: Any, h1: Any) -> Any:
    """Return the slope at the first of three points, to second order."""
    return (next - here) / h0 * (1 + h0 / (h0 + h1)) - (third - next) / h1 * (h0 / (h0 + h1))


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """Add whole periods so that neighbours differ by at most half a period."""
    p = as_array(p)
    axis = one_axis(axis, p.ndim)
    half = period / 2
    jumps = np.diff(p, axis=axis)
    wrapped = (jumps + half) % period - half
    wrapped = np.where((wrapped == -half) & (jumps > 0), half, wrapped)
    allowed = half if discont is None else np.maximum(discont, half)
    # what is added is whole periods: constant in p, and linear in the period
    turns = np.where(np.abs(jumps) < allowed, 0, np.rint((wrapped - jumps) / period))
    added = np.cumsum(turns, axis=axis) * period
    start = np.zeros([1 if i == axis else n for i, n in enumerate(p.shape)], p.dtype)
    return p + np.concatenate([start, added], axis=axis)
