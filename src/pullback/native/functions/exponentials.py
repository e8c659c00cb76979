"""exp and its kin: powers of two, hyperbolic functions, the logistic function.

The range is reduced as in Cody and Waite, "Software Manual for the Elementary Functions", 1980.
Polynomials with no other source are minimax, by Remez' exchange.
"""

from __future__ import annotations

import math

from pullback.native.engine import target
from pullback.native.functions.reals import (
    Real,
    Whole,
    choose,
    fused,
    halved_polynomial,
    polynomial,
)

LOG2_PARTS = (
    (0.693359375, -2.12194440e-4),
    (6.93147180369123816490e-01, 1.90821492927058770002e-10),
)
"""log(2) in two parts; the first has few bits, so that whole numbers times it are exact."""


def _reduced(x: Real) -> tuple[Whole, Real]:
    """Return whole n and r with x = n log(2) + r and r small."""
    high, low = x.pick(*LOG2_PARTS)
    whole, n = x.rounded(1 / math.log(2.0))
    return whole, fused(n, -low, fused(n, -high, x))


def _tail(r: Real) -> Real:
    """Return (exp(r) - 1 - r) / r**2, for |r| up to log(2) / 2."""
    value: Real = r.pick(polynomial, halved_polynomial)(r, r.pick(
        (0.001381446298, 0.008368780431, 0.04166839428, 0.1666652011, 0.4999999341),
        (2.082653401795328e-09, 2.511214450745499e-08, 2.755758280384464e-07,
         2.7557234558737338e-06, 2.4801586924593604e-05, 0.00019841269896681007,
         0.0013888888889117272, 0.008333333333316918, 0.04166666666666609, 0.16666666666666682,
         0.5),
    ))  # fmt: skip
    return value


def reduced_exp(x: Real, rest: Real | None = None) -> tuple[Whole, Real]:
    """Return whole n and m with exp(x + rest) = 2**n (1 + m), for x within exp's range."""
    whole, r = _reduced(x)
    r = r if rest is None else r + rest
    return whole, fused(r * r, _tail(r), r)


def scaled(x: Real, whole: Whole) -> Real:
    """Return x * 2**whole; where that takes two factors, one alone may be out of range."""
    if target().has("avx512dq"):
        return x.ldexp(whole)
    half = whole >> 1
    return x * x.power_of_two(half) * x.power_of_two(whole - half)


def exp(x: Real) -> Real:
    """e to the power of x."""
    whole, r = _reduced(x.within(*x.pick((-104.0, 89.0), (-746.0, 710.0))))
    return scaled(fused(fused(_tail(r), r, 1.0), r, 1.0), whole)


def exp2(x: Real) -> Real:
    """2 to the power of x; exact for whole x."""
    y = x.within(*x.pick((-151.0, 129.0), (-1076.0, 1025.0)))
    whole, n = y.rounded(1.0)
    r = y - n
    p = x.pick(polynomial, halved_polynomial)(r, x.pick(
        (0.00015476299382287395, 0.0013400269670334733, 0.009618003894148814, 0.05550327791184311,
         0.24022651345863402, 0.693147206248201),
        (4.45738481573355e-10, 7.073860068483593e-09, 1.0178046476517725e-07,
         1.3215434817600192e-06, 1.5252733867507855e-05, 0.00015403530458078118,
         0.0013333558146379067, 0.009618129107593333, 0.05550410866482174, 0.24022650695910133,
         0.6931471805599453),
    ))  # fmt: skip
    return scaled(fused(p, r, 1.0), whole)


def expm1(x: Real) -> Real:
    """exp(x) - 1, accurate near 0."""
    low, high = x.pick((-40.0, 85.0), (-80.0, 700.0))
    whole, m = reduced_exp(x.within(low, high))
    scale = x.power_of_two(whole)
    near = choose(x.equals(0.0), x, fused(scale, m, scale - 1.0))  # keeps the sign of zero
    return choose(x > high, exp(x), near)


def _halves(x: Real) -> tuple[Real, Real, Real, Real]:
    """Return sinh(r), cosh(r) - 1, and (2**n + 2**-n) / 4 and (2**n - 2**-n) / 4 for |x|.

    n and r are those of exp's reduced range.
    """
    whole, r = _reduced(abs(x).within(0.0, x.pick(89.5, 710.5)))
    z = r * r
    s = polynomial(z, x.pick(
        (0.0001990499947, 0.008333288922, 0.1666666675),
        (1.6090877746443157e-10, 2.505205660315406e-08, 2.7557319265413202e-06,
         0.00019841269841253088, 0.008333333333333337, 0.16666666666666666),
    ))  # fmt: skip
    c = polynomial(z, x.pick(
        (0.001393548852, 0.04166645873),
        (2.092172214223313e-09, 2.755725196248081e-07, 2.4801587349051115e-05,
         0.0013888888888873348, 0.041666666666666685),
    ))  # fmt: skip
    sinh_r, cosh_r = fused(r * z, s, r), z * fused(z, c, 0.5)
    up = x.power_of_two(whole - 2)
    down = x.power_of_two((-whole - 2).within(-x.bias, x.bias))
    return sinh_r, cosh_r, up + down, up - down


def sinh(x: Real) -> Real:
    """(exp(x) - exp(-x)) / 2."""
    s, c, total, difference = _halves(x)
    result = fused(difference, c, total * s) + difference
    size = abs(x)
    tiny = size < x.pick(2.0**-12, 2.0**-27)
    return choose(tiny, size, result + result).signed_as(x)


def cosh(x: Real) -> Real:
    """(exp(x) + exp(-x)) / 2."""
    s, c, total, difference = _halves(x)
    result = fused(total, c, difference * s) + total
    return result + result


def tanh(x: Real) -> Real:
    """1 - 2 / (exp(2 x) + 1), and a series near 0."""
    size, z, end = abs(x), x * x, x.pick(10.0, 20.0)  # from there on it is 1
    # Moshier, Cephes, 1989
    if x.dtype.itemsize == 4:
        p = polynomial(z, (
            -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
            -3.33332819422e-1,
        ))  # fmt: skip
    else:
        p = polynomial(z, (
            -9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3,
        )) / polynomial(z, (
            1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3,
        ))  # fmt: skip
    whole, m = reduced_exp(2.0 * choose(size > end, end, size))
    scale = x.power_of_two(whole)
    far = 1.0 - 2.0 / fused(scale, m, scale + 1.0)
    return choose(size < 0.625, fused(z * p, size, size), far).signed_as(x)


def expit(x: Real) -> Real:
    """1 / (1 + exp(-x)), in which nothing overflows."""
    e = exp(-abs(x))
    top = choose(x < 0.0, e, 1.0)
    q = top / (1.0 + e)
    return fused(fused(-q, e, top - q), 1.0 - q, q)  # what rounding took from 1 + e and from q
