"""The error function and its complement.

Polynomials are minimax, by Remez' exchange; the tail of erfc is approximated as in Shepherd and
Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity", 1981.
"""

from __future__ import annotations

import numpy as np

from pullback.native.functions.exponentials import exp, reduced_exp
from pullback.native.functions.reals import Real, choose, fused, halved_polynomial, polynomial

DOUBLE = np.dtype(np.float64)
TAIL = (
    -1.0404485822476857e-08, -1.2192561418281189e-08, 1.0540909573817018e-07,
    6.692236240296533e-08, -8.221377316167313e-07, 2.996948991561818e-07,
    5.7082838147316645e-06, -1.122483166024365e-05, -2.4398799516698566e-05,
    0.00015062253787038196, -0.00019925677247981149, -0.0007577734598494123,
    0.005031969987358024, -0.016197734036519043, 0.037167515536794184, -0.06633036581376119,
    0.09373283499837805, -0.10103906603624699, 0.06809705425469212, 0.015379652102618914,
    -0.1396211168405625, 1.2329951186255526,
)  # fmt: skip
"""(1 + 2x) exp(x^2) erfc(x) by (x - 4) / (x + 4), for x from 0.45 to 27.3."""


def _near(x: Real) -> Real:
    """Return erf(x) for |x| up to 0.75, in float64."""
    p = polynomial(x * x, (
        1.1463755145075952e-08, -1.5937599212545922e-07, 1.6430388112909698e-06,
        -1.4924176630037388e-05, 0.00012055288776932394, -0.0008548326169084528,
        0.005223977615122209, -0.026866170644402478, 0.11283791670952481, -0.37612638903183715,
        0.1283791670955126,
    ))  # fmt: skip
    return fused(x, p, x)


def _complement(x: Real) -> Real:
    """Return erfc(x) in float64, for x from 0.45 on."""
    y = x.within(0.0, 27.3)
    down = 1.0 / (y + 4.0)
    q = (y - 4.0) * down
    q = fused(fused(q, -y, fused(q + 1.0, -4.0, y)), down, q)  # as exact as a division
    p = halved_polynomial(q, TAIL)
    square = y * y
    shrunk = exp(-square)
    shrunk = fused(shrunk, -fused(y, y, -square), shrunk)
    return shrunk * p / fused(y, 2.0, 1.0)


def erf(x: Real) -> Real:
    """The error function."""
    size = abs(x)
    if x.dtype.itemsize == 4:  # 1 - exp(log(erfc(x)))
        t = size.within(0.0, 3.93)  # from there on it is 1
        whole, m = reduced_exp(fused(t, polynomial(t, (
            9.255656581343923e-06, -0.00011763559927423658, 0.0006328156482961423,
            -0.0016669865204152331, 0.00016035231408450808, 0.019153089653034243,
            -0.10277783830305343, -0.6366193809390757, -0.1283791716496625,
        )), -t))  # fmt: skip
        scale = x.power_of_two(whole)
        return fused(scale, -m, 1.0 - scale).signed_as(x)
    return choose(size < 0.75, _near(x), 1.0 - _complement(size)).signed_as(x)


def erfc(x: Real) -> Real:
    """1 - erf(x), accurate where it is small."""
    y = x.to(DOUBLE)
    tail = _complement(abs(y))
    tail = choose(y < 0.0, 2.0 - tail, tail)
    return choose(abs(y) < 0.45, 1.0 - _near(y), tail).to(x.dtype)
