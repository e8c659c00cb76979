"""SciPy's special functions. Imported when one is first met, since SciPy is slow to import.

Here are the logistic and the error functions; their families have a file each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.dispatch import implements, ufuncs
from pullback.ops import (  # noqa: F401  the other families, loaded with this one
    special_bessel,
    special_entropy,
    special_gamma,
    special_integrals,
    special_softmax,
)
from pullback.ops.elementwise import LOG10
from pullback.ops.families import elementwise
from pullback.ops.trigonometric import DEGREES

UNIT = (0.15, 0.85)
TWO_OVER_ROOT_PI = float(2 / np.sqrt(np.pi))
ROOT_TWO = float(np.sqrt(2))
ROOT_TWO_PI = float(np.sqrt(2 * np.pi))
EDGE = "x = 0 or 1: infinite"

expit = elementwise(sp.expit, lambda y, x: y * (1 - y), bounded=True)
log_expit = elementwise(sp.log_expit, lambda y, x: sp.expit(-x), bounded=True)
logit = elementwise(sp.logit, lambda y, x: 1 / (x * (1 - x)), domain=UNIT, undefined_at=EDGE)

# DLMF 7.2.1, 7.2.2, 7.2.5 and 7.10.1
erf = elementwise(sp.erf, lambda y, x: TWO_OVER_ROOT_PI * np.exp(-x * x), bounded=True)
erfc = elementwise(sp.erfc, lambda y, x: -TWO_OVER_ROOT_PI * np.exp(-x * x), bounded=True)
erfi = elementwise(sp.erfi, lambda y, x: TWO_OVER_ROOT_PI * np.exp(x * x))
erfinv = elementwise(
    sp.erfinv,
    lambda y, x: np.exp(y * y) / TWO_OVER_ROOT_PI,
    domain=(-0.8, 0.8),
    undefined_at="x = -1 or 1: infinite",
)
erfcinv = elementwise(
    sp.erfcinv,
    lambda y, x: -np.exp(y * y) / TWO_OVER_ROOT_PI,
    domain=UNIT,
    undefined_at="x = 0 or 2: infinite",
)


def _tail(x: Any, sign: int) -> Any:
    """Return the sum of (2k - 1)!! (sign / (2 x**2))**k from k = 1 on, for large x (DLMF 7.12.1).

    The slopes of erfcx and dawsn are this series there, where their closed forms cancel.
    """
    u = sign / (2 * x * x)
    return u * (1 + 3 * u * (1 + 5 * u * (1 + 7 * u * (1 + 9 * u))))


def _erfcx_slope(y: Any, x: Any) -> Any:
    far = x > 50
    near = np.where(far, 0, x)
    close = 2 * near * sp.erfcx(near) - TWO_OVER_ROOT_PI
    return np.where(far, TWO_OVER_ROOT_PI * _tail(np.where(far, x, 100), -1), close)


def _dawsn_slope(y: Any, x: Any) -> Any:
    far = np.abs(x) > 50
    near = np.where(far, 0, x)
    return np.where(far, -_tail(np.where(far, x, 100), 1), 1 - 2 * near * sp.dawsn(near))


erfcx = elementwise(sp.erfcx, _erfcx_slope)
dawsn = elementwise(sp.dawsn, _dawsn_slope)


def _log_ndtr_slope(y: Any, x: Any) -> Any:
    # the normal density over its distribution function; erfcx holds their ratio on the left
    left, right = np.where(x < -1, x, -1), np.where(x < -1, -1, x)
    ratio = 2 / (ROOT_TWO_PI * sp.erfcx(-left / ROOT_TWO))
    return np.where(x < -1, ratio, np.exp(-right * right / 2 - sp.log_ndtr(right)) / ROOT_TWO_PI)


ndtr = elementwise(sp.ndtr, lambda y, x: np.exp(-x * x / 2) / ROOT_TWO_PI, bounded=True)
ndtri = elementwise(
    sp.ndtri, lambda y, x: ROOT_TWO_PI * np.exp(y * y / 2), domain=UNIT, undefined_at=EDGE
)
log_ndtr = elementwise(sp.log_ndtr, _log_ndtr_slope)

# SciPy's own versions of NumPy's functions
for _name in ("expm1", "log1p", "exp2", "cbrt"):
    ufuncs[getattr(sp, _name)] = ufuncs[getattr(np, _name)]
exp10 = elementwise(sp.exp10, lambda y, x: LOG10 * y)
cosm1 = elementwise(sp.cosm1, lambda y, x: -np.sin(x))
sindg = elementwise(sp.sindg, lambda y, x: DEGREES * sp.cosdg(x))
cosdg = elementwise(sp.cosdg, lambda y, x: -DEGREES * sp.sindg(x))


@implements(sp.radian)
def radian(d: Any, m: Any, s: Any) -> Any:
    """Return an angle of degrees, minutes and seconds in radians."""
    return DEGREES * (d + m / 60 + s / 3600)
