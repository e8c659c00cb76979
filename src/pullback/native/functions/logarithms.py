"""log and its kin: other bases, log1p, logarithms of sums, inverse hyperbolic functions.

Polynomials, and a quotient of two, are minimax, by Remez' exchange.
"""

from __future__ import annotations

import math

import numpy as np

from pullback.native.functions.exponentials import LOG2_PARTS, exp
from pullback.native.functions.reals import (
    Real,
    Whole,
    choose,
    fused,
    polynomial,
)


def split(x: Real) -> tuple[Whole, Real]:
    """Return whole e and m from 2/3 to 4/3 with x = m * 2**e, for normal x."""
    bits = x.bits()
    e = (bits - int(np.asarray(2 / 3, x.dtype).view(bits.dtype))) >> x.fraction_bits
    return e, x.of_bits(bits - (e << x.fraction_bits))


def _split_any(x: Real) -> tuple[Real, Real]:
    """Return e and m, of denormal x too."""
    tiny, scale = float(np.finfo(x.dtype).tiny), 2.0**x.fraction_bits
    e, m = split(choose(x < tiny, x * scale, x))
    return x.of_whole(e) + choose(x < tiny, x.like(-x.fraction_bits), 0.0), m


def _tail(r: Real) -> Real:
    """Return log(1 + r) - r, for r from -1/3 to 1/3."""
    z = r * r
    if r.dtype.itemsize == 4:
        p = polynomial(r, (
            -0.1289168770369374, 0.13984440602655718, -0.12184261293883762, 0.14005868144855194,
            -0.16680487240476408, 0.2001040597890568, -0.24999797677904537, 0.33333215981210806,
        ))  # fmt: skip
    else:
        p = polynomial(r, (
            5.726303196522763e-06, 0.023810622704150585, 0.2175970258597481,
            0.6524537237251669, 0.7896889542914655, 0.3333333333333296,
        )) / polynomial(r, (
            0.047883446184352293, 0.5247822915327139, 2.0538469486059436,
            3.6966613183293466, 3.1190668628743445, 1.0,
        ))  # fmt: skip
    return fused(z, -0.5, r * z * p)


def _special(x: Real, result: Real) -> Real:
    """Return the logarithm of x: `result` where x is positive and finite."""
    result = choose(x.equals(math.inf), math.inf, result)
    result = choose(x.equals(0.0), -math.inf, result)
    return choose(x.compare("ult", 0.0), math.nan, result)


def _of_parts(e: Real, r: Real) -> Real:
    """Return e log(2) + log(1 + r)."""
    high, low = e.pick(*LOG2_PARTS)
    return fused(e, high, r + fused(e, low, _tail(r)))


def log(x: Real) -> Real:
    """The natural logarithm."""
    e, m = _split_any(x)
    return _special(x, _of_parts(e, m - 1.0))


def _in_base(x: Real, unit: tuple[float, float], factor: tuple[float, float]) -> Real:
    """Return e * unit + factor * log(m); what rounding takes from the sum is added in the end."""
    e, m = _split_any(x)
    r = m - 1.0
    whole = e * unit[0]
    part = r * factor[0]
    total = whole + part
    lost = part - (total - whole)
    lost = lost + fused(r, factor[0], -part) + fused(r, factor[1], e * unit[1])
    return _special(x, total + fused(_tail(r), factor[0], lost))


def _parts(value: float, rest: float, x: Real, bits: int) -> tuple[float, float]:
    """Return a number of few bits, and the rest."""
    scale = 2.0 ** (bits - math.frexp(value)[1])
    high = math.floor(value * scale) / scale
    return high, (value - high) + rest


def log2(x: Real) -> Real:
    """The logarithm to base 2; exact for powers of 2."""
    factor = _parts(1 / math.log(2.0), 2.0355273740931033e-17, x, x.pick(24, 53))
    return _in_base(x, (1.0, 0.0), factor)


def log10(x: Real) -> Real:
    """The logarithm to base 10."""
    unit = _parts(math.log10(2.0), -2.8037281277851704e-18, x, x.pick(15, 41))
    factor = _parts(1 / math.log(10.0), 1.098319650216765e-17, x, x.pick(24, 53))
    return _in_base(x, unit, factor)


def exact_sum(x: Real, y: Real | float) -> tuple[Real, Real]:
    """Return x + y and what rounding took from it (Knuth, TAOCP 2, 4.2.2)."""
    total = x + y
    second = total - x
    return total, (x - (total - second)) + (y - second)


def _of_sum(total: Real, lost: Real, doublings: Real | None = None) -> Real:
    """Return log((total + lost) * 2**doublings), for a total from 2/3 on and a small `lost`."""
    e, m = split(total)
    r = fused(lost, total.power_of_two((-e).within(1 - total.bias, total.bias)), m - 1.0)
    exponent = total.of_whole(e)
    return _of_parts(exponent if doublings is None else exponent + doublings, r)


def log1p(x: Real) -> Real:
    """log(1 + x), accurate near 0."""
    total, lost = exact_sum(x, 1.0)
    result = _special(total, _of_sum(total, lost))
    return choose(x.equals(0.0), x, result)  # keeps the sign of zero


def log_expit(x: Real) -> Real:
    """log(1 / (1 + exp(-x))) = min(x, 0) - log(1 + exp(-|x|))."""
    e = exp(-abs(x))
    total = e + 1.0
    return -(_of_sum(total, e - (total - 1.0)) - x.intrinsic("minimum", 0.0))


def logaddexp(x: Real, y: Real) -> Real:
    """log(exp(x) + exp(y)) without overflow; equal infinities give themselves."""
    e = exp(-abs(x - y))
    total = e + 1.0
    result = x.intrinsic("maximum", y) + _of_sum(total, e - (total - 1.0))
    return choose(x.equals(y), x + math.log(2.0), result)


def _of_one_and(large: Real, small: Real, x: Real) -> Real:
    """Return log(1 + large + small), which is close to log(2 x) for x that are large."""
    part, lost = exact_sum(large, small)
    total, more = exact_sum(part, 1.0)
    huge = x > x.pick(2.0**12, 2.0**28)
    total, lost = choose(huge, x, total), choose(huge, 0.0, lost + more)
    result = _of_sum(total, lost, choose(huge, x.like(1.0), 0.0))
    return choose(x < math.inf, result, x)


def arcsinh(x: Real) -> Real:
    """log(x + sqrt(x**2 + 1))."""
    size = abs(x)
    square = size * size
    above = square / (1.0 + (1.0 + square).sqrt())
    return _of_one_and(size, above, size).signed_as(x)


def arccosh(x: Real) -> Real:
    """log(x + sqrt(x**2 - 1))."""
    excess = x - 1.0
    root = fused(excess, excess, excess + excess).sqrt()
    return choose(x.compare("ult", 1.0), math.nan, _of_one_and(root, excess, x))


def arctanh(x: Real) -> Real:
    """log((1 + x) / (1 - x)) / 2."""
    size, z = abs(x), x * x
    p = polynomial(z, x.pick(
        (0.1766908861, 0.05135851043, 0.1182372117, 0.142227634, 0.200025182, 0.3333330007),
        (0.25838320904628265, -0.24304439279190024, 0.21199802788491037, -0.029449108672157755,
         0.06232730803458195, 0.04397928124199345, 0.053140805611692266, 0.05877169748611197,
         0.06667047684309614, 0.07692287844188078, 0.0909090979966107, 0.11111111094671541,
         0.1428571428594094, 0.1999999999999842, 0.33333333333333337),
    ))  # fmt: skip
    small = fused(size * z, p, size)
    total, lost = exact_sum(2.0 * size / (1.0 - size), 1.0)
    large = choose(size < 1.0, 0.5 * _of_sum(total, lost), math.inf)
    result = choose(size > 0.5, large, small)
    return choose(size > 1.0, math.nan, result).signed_as(x)
