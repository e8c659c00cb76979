"""Continuous distributions: each is the formulas of its standard form.

Densities are those of Johnson, Kotz, Balakrishnan, Continuous univariate distributions, volumes 1
(1994) and 2 (1995).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from pullback.ops import special as _rules  # noqa: F401  fills the tables
from pullback.scipy.stats.parameters import (
    INFINITY,
    LOC,
    NAN,
    SCALE,
    Parameter,
    admitted,
    bound,
    scalar,
)

LOG_ROOT_TWO_PI = float(np.log(2 * np.pi) / 2)
LOG_TWO = float(np.log(2))
LOG_PI = float(np.log(np.pi))

Formula = Callable[..., Any]


class Continuous:
    """A distribution with a density, its standard form stretched by `scale` and moved by `loc`.

    The methods take `(x, *shapes, loc=0, scale=1)` as in `scipy.stats`; everything broadcasts.
    Where `x` is outside the support the density is 0, with gradient 0; where a parameter is not
    allowed the result is NaN. Raises TypeError for a missing or unknown parameter.
    """

    def __init__(
        self,
        name: str,
        *shapes: str,
        log_density: Formula,
        cdf: Formula,
        sf: Formula,
        log_cdf: Formula | None = None,
        log_sf: Formula | None = None,
        support: tuple[float, float] = (-INFINITY, INFINITY),
        interior: float = 0.5,
        open_below: bool = False,
    ) -> None:
        self.name = name
        self.parameters = (*map(Parameter, shapes), LOC, SCALE)
        self._log_density, self._cdf, self._sf = log_density, cdf, sf
        self._log_cdf = log_cdf or (lambda z, *shapes: _log(cdf(z, *shapes)))
        self._log_sf = log_sf or (lambda z, *shapes: _log(sf(z, *shapes)))
        self.support = support
        self._interior, self._open_below = interior, open_below

    def logpdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the density, -inf outside the support."""
        return self._masked(self._log_density, -INFINITY, -INFINITY, x, args, kwds, density=True)

    def pdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the density, 0 outside the support."""
        return np.exp(self.logpdf(x, *args, **kwds))

    def cdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of a value of at most `x`."""
        return self._masked(self._cdf, 0.0, 1.0, x, args, kwds)

    def sf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of a value above `x`."""
        return self._masked(self._sf, 1.0, 0.0, x, args, kwds)

    def logcdf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability of a value of at most `x`."""
        return self._masked(self._log_cdf, -INFINITY, 0.0, x, args, kwds)

    def logsf(self, x: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability of a value above `x`."""
        return self._masked(self._log_sf, 0.0, -INFINITY, x, args, kwds)

    def _masked(
        self,
        formula: Formula,
        below: float,
        above: float,
        x: Any,
        args: Any,
        keywords: Any,
        density: bool = False,
    ) -> Any:
        """Return `formula` inside the support, `below` and `above` on its sides."""
        x, *values = bound(self.name, self.parameters, x, args, keywords)
        allowed, (*shapes, loc, scale) = admitted(self.parameters, values)
        z = (x - loc) / scale
        lower, upper = self.support
        under = np.less_equal(z, lower) if self._open_below else np.less(z, lower)
        inside = np.less_equal(z, upper) & np.logical_not(under)
        value = formula(np.where(inside, z, self._interior), *shapes)
        if density:
            value = value - np.log(scale)
        value = np.where(under, below, np.where(inside, value, above))
        return scalar(np.where(allowed & np.equal(z, z), value, NAN))

    def __repr__(self) -> str:
        return f"{self.name}(x, {', '.join(p.name for p in self.parameters)})"


def _log(probability: Any) -> Any:
    """Return the logarithm, -inf with gradient 0 for the probability 0."""
    zero = np.equal(probability, 0)
    return np.where(zero, -INFINITY, np.log(np.where(zero, 1, probability)))


def _halves(z: Any) -> tuple[Any, Any]:
    """Return the negative and the positive part, whose slopes at 0 are 1 and 0."""
    return np.where(np.greater(z, 0), 0.0, z), np.where(np.greater(z, 0), z, 0.0)


def _laplace_cdf(z: Any) -> Any:
    left, right = _halves(z)
    return np.where(np.greater(z, 0), 1 - np.exp(-right) / 2, np.exp(left) / 2)


def _laplace_log_cdf(z: Any) -> Any:
    left, right = _halves(z)
    return np.where(np.greater(z, 0), np.log1p(-np.exp(-right) / 2), left - LOG_TWO)


def _lognorm_log_density(z: Any, s: Any) -> Any:
    return -((np.log(z) / s) ** 2) / 2 - np.log(s * z) - LOG_ROOT_TWO_PI


def _t_log_density(z: Any, df: Any) -> Any:
    return -(df + 1) / 2 * np.log1p(z * z / df) - np.log(df) / 2 - sp.betaln(0.5, df / 2)


norm = Continuous(
    "norm",
    log_density=lambda z: -z * z / 2 - LOG_ROOT_TWO_PI,
    cdf=lambda z: sp.ndtr(z),
    sf=lambda z: sp.ndtr(-z),
    log_cdf=lambda z: sp.log_ndtr(z),
    log_sf=lambda z: sp.log_ndtr(-z),
)
t = Continuous(
    "t",
    "df",
    log_density=_t_log_density,
    cdf=lambda z, df: sp.stdtr(df, z),
    sf=lambda z, df: sp.stdtr(df, -z),
)
gamma = Continuous(
    "gamma",
    "a",
    log_density=lambda z, a: sp.xlogy(a - 1, z) - z - sp.gammaln(a),
    cdf=lambda z, a: sp.gammainc(a, z),
    sf=lambda z, a: sp.gammaincc(a, z),
    support=(0.0, INFINITY),
)
chi2 = Continuous(
    "chi2",
    "df",
    log_density=lambda z, df: gamma.logpdf(z / 2, df / 2) - LOG_TWO,
    cdf=lambda z, df: sp.gammainc(df / 2, z / 2),
    sf=lambda z, df: sp.gammaincc(df / 2, z / 2),
    support=(0.0, INFINITY),
)
beta = Continuous(
    "beta",
    "a",
    "b",
    log_density=lambda z, a, b: sp.xlogy(a - 1, z) + sp.xlog1py(b - 1, -z) - sp.betaln(a, b),
    cdf=lambda z, a, b: sp.betainc(a, b, z),
    sf=lambda z, a, b: sp.betaincc(a, b, z),
    support=(0.0, 1.0),
)
expon = Continuous(
    "expon",
    log_density=lambda z: -z,
    cdf=lambda z: -np.expm1(-z),
    sf=lambda z: np.exp(-z),
    log_sf=lambda z: -z,
    support=(0.0, INFINITY),
)
lognorm = Continuous(
    "lognorm",
    "s",
    log_density=_lognorm_log_density,
    cdf=lambda z, s: sp.ndtr(np.log(z) / s),
    sf=lambda z, s: sp.ndtr(-np.log(z) / s),
    log_cdf=lambda z, s: sp.log_ndtr(np.log(z) / s),
    log_sf=lambda z, s: sp.log_ndtr(-np.log(z) / s),
    support=(0.0, INFINITY),
    open_below=True,
)
laplace = Continuous(
    "laplace",
    log_density=lambda z: -np.abs(z) - LOG_TWO,
    cdf=_laplace_cdf,
    sf=lambda z: _laplace_cdf(-z),
    log_cdf=_laplace_log_cdf,
    log_sf=lambda z: _laplace_log_cdf(-z),
)
cauchy = Continuous(
    "cauchy",
    log_density=lambda z: -np.log1p(z * z) - LOG_PI,
    cdf=lambda z: np.arctan2(1.0, -z) / np.pi,
    sf=lambda z: np.arctan2(1.0, z) / np.pi,
)
logistic = Continuous(
    "logistic",
    log_density=lambda z: sp.log_expit(z) + sp.log_expit(-z),
    cdf=lambda z: sp.expit(z),
    sf=lambda z: sp.expit(-z),
    log_cdf=lambda z: sp.log_expit(z),
    log_sf=lambda z: sp.log_expit(-z),
)
uniform = Continuous(
    "uniform",
    log_density=lambda z: np.zeros_like(z),
    cdf=lambda z: z,
    sf=lambda z: 1 - z,
    support=(0.0, 1.0),
)
