"""`scipy.interpolate` for traced code: cubic splines.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.interpolate import CubicSpline
>>> x = np.arange(5.0)
>>> float(pb.grad(lambda at: CubicSpline(x, x**3)(at))(2.5).round(12))
18.75
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.errors import ConfigError, ShapeError
from pullback.core.tracer import Tracer
from pullback.ops.axes import one_axis
from pullback.ops.gather import take
from pullback.ops.tridiagonal import solve_tridiagonal
from pullback.ops.values import as_array

__all__ = ["CubicSpline"]

Condition = str | tuple[int, Any]
NAMED: dict[str, tuple[int, Any]] = {"clamped": (1, 0.0), "natural": (2, 0.0)}


class CubicSpline:
    """The piecewise cubic through (x, y) with two continuous derivatives, in SciPy's signature.

    `x` has shape (n,), increasing; `y` has length n along `axis`. `bc_type` is "not-a-knot",
    "natural", "clamped", or a pair of these or of (order, value), a derivative at each end.
    Calling it with points of any shape gives values, or derivatives of order `nu`; outside the
    knots the end pieces go on, or it is NaN where `extrapolate` is False. Differentiable in `x`,
    `y` and the points. Raises ShapeError or ConfigError for arguments that do not fit.

    de Boor, A practical guide to splines, 1978, chapter IV: the slopes at the knots solve a
    system with three diagonals.

    >>> spline = CubicSpline([0.0, 1.0, 2.0], [0.0, 1.0, 4.0], bc_type="natural")
    >>> spline(1.0), spline(1.0, nu=2)
    (array(1.), array(3.))
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        axis: int = 0,
        bc_type: str | tuple[Condition, Condition] = "not-a-knot",
        extrapolate: bool = True,
    ) -> None:
        x, y = as_array(x), as_array(y)
        x, y = (v if v.dtype.kind in "fc" else np.astype(v, np.float64) for v in (x, y))
        axis = one_axis(axis, y.ndim)
        y = np.moveaxis(y, axis, 0)
        if x.ndim != 1 or x.shape[0] < 2 or y.shape[0] != x.shape[0]:
            raise ShapeError(
                f"CubicSpline: expected x of shape (n,), n at least 2, and y of length n along "
                f"axis {axis}, got {x.shape} and length {y.shape[0]}"
            )
        if not isinstance(x, Tracer) and not np.all(np.diff(x) > 0):
            raise ConfigError(f"x: expected strictly increasing knots, got {x}; sort them first")
        first, last = _conditions(bc_type)
        self.x, self.axis, self.extrapolate = x, axis, extrapolate
        self._shape = y.shape[1:]
        y = np.reshape(y, (x.shape[0], -1))
        h = np.diff(x)
        rise = np.diff(y, axis=0) / h[:, None]
        s = _slopes(h, rise, first, last)
        cubic = (s[:-1] + s[1:] - 2 * rise) / (h * h)[:, None]
        square = (3 * rise - 2 * s[:-1] - s[1:]) / h[:, None]
        self._coefficients = [y[:-1], s[:-1], square, cubic]

    def __call__(self, x: Any, nu: int = 0) -> Any:
        """Return the spline, or its derivative of order `nu`, at the points `x`."""
        at = as_array(x)
        piece = np.clip(np.searchsorted(self.x, at, side="right") - 1, 0, self.x.shape[0] - 2)
        step = (at - take(self.x, piece))[..., None]
        powers = self._coefficients[nu:]
        value = np.zeros((*at.shape, int(np.prod(self._shape))), step.dtype)
        for k in range(len(powers) - 1, -1, -1):  # Horner's scheme
            falling = float(np.prod(np.arange(k + 1, k + nu + 1)))
            value = value * step + falling * take(powers[k], piece, axis=0)
        if not self.extrapolate:
            inside = (at >= self.x[0]) & (at <= self.x[-1])
            value = np.where(inside[..., None], value, float("nan"))
        value = np.reshape(value, (*at.shape, *self._shape))
        return np.moveaxis(value, tuple(range(at.ndim)), range(self.axis, self.axis + at.ndim))


def _conditions(bc_type: Any) -> Sequence[Any]:
    """Return the condition at each end: "not-a-knot", or the order and value of a derivative."""
    ends = (bc_type, bc_type) if isinstance(bc_type, str) else tuple(bc_type)
    found = [NAMED.get(end, end) if isinstance(end, str) else end for end in ends]
    known = [end == "not-a-knot" if isinstance(end, str) else end[0] in (1, 2) for end in found]
    if len(found) != 2 or not all(known):
        raise ConfigError(
            "bc_type: expected 'not-a-knot', 'natural', 'clamped', or a pair of these or of "
            f"(1, slope), (2, curvature), got {bc_type!r}"
        )
    return found


def _slopes(h: Any, rise: Any, first: Any, last: Any) -> Any:
    """Return the derivative at each knot, from the lengths and the slopes of the intervals."""
    if h.shape[0] == 1:  # two knots leave nothing to match
        first, last = ("line" if isinstance(end, str) else end for end in (first, last))
    elif h.shape[0] == 2 and first == last == "not-a-knot":
        first = last = "parabola"
    inner = 3 * (h[1:, None] * rise[:-1] + h[:-1, None] * rise[1:])
    top, right, start = _end(h, rise, first)
    bottom, left, end = _end(h[::-1], rise[::-1], last, sign=-1)
    return solve_tridiagonal(
        np.concatenate([h[1:], left]),
        np.concatenate([top, 2 * (h[:-1] + h[1:]), bottom]),
        np.concatenate([right, h[:-1]]),
        np.concatenate([start, inner, end]),
    )


def _end(h: Any, rise: Any, condition: Any, sign: int = 1) -> tuple[Any, Any, Any]:
    """Return the equation at the first knot: its two coefficients and its right side.

    At the last knot the same holds with the intervals in reverse and `sign` -1 for curvatures.
    """
    one = np.ones_like(h[:1])
    if condition == "line":
        return one, 0 * one, rise[:1]
    if condition == "parabola":
        return one, one, 2 * rise[:1]
    if condition == "not-a-knot":
        both = h[:1] + h[1:2]
        ahead = (h[:1] + 2 * both) * h[1:2]
        right = (ahead[:, None] * rise[:1] + (h[:1] ** 2)[:, None] * rise[1:2]) / both[:, None]
        return h[1:2], both, right
    order, value = condition
    value = as_array(value)
    row = np.reshape(value, (1, -1)) + np.zeros_like(rise[:1])
    if order == 1:
        return one, 0 * one, row
    bend = sign / 2 * (h[:1] ** 2)[:, None] * row
    return 2 * h[:1], h[:1], 3 * rise[:1] * h[:1, None] - bend
