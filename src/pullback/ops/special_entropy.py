"""Products with logarithms, entropies, robust losses and the transformations of Box and Cox."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.ops.families import POSITIVE, REAL, elementwise
from pullback.ops.special_integrals import exprel_slope
from pullback.ops.special_parameters import constant, whole_then

TWO_POSITIVE = (POSITIVE, POSITIVE)
ZERO = "x = 0 or y = 0: infinite or NaN"


def _either(x: Any, y: Any, at: float) -> Any:
    """Return `y`, and 1 away from `at` where the factor `x` is 0 and `y` is `at`."""
    return np.where((x == 0) & (y == at), at + 1, y)


xlogy = elementwise(
    sp.xlogy,
    lambda z, x, y: np.log(_either(x, y, 0)),
    lambda z, x, y: x / _either(x, y, 0),
    domain=TWO_POSITIVE,
    undefined_at="y = 0: infinite, but 0 where x = 0 too",
)
xlog1py = elementwise(
    sp.xlog1py,
    lambda z, x, y: np.log1p(_either(x, y, -1)),
    lambda z, x, y: x / (1 + _either(x, y, -1)),
    domain=TWO_POSITIVE,
    undefined_at="y = -1: infinite, but 0 where x = 0 too",
)
entr = elementwise(
    sp.entr, lambda y, x: -np.log(x) - 1, domain=POSITIVE, undefined_at="x = 0: infinite"
)
rel_entr = elementwise(
    sp.rel_entr,
    lambda z, x, y: np.log(x / y) + 1,
    lambda z, x, y: -x / y,
    domain=TWO_POSITIVE,
    undefined_at=ZERO,
)
kl_div = elementwise(
    sp.kl_div,
    lambda z, x, y: np.log(x / y),
    lambda z, x, y: 1 - x / y,
    domain=TWO_POSITIVE,
    undefined_at=ZERO,
)

# Huber, Robust estimation of a location parameter, 1964; its smooth form by Charbonnier et al. 1997
huber = elementwise(
    sp.huber,
    lambda y, delta, r: np.where(np.abs(r) <= delta, 0, np.abs(r) - delta),
    lambda y, delta, r: np.where(np.abs(r) <= delta, r, delta * np.sign(r)),
    domain=((0.3, 3.0), REAL),
    undefined_at="delta = 0: the function is 0 there, and infinite below",
)


def _stretch(delta: Any, r: Any) -> Any:
    return np.sqrt(1 + (r / delta) ** 2)


pseudo_huber = elementwise(
    sp.pseudo_huber,
    lambda y, delta, r: 2 * y / delta - r * r / (delta * _stretch(delta, r)),
    lambda y, delta, r: r / _stretch(delta, r),
    domain=((0.3, 3.0), REAL),
    undefined_at="delta = 0: NaN",
)


def _power_slope(logarithm: Any, power: Any) -> Any:
    """Return the derivative of (exp(power * logarithm) - 1) / power in the power, also at 0."""
    return logarithm * logarithm * exprel_slope(power * logarithm)


# Box and Cox, An analysis of transformations, 1964: y = (x**lmbda - 1) / lmbda
boxcox = elementwise(
    sp.boxcox,
    lambda y, x, lmbda: x ** (lmbda - 1),
    lambda y, x, lmbda: _power_slope(np.log(x), lmbda),
    domain=(POSITIVE, REAL),
    undefined_at="x = 0: infinite or NaN",
)
boxcox1p = elementwise(
    sp.boxcox1p,
    lambda y, x, lmbda: (1 + x) ** (lmbda - 1),
    lambda y, x, lmbda: _power_slope(np.log1p(x), lmbda),
    domain=(POSITIVE, REAL),
    undefined_at="x = -1: infinite or NaN",
)
inv_boxcox = elementwise(
    sp.inv_boxcox,
    lambda x, y, lmbda: x ** (1 - lmbda),
    lambda x, y, lmbda: -_power_slope(np.log(x), lmbda) * x ** (1 - lmbda),
    domain=(POSITIVE, (0.2, 2.0)),
    undefined_at="y = -1 / lmbda: infinite or NaN",
)
inv_boxcox1p = elementwise(
    sp.inv_boxcox1p,
    lambda x, y, lmbda: (1 + x) ** (1 - lmbda),
    lambda x, y, lmbda: -_power_slope(np.log1p(x), lmbda) * (1 + x) ** (1 - lmbda),
    domain=(POSITIVE, (0.2, 2.0)),
    undefined_at="y = -1 / lmbda: infinite or NaN",
)


def _student_density(df: Any, t: Any) -> Any:
    """Return the density of Student's distribution with `df` degrees of freedom."""
    scale = np.exp(-sp.betaln(0.5, df / 2)) / np.sqrt(df)
    return scale * (1 + t * t / df) ** (-(df + 1) / 2)


stdtr = elementwise(
    sp.stdtr,
    constant("stdtr", "df"),
    lambda y, df, t: _student_density(df, t),
    samples=whole_then(1, 1, 5, REAL),
    undefined_at="df = inf: NaN; take ndtr there",
)
stdtrit = elementwise(
    sp.stdtrit,
    constant("stdtrit", "df"),
    lambda t, df, p: 1 / _student_density(df, t),
    samples=whole_then(1, 1, 5, (0.15, 0.85)),
    undefined_at="p = 0 or 1: infinite",
)
