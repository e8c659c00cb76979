"""The gamma function and its kin: beta, digamma, binomials, incomplete gamma and beta functions.

Formulas are those of the Digital Library of Mathematical Functions (DLMF), chapters 5 and 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.dispatch import as_operand, implements
from pullback.core.errors import ConfigError
from pullback.core.op import Op
from pullback.ops.batching import pointwise
from pullback.ops.families import POSITIVE, elementwise, general, same_as_first
from pullback.ops.special_parameters import constant, whole_then

UNIT = (0.15, 0.85)
WHOLE = "x a whole number below 1: NaN"


def _rgamma_slope(y: Any, x: Any) -> Any:
    # DLMF 5.5.3 by reflection on the left, where psi and 1/gamma would be infinity times zero
    left, right = np.where(x < 0.5, x, 0.25), np.where(x < 0.5, 0.75, x)
    angle, reflected = np.pi * left, 1 - left
    slope = np.cos(angle) - sp.psi(reflected) * np.sin(angle) / np.pi
    return np.where(x < 0.5, sp.gamma(reflected) * slope, -sp.psi(right) * sp.rgamma(right))


# DLMF 5.2.2: psi = gamma' / gamma
gamma = elementwise(sp.gamma, lambda y, x: y * sp.psi(x), domain=POSITIVE, undefined_at=WHOLE)
gammaln = elementwise(sp.gammaln, lambda y, x: sp.psi(x), domain=POSITIVE, undefined_at=WHOLE)
loggamma = elementwise(sp.loggamma, lambda y, x: sp.psi(x), domain=POSITIVE, undefined_at=WHOLE)
rgamma = elementwise(
    sp.rgamma, _rgamma_slope, undefined_at="x = inf: NaN, where the slope tends to 0"
)


@implements(sp.polygamma)
def polygamma(n: int, x: Any) -> Any:
    """Return the n-th derivative of the digamma function (DLMF 5.15); n is one whole number."""
    if np.ndim(n) or n != int(n) or n < 0:
        raise ConfigError(f"polygamma: expected n, one whole number from 0 on, got {n!r}")
    x = as_operand(x)
    return digamma(x) if n == 0 else polygamma_op(x, n=int(n))


digamma = elementwise(
    sp.psi, lambda y, x: polygamma(1, x), name="digamma", domain=POSITIVE, undefined_at=WHOLE
)
polygamma_op: Op = general(
    "polygamma",
    lambda x, n: np.asarray(sp.polygamma(n, x)).astype(np.result_type(x, np.float32))[()],
    vjp=lambda i, ct, out, args, params: ct * polygamma(params["n"] + 1, args[0]),
    jvp=lambda tangents, out, args, params: tangents[0] * polygamma(params["n"] + 1, args[0]),
    infer=lambda x, n: same_as_first(x),
    batch=pointwise("polygamma"),
    samples=lambda rng: [((rng.uniform(0.5, 3.0, (2, 3)),), {"n": n}) for n in (1, 2)],
    undefined_at=WHOLE,
)

# DLMF 5.12.1: B(a, b) = gamma(a) gamma(b) / gamma(a + b)
beta = elementwise(
    sp.beta,
    lambda y, a, b: y * (sp.psi(a) - sp.psi(a + b)),
    lambda y, a, b: y * (sp.psi(b) - sp.psi(a + b)),
    domain=POSITIVE,
    undefined_at="a or b a whole number below 1: NaN",
)
betaln = elementwise(
    sp.betaln,
    lambda y, a, b: sp.psi(a) - sp.psi(a + b),
    lambda y, a, b: sp.psi(b) - sp.psi(a + b),
    domain=POSITIVE,
    undefined_at="a or b a whole number below 1: NaN",
)
# DLMF 5.2.5: poch(a, n) = gamma(a + n) / gamma(a)
poch = elementwise(
    sp.poch,
    lambda y, a, n: y * (sp.psi(a + n) - sp.psi(a)),
    lambda y, a, n: y * sp.psi(a + n),
    domain=POSITIVE,
    undefined_at="a or a + n a whole number below 1: NaN",
)
# DLMF 1.2.6: binom(n, k) = gamma(n + 1) / (gamma(k + 1) gamma(n - k + 1))
binom = elementwise(
    sp.binom,
    lambda y, n, k: y * (sp.psi(n + 1) - sp.psi(n - k + 1)),
    lambda y, n, k: y * (sp.psi(n - k + 1) - sp.psi(k + 1)),
    domain=((2.0, 5.0), (0.3, 1.7)),
    undefined_at="n, k or n - k a whole number below 0: NaN",
)


def _gamma_density(a: Any, x: Any) -> Any:
    """Return x**(a - 1) exp(-x) / gamma(a), DLMF 8.8.13."""
    return np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """Return x**(a - 1) (1 - x)**(b - 1) / B(a, b), DLMF 8.17.1."""
    return np.exp(sp.xlogy(a - 1, x) + sp.xlog1py(b - 1, -x) - sp.betaln(a, b))


gammainc = elementwise(
    sp.gammainc,
    constant("gammainc", "a"),
    lambda y, a, x: _gamma_density(a, x),
    samples=whole_then(1, 1, 4, POSITIVE),
    undefined_at="x = 0: infinite for a < 1",
)
gammaincc = elementwise(
    sp.gammaincc,
    constant("gammaincc", "a"),
    lambda y, a, x: -_gamma_density(a, x),
    samples=whole_then(1, 1, 4, POSITIVE),
    undefined_at="x = 0: infinite for a < 1",
)
gammaincinv = elementwise(
    sp.gammaincinv,
    constant("gammaincinv", "a"),
    lambda x, a, y: 1 / _gamma_density(a, x),
    samples=whole_then(1, 1, 4, UNIT),
    undefined_at="y = 0 or 1: infinite or 0",
)
gammainccinv = elementwise(
    sp.gammainccinv,
    constant("gammainccinv", "a"),
    lambda x, a, y: -1 / _gamma_density(a, x),
    samples=whole_then(1, 1, 4, UNIT),
    undefined_at="y = 0 or 1: infinite or 0",
)
betainc = elementwise(
    sp.betainc,
    constant("betainc", "a"),
    constant("betainc", "b", 1),
    lambda y, a, b, x: _beta_density(a, b, x),
    samples=whole_then(2, 1, 4, UNIT),
    undefined_at="x = 0 or 1: infinite for a < 1 or b < 1",
)
betaincc = elementwise(
    sp.betaincc,
    constant("betaincc", "a"),
    constant("betaincc", "b", 1),
    lambda y, a, b, x: -_beta_density(a, b, x),
    samples=whole_then(2, 1, 4, UNIT),
    undefined_at="x = 0 or 1: infinite for a < 1 or b < 1",
)
betaincinv = elementwise(
    sp.betaincinv,
    constant("betaincinv", "a"),
    constant("betaincinv", "b", 1),
    lambda x, a, b, y: 1 / _beta_density(a, b, x),
    samples=whole_then(2, 1, 4, UNIT),
    undefined_at="y = 0 or 1: infinite or 0",
)


@implements(sp.multigammaln)
def multigammaln(a: Any, d: int) -> Any:
    """Return the logarithm of the multivariate gamma function (DLMF 35.3.5); NaN below its domain.

    `a` is an array of reals above (d - 1) / 2, the dimension `d` one whole number from 1 on.
    """
    if np.ndim(d) or d != int(d) or d < 1:
        raise ConfigError(f"multigammaln: expected d, one whole number from 1 on, got {d!r}")
    a = as_operand(a)
    terms = [sp.gammaln(a - j / 2) for j in range(int(d))]
    value = sum(terms[1:], terms[0]) + d * (d - 1) / 4 * float(np.log(np.pi))
    return np.where(np.greater(a, (d - 1) / 2), value, float("nan"))


@implements(sp.factorial)
def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """Return gamma(n + 1), and 0 for n < 0; whole numbers in arithmetic of floats."""
    if exact or extend != "zero":
        raise ConfigError("factorial: expected exact=False and extend='zero' for traced arguments")
    n = as_operand(n)
    return np.where(np.less(n, 0), 0.0, sp.gamma(np.where(np.less(n, 0), 0.0, n) + 1))


@implements(sp.comb)
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """Return how many ways there are to choose k of N things, in arithmetic of floats.

    It is 0 outside 0 <= k <= N, as SciPy has it.
    """
    if exact:
        raise ConfigError("comb: expected exact=False; exact whole numbers have no derivative")
    N, k = as_operand(N), as_operand(k)
    if repetition:
        return comb(np.add(N, k) - 1, k)
    inside = np.less_equal(k, N) & np.greater_equal(N, 0) & np.greater_equal(k, 0)
    return np.where(inside, sp.binom(np.where(inside, N, 1.0), np.where(inside, k, 0.0)), 0.0)
