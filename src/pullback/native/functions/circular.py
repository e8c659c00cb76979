"""sin, cos and tan: reduced to one period as in Cody and Waite; the library where x is huge.

Polynomials with no other source are minimax, by Remez' exchange.
"""

from __future__ import annotations

import math

from pullback.native.functions.rare import by_library
from pullback.native.functions.reals import Real, Whole, choose, exactly_fused, fused, polynomial

PI_PARTS = (
    (3.141592502593994, 1.5099578831723193e-07, 1.078060505991553e-14),
    (3.141592653589793, 1.224646799147353e-16, 2.1657133478438278e-32),
)
"""pi as a sum of three positive numbers of the dtype."""


def _reduced(x: Real) -> tuple[Whole, Real, Real]:
    """Return whole n, and r and a small rest with x = n pi / 2 + r + rest and |r| <= pi / 4."""
    turns, n = x.rounded(2 / math.pi)
    first, second, third = (part / 2 for part in x.pick(*PI_PARTS))
    exact = exactly_fused(n, -first, x)
    r = exactly_fused(n, -second, exact)
    taken = exact - r  # is exact itself, unless r is so small that its rounding does not matter
    rest = choose(abs(taken) <= abs(r), exactly_fused(n, -second, taken), 0.0)
    return turns, r, fused(n, -third, rest)


def _sine(x: Real, turns: Whole, r: Real, rest: Real) -> Real:
    """Return sin(r + turns * pi / 2)."""
    z = r * r
    s = polynomial(z, r.pick(
        (-0.0001950694248, 0.008332099751, -0.1666665365),
        (1.5892062943765842e-10, -2.5050677078870467e-08, 2.7557313178623186e-06,
         -0.00019841269828341552, 0.0083333333333206, -0.16666666666666624),
    ))  # fmt: skip
    c = polynomial(z, r.pick(
        (2.442921262e-05, -0.001388728893, 0.04166664531),
        (-1.1356836847771693e-11, 2.0875670217935902e-09, -2.755731397220346e-07,
         2.4801587288206085e-05, -0.0013888888888872154, 0.04166666666666659),
    ))  # fmt: skip
    sine = fused(r * z, s, rest) + r
    cosine = fused(z, fused(z, c, -0.5), 1.0)
    value = choose(turns.is_odd(), cosine, sine)
    return x.of_bits(value.bits() ^ ((turns >> 1) << (x.dtype.itemsize * 8 - 1)))


def sin(x: Real) -> Real:
    """The sine."""
    result = choose(x.equals(0.0), x, _sine(x, *_reduced(x)))  # keeps the sign of zero
    return by_library("sin", result, x, beyond=x.pick(1e5, 1e9))


def cos(x: Real) -> Real:
    """The cosine: sin(x + pi / 2)."""
    turns, r, rest = _reduced(x)
    return by_library("cos", _sine(x, turns + 1, r, rest), x, beyond=x.pick(1e5, 1e9))


def tan(x: Real) -> Real:
    """The tangent: of r, or of r + pi / 2, which is -1 / tan(r)."""
    turns, r, rest = _reduced(x)
    z = r * r
    if x.dtype.itemsize == 4:
        p = polynomial(z, (
            0.004516899716, -0.0001913316752, 0.01105373369, 0.02119965165, 0.05407557503,
            0.133325283, 0.3333335358,
        ))  # fmt: skip
    else:
        # Moshier, Cephes, 1989
        p = polynomial(z, (
            -1.30936939181383777647e4, 1.15351664838587416140e6, -1.79565251976484877988e7,
        )) / polynomial(z, (
            1.0, 1.36812963470692954678e4, -1.32089234440210967447e6, 2.50083801823357915839e7,
            -5.38695755929454629881e7,
        ))  # fmt: skip
    near = fused(r * z, p, rest) + r
    result = choose(x.equals(0.0), x, choose(turns.is_odd(), -1.0 / near, near))
    return by_library("tan", result, x, beyond=x.pick(1e5, 1e9))
