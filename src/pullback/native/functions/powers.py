"""Powers and roots."""

from __future__ import annotations

import math

import numpy as np

from pullback.native.functions.exponentials import LOG2_PARTS, reduced_exp, scaled
from pullback.native.functions.logarithms import exact_sum, split
from pullback.native.functions.reals import Real, choose, exactly_fused, fused, polynomial

DOUBLE = np.dtype(np.float64)


def cbrt(x: Real) -> Real:
    """The cube root: of the reciprocal first, which needs no division, by Halley's iteration."""
    size = abs(x)
    tiny = size < float(np.finfo(x.dtype).tiny)
    y = choose(tiny, size * x.pick(2.0**24, 2.0**54), size)
    # a third of the number's memory is close to a third of its logarithm
    guess = x.pick(0x54A2FA8C, 0x553EF0FF289DD796)
    third = (x.of_whole(y.bits()) * (1 / 3)).truncated()
    root = x.of_bits(-third + guess)
    for _ in range(2):
        error = 1.0 - y * root * root * root
        root = fused(root * error, fused(error, 2 / 9, 1 / 3), root)
    value = y * root * root
    rest = exactly_fused(value * value, -value, y)
    value = fused(rest * (1 / 3), root * root, value)
    value = choose(tiny, value * x.pick(2.0**-8, 2.0**-18), value)
    return choose((size > 0.0) & (size < math.inf), value, size).signed_as(x)


def hypot(x: Real, y: Real) -> Real:
    """sqrt(x**2 + y**2), in which nothing overflows."""
    if x.dtype.itemsize == 4:
        a, b = x.to(DOUBLE), y.to(DOUBLE)
        result = fused(a, a, b * b).sqrt().to(x.dtype)
    else:
        a, b = abs(x), abs(y)
        bits = choose(a > b, a, b).bits() >> x.fraction_bits
        e = (bits - x.bias).within(-1000, 1000)
        down = x.power_of_two(-e)
        a, b = a * down, b * down
        result = fused(a, a, b * b).sqrt() * x.power_of_two(e)
    infinite = abs(x).equals(math.inf) | abs(y).equals(math.inf)
    return choose(infinite, math.inf, result)


def power(x: Real, y: Real) -> Real:
    """x to the power of y, its special cases those of C99 (annex F.9.4.4)."""
    size = abs(x)
    result = x.pick(_single_power, _double_power)(size, y)
    whole = y.nearest().equals(y)
    odd = whole & ~(0.5 * y).nearest().equals(0.5 * y)
    negative = x.like(1.0).signed_as(x) < 0.0
    result = choose(negative & odd, -result, result)
    result = choose((x < 0.0) & (size < math.inf) & (~whole) & ~y.is_nan(), math.nan, result)
    unit = x.equals(1.0) | (size.equals(1.0) & abs(y).equals(math.inf))
    return choose(y.equals(0.0) | unit, 1.0, result)


def _single_power(size: Real, y: Real) -> Real:
    """Return the power of a size in float32, by way of float64, where rounding does not matter."""
    x = size.to(DOUBLE)
    e, m = split(x)
    r = m - 1.0
    z = r * r
    p = polynomial(r, (
        -0.10363933829067845, 0.10876040951252666, -0.07773121123752584, 0.08580825047852453,
        -0.1004716011244293, 0.11149859123645724, -0.12497958765791259, 0.14284251426865685,
        -0.16666709112350137, 0.20000025051331946, -0.24999999678571339, 0.33333333193288445,
    ))  # fmt: skip
    log = fused(x.of_whole(e), math.log(2.0), fused(z, fused(r, p, -0.5), r))
    log = choose(x.equals(0.0), -math.inf, choose(x < math.inf, log, x))
    exponent = (y.to(DOUBLE) * log).within(-110.0, 90.0)
    whole, n = exponent.rounded(1 / math.log(2.0))
    r = fused(n, -math.log(2.0), exponent)
    p = polynomial(r, (
        # Moshier, Cephes, 1989
        1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1,
    ))  # fmt: skip
    scale = x.power_of_two(whole)
    return fused(scale, fused(r * r, p, r), scale).to(size.dtype)


Pair = tuple[Real, Real]
"""A number as a sum of two, the second one far smaller."""


def _product(x: Pair, y: Pair) -> Pair:
    high = x[0] * y[0]
    lost = exactly_fused(x[0], y[0], -high)
    return high, lost + fused(x[0], y[1], x[1] * y[0])


def _total(x: Real, y: Real) -> Pair:
    """Return x + y, for an x that is larger, and what rounding took from it."""
    total = x + y
    return total, y - (total - x)


def _double_power(size: Real, y: Real) -> Real:
    """Return the power of a size, its logarithm being a pair (cf. Shibata, SLEEF)."""
    high, low = _log_pair(size)
    high = choose(size.equals(0.0), -math.inf, choose(size < math.inf, high, size))
    exponent = y * high
    rest = exactly_fused(y, high, -exponent) + y * low
    rest = choose(abs(exponent) < 1000.0, rest, 0.0)
    whole, m = reduced_exp(exponent.within(-746.0, 710.0), rest)
    return scaled(m + 1.0, whole)


def _log_pair(size: Real) -> Pair:
    """Return the logarithm of a positive number as a pair.

    With s = (m - 1) / (m + 1) that of m is 2 (s + s**3 / 3 + s**5 / 5 + ...).
    """
    tiny = size < float(np.finfo(size.dtype).tiny)
    e, m = split(choose(tiny, size * 2.0**54, size))
    exponent = size.of_whole(e) + choose(tiny, size.like(-54.0), 0.0)
    (bottom, lost), top = exact_sum(m, 1.0), m - 1.0
    down = 1.0 / bottom
    quotient = top * down
    s = quotient, (exactly_fused(-quotient, bottom, top) - quotient * lost) * down
    square = _product(s, s)
    p = polynomial(square[0], (
        0.12576838878684954, 0.11591479963937422, 0.13341203045837208, 0.1538440458761267,
        0.18181821567047246, 0.22222222190793062, 0.2857142857157987, 0.3999999999999972,
    ))  # fmt: skip
    third = _total(size.like(2 / 3), p * square[0])
    tail = _product(_product(s, square), (third[0], third[1] + 3.7007434154171886e-17))
    high_unit, low_unit = LOG2_PARTS[1]
    total, lost = _total(exponent * high_unit, s[0] + s[0])
    total, more = _total(total, tail[0])
    return _total(total, lost + more + fused(exponent, low_unit, s[1] + s[1] + tail[1]))
