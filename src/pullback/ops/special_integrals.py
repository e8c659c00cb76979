"""Integrals and series: exponential, sine, Fresnel, elliptic, hypergeometric, zeta, Lambert W.

Formulas are those of the Digital Library of Mathematical Functions (DLMF).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.aval import Aval
from pullback.core.dispatch import as_operand, implements
from pullback.ops.batching import pointwise
from pullback.ops.families import (
    POSITIVE,
    REAL,
    chain,
    dtype_of,
    elementwise,
    expand,
    general,
    match,
)
from pullback.ops.special_parameters import constant, whole_then

HALF_PI = float(np.pi / 2)
POLE = "x = 0: infinite"
BRANCH = "x = 1: infinite"


def exprel_slope(x: Any) -> Any:
    """Return the derivative of (exp(x) - 1) / x: the sum of x**k / (k! (k + 2)) near 0."""
    near = np.abs(x) < 0.5
    small, large = np.where(near, x, 0), np.where(near, 1, x)
    series: Any = 1 / (math.factorial(15) * 17)
    for k in range(14, -1, -1):
        series = series * small + 1 / (math.factorial(k) * (k + 2))
    return np.where(near, series, (np.exp(large) - sp.exprel(large)) / large)


exprel = elementwise(sp.exprel, lambda y, x: exprel_slope(x))


def _sinhc(x: Any) -> Any:
    """Return sinh(x) / x, 1 at 0."""
    return (sp.exprel(x) + sp.exprel(-x)) / 2


# DLMF 6.2.1, 6.2.5 and 8.19.13
exp1 = elementwise(sp.exp1, lambda y, x: -np.exp(-x) / x, domain=POSITIVE, undefined_at=POLE)
expi = elementwise(sp.expi, lambda y, x: np.exp(x) / x, domain=POSITIVE, undefined_at=POLE)


def _expn_slope(y: Any, n: Any, x: Any) -> Any:
    elementary = np.exp(-x) * (1 + 1 / x) / x
    return -np.where(np.equal(n, 0), elementary, sp.expn(np.where(np.equal(n, 0), 1, n) - 1, x))


expn = elementwise(
    sp.expn,
    constant("expn", "n"),
    _expn_slope,
    samples=whole_then(1, 0, 4, POSITIVE),
    undefined_at="x = 0: infinite for n <= 2",
)

# DLMF 6.2.9, 6.2.11, 6.2.15, 6.2.16, each the integral of the slope
sine_integral = elementwise(
    lambda x: sp.sici(x)[0],
    lambda y, x: np.sinc(x / np.pi),
    name="sine_integral",
    undefined_at="x = -inf or inf: NaN, where the slope tends to 0",
    dtype=dtype_of(sp.sici),
)
cosine_integral = elementwise(
    lambda x: sp.sici(x)[1],
    lambda y, x: np.cos(x) / x,
    name="cosine_integral",
    dtype=dtype_of(sp.sici),
    domain=POSITIVE,
    undefined_at=POLE,
)
sinh_integral = elementwise(
    lambda x: sp.shichi(x)[0],
    lambda y, x: _sinhc(x),
    name="sinh_integral",
    dtype=dtype_of(sp.shichi),
)
cosh_integral = elementwise(
    lambda x: sp.shichi(x)[1],
    lambda y, x: np.cosh(x) / x,
    name="cosh_integral",
    dtype=dtype_of(sp.shichi),
    domain=POSITIVE,
    undefined_at=POLE,
)
# DLMF 7.2.8 and 7.2.7
fresnel_sine = elementwise(
    lambda x: sp.fresnel(x)[0],
    lambda y, x: np.sin(HALF_PI * x * x),
    name="fresnel_sine",
    undefined_at="x = -inf or inf: NaN, where the slope oscillates",
    dtype=dtype_of(sp.fresnel),
)
fresnel_cosine = elementwise(
    lambda x: sp.fresnel(x)[1],
    lambda y, x: np.cos(HALF_PI * x * x),
    name="fresnel_cosine",
    undefined_at="x = -inf or inf: NaN, where the slope oscillates",
    dtype=dtype_of(sp.fresnel),
)


@implements(sp.sici)
def sici(x: Any) -> tuple[Any, Any]:
    """Return the sine and the cosine integral."""
    return sine_integral(x), cosine_integral(x)


@implements(sp.shichi)
def shichi(x: Any) -> tuple[Any, Any]:
    """Return the hyperbolic sine and cosine integrals."""
    return sinh_integral(x), cosh_integral(x)


@implements(sp.fresnel)
def fresnel(x: Any) -> tuple[Any, Any]:
    """Return the Fresnel integrals S and C."""
    return fresnel_sine(x), fresnel_cosine(x)


# DLMF 25.12.2: Li2(1 - x)' = log(x) / (1 - x), which is -1 / exprel(log x)
spence = elementwise(
    sp.spence,
    lambda y, x: -1 / sp.exprel(np.log(x)),
    domain=POSITIVE,
    undefined_at="x = 0: infinite",
)

# DLMF 15.5.1, 13.3.15 and 16.3.1: the derivative is the neighbour times the ratio of parameters
hyp2f1 = elementwise(
    sp.hyp2f1,
    constant("hyp2f1", "a"),
    constant("hyp2f1", "b", 1),
    constant("hyp2f1", "c", 2),
    lambda y, a, b, c, z: a * b / c * sp.hyp2f1(a + 1, b + 1, c + 1, z),
    samples=whole_then(3, 1, 3, (-0.7, 0.7)),
    undefined_at="z = 1: infinite; c a whole number below 1: infinite or NaN",
)
hyp1f1 = elementwise(
    sp.hyp1f1,
    constant("hyp1f1", "a"),
    constant("hyp1f1", "b", 1),
    lambda y, a, b, x: a / b * sp.hyp1f1(a + 1, b + 1, x),
    samples=whole_then(2, 1, 3, REAL),
    undefined_at="b a whole number below 1: infinite or NaN",
)
hyp0f1 = elementwise(
    sp.hyp0f1,
    constant("hyp0f1", "v"),
    lambda y, v, z: sp.hyp0f1(v + 1, z) / v,
    samples=whole_then(1, 1, 3, REAL),
    undefined_at="v a whole number below 1: infinite or NaN",
)

# DLMF 19.5.1 and 19.5.2: K = pi/2 F(1/2, 1/2; 1; m), E = pi/2 F(-1/2, 1/2; 1; m)
ellipk = elementwise(
    sp.ellipk,
    lambda y, m: HALF_PI / 4 * sp.hyp2f1(1.5, 1.5, 2.0, m),
    domain=(-0.7, 0.7),
    undefined_at=BRANCH,
)
ellipe = elementwise(
    sp.ellipe,
    lambda y, m: -HALF_PI / 4 * sp.hyp2f1(0.5, 1.5, 2.0, m),
    domain=(-0.7, 0.7),
    undefined_at=BRANCH,
)

# DLMF 25.11.17
hurwitz_zeta = elementwise(
    sp._ufuncs._zeta,
    constant("zeta", "x"),
    lambda y, x, q: -x * sp.zeta(x + 1, q),
    name="zeta",
    samples=whole_then(1, 2, 5, POSITIVE),
    undefined_at="q = 0, -1, ...: infinite or NaN",
)


@implements(sp.zeta)
def zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    """Return the Hurwitz zeta function, differentiable in q; Riemann's where q is None."""
    return sp.zeta(x, 1.0 if q is None else q, out)


@implements(sp.lambertw)
def lambertw(z: Any, k: int = 0, tol: float = 1e-8) -> Any:
    """Return the branch `k` of Lambert's W function, complex as SciPy's is."""
    return lambertw_op(as_operand(z), k=k, tol=tol)


def _lambertw_slope(w: Any) -> Any:
    # DLMF 4.13.4
    return np.exp(-w) / (1 + w)


lambertw_op = general(
    "lambertw",
    lambda z, k, tol: np.asarray(sp.lambertw(z, k, tol))[()],
    vjp=lambda i, ct, w, args, params: match(chain(ct, _lambertw_slope(w)), args[0]),
    jvp=lambda tangents, w, args, params: expand(chain(tangents[0], _lambertw_slope(w)), w),
    infer=lambda z, k, tol: Aval(z.shape, np.complex128),
    batch=pointwise("lambertw"),
    samples=lambda rng: [
        ((rng.uniform(0.2, 3.0, shape),), {"k": k, "tol": 1e-8})
        for shape, k in (((2, 3), 0), ((), 0), ((3,), 1))
    ],
    undefined_at="z = -1/e for k = 0 or -1: infinite",
)
