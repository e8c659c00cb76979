"""Distributions of whole numbers.

Formulas are those of Johnson, Kemp, Kotz, Univariate discrete distributions, 2005.
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
    Parameter,
    admitted,
    bound,
    scalar,
)

PROBABILITY = Parameter("p", 0.0, 1.0, closed=True)


class Discrete:
    """A distribution of the whole numbers from 0 to `largest(*shapes)`, moved by `loc`.

    The methods take `(k, *shapes, loc=0)` as in `scipy.stats`; everything broadcasts. They are
    differentiable in the shapes; `k` and `loc` are whole numbers and thus constants. Off the whole
    numbers and the support the mass is 0, with gradient 0; where a parameter is not allowed the
    result is NaN. Raises TypeError for a missing or unknown parameter.
    """

    def __init__(
        self,
        name: str,
        *shapes: Parameter,
        log_mass: Callable[..., Any],
        cdf: Callable[..., Any],
        sf: Callable[..., Any],
        largest: Callable[..., Any] = lambda *shapes: INFINITY,
    ) -> None:
        self.name = name
        self.parameters = (*shapes, LOC)
        self._log_mass, self._cdf, self._sf, self._largest = log_mass, cdf, sf, largest

    def logpmf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability of `k`, -inf where that is 0."""
        k, shapes, allowed, place = self._standard(k, args, kwds)
        whole = np.equal(k, place) & np.less_equal(k, self._largest(*shapes)) & (k >= 0)
        value = self._log_mass(np.where(whole, k, 0.0), *shapes)
        return scalar(np.where(allowed, np.where(whole, value, -INFINITY), NAN))

    def pmf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of `k`."""
        return np.exp(self.logpmf(k, *args, **kwds))

    def cdf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of a value of at most `k`."""
        return self._cumulative(self._cdf, 0.0, 1.0, k, args, kwds)

    def sf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the probability of a value above `k`."""
        return self._cumulative(self._sf, 1.0, 0.0, k, args, kwds)

    def logcdf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability of a value of at most `k`."""
        return np.log(self.cdf(k, *args, **kwds))

    def logsf(self, k: Any, *args: Any, **kwds: Any) -> Any:
        """Return the logarithm of the probability of a value above `k`."""
        return np.log(self.sf(k, *args, **kwds))

    def _cumulative(
        self, formula: Any, below: float, above: float, k: Any, args: Any, keywords: Any
    ) -> Any:
        k, shapes, allowed, _ = self._standard(k, args, keywords)
        inside = (k >= 0) & np.less(k, self._largest(*shapes))
        value = formula(np.where(inside, k, 0.0), *shapes)
        value = np.where(k < 0, below, np.where(inside, value, above))
        return scalar(np.where(allowed, value, NAN))

    def _standard(self, k: Any, args: Any, keywords: Any) -> tuple[Any, list[Any], Any, Any]:
        """Return `k` without `loc` and rounded down, the shapes, where allowed, and `k` itself."""
        k, *values = bound(self.name, self.parameters, k, args, keywords)
        allowed, (*shapes, loc) = admitted(self.parameters, values)
        place = k - loc
        return np.floor(place), shapes, allowed & np.equal(place, place), place

    def __repr__(self) -> str:
        return f"{self.name}(k, {', '.join(p.name for p in self.parameters)})"


def _binom_log_mass(k: Any, n: Any, p: Any) -> Any:
    ways = sp.gammaln(n + 1) - sp.gammaln(k + 1) - sp.gammaln(n - k + 1)
    return ways + sp.xlogy(k, p) + sp.xlog1py(n - k, -p)


poisson = Discrete(
    "poisson",
    Parameter("mu", 0.0, closed=True),
    log_mass=lambda k, mu: sp.xlogy(k, mu) - mu - sp.gammaln(k + 1),
    cdf=lambda k, mu: sp.gammaincc(k + 1, mu),
    sf=lambda k, mu: sp.gammainc(k + 1, mu),
)
bernoulli = Discrete(
    "bernoulli",
    PROBABILITY,
    log_mass=lambda k, p: sp.xlogy(k, p) + sp.xlog1py(1 - k, -p),
    cdf=lambda k, p: 1 - p,
    sf=lambda k, p: p,
    largest=lambda p: 1,
)
binom = Discrete(
    "binom",
    Parameter("n", 0.0, closed=True),
    PROBABILITY,
    log_mass=_binom_log_mass,
    cdf=lambda k, n, p: sp.betaincc(k + 1, np.where(np.less(k, n), n - k, 1.0), p),
    sf=lambda k, n, p: sp.betainc(k + 1, np.where(np.less(k, n), n - k, 1.0), p),
    largest=lambda n, p: n,
)
