"""Arithmetic, powers, exponentials and logarithms: one line each, as in a table of derivatives.

A derivative is an expression of (output, *inputs), a number, or None where it is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements, ufuncs
from pullback.core.op import infix, prefix
from pullback.ops.families import POSITIVE, REAL, elementwise

NONZERO = (0.4, 2.0)
LOG2, LOG10 = float(np.log(2.0)), float(np.log(10.0))

add = elementwise(np.add, 1, 1, notation=infix("+", 10))
subtract = elementwise(np.subtract, 1, -1, notation=infix("-", 10))
multiply = elementwise(np.multiply, lambda z, x, y: y, lambda z, x, y: x, notation=infix("*", 20))


def _inverse(y: Any) -> Any:
    """Return 1 / y; infinite for Python's zero as for NumPy's, which has warned already."""
    return 1 / y if y.__class__ not in (int, float, complex) or y else float("inf")


divide = elementwise(
    np.true_divide,
    lambda z, x, y: _inverse(y),
    lambda z, x, y: -z / y,
    notation=infix("/", 20),
    domain=(REAL, NONZERO),
    undefined_at="y = 0: infinite or NaN, as the quotient itself is",
)
negative = elementwise(np.negative, -1, notation=prefix("-", 30))
positive = elementwise(np.positive, 1, notation=prefix("+", 30))
square = elementwise(np.square, lambda y, x: 2 * x)
reciprocal = elementwise(
    np.reciprocal,
    lambda y, x: -y * y,
    domain=NONZERO,
    undefined_at="x = 0: infinite, as the reciprocal itself is",
)


def _power_slope(z: Any, x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)):
        return y * x ** (y - 1) if y != 0 else np.zeros_like(x)
    return y * power(x, np.where((x == 0) & (y == 0), 1, y - 1))  # 0 * 0**-1 would be NaN


def _power_log(z: Any, x: Any, y: Any) -> Any:
    # where the base is 0 the power is constantly 0 for y > 0, so its slope in y is 0
    return z * np.log(np.where(x == 0, 1, x))


power = elementwise(
    np.power,
    _power_slope,
    _power_log,
    notation=infix("**", 40),
    domain=(POSITIVE, REAL),
    undefined_at="x = 0: in x it is y * 0**(y - 1), infinite for y < 1 and 0 for y = 0; in y it is "
    "0. x < 0: NaN in y, and in x too unless y is whole",
)


@implements(np.power)
def raised(x: Any, y: Any) -> Any:
    """Raise to a power; the square, which is by far the most common one, is an operation itself."""
    if isinstance(y, int) and not isinstance(y, bool) and y in (1, 2):
        return square(x) if y == 2 else positive(x)
    return power(x, y)


ufuncs[np.float_power] = lambda x, y: power(np.asarray(1.0, np.float64) * x, y)

exp = elementwise(np.exp, lambda y, x: y)
exp2 = elementwise(np.exp2, lambda y, x: y * LOG2)
expm1 = elementwise(np.expm1, lambda y, x: y + 1)
log = elementwise(np.log, lambda y, x: 1 / x, domain=POSITIVE, undefined_at="x = 0: infinite")
log2 = elementwise(
    np.log2, lambda y, x: 1 / (x * LOG2), domain=POSITIVE, undefined_at="x = 0: infinite"
)
log10 = elementwise(
    np.log10, lambda y, x: 1 / (x * LOG10), domain=POSITIVE, undefined_at="x = 0: infinite"
)
log1p = elementwise(
    np.log1p, lambda y, x: 1 / (1 + x), domain=POSITIVE, undefined_at="x = -1: infinite"
)
sqrt = elementwise(np.sqrt, lambda y, x: 0.5 / y, domain=POSITIVE, undefined_at="x = 0: infinite")
cbrt = elementwise(
    np.cbrt, lambda y, x: 1 / (3 * y * y), domain=POSITIVE, undefined_at="x = 0: infinite"
)


def _excess(x: Any, z: Any) -> Any:
    """Return x - z, with 0 where both are the same infinity."""
    same = x == z
    return np.where(same, 0, x) - np.where(same, 0, z)


logaddexp = elementwise(
    np.logaddexp,
    lambda z, x, y: np.exp(_excess(x, z)),
    lambda z, x, y: np.exp(_excess(y, z)),
    undefined_at="x = y = -inf or +inf: 1 in both",
)
logaddexp2 = elementwise(
    np.logaddexp2,
    lambda z, x, y: np.exp2(_excess(x, z)),
    lambda z, x, y: np.exp2(_excess(y, z)),
    undefined_at="x = y = -inf or +inf: 1 in both",
)
hypot = elementwise(
    np.hypot,
    lambda z, x, y: x / np.where(z == 0, 1, z),
    lambda z, x, y: y / np.where(z == 0, 1, z),
    undefined_at="x = y = 0: 0, the subgradient of least norm",
    bounded=True,
)


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """Replace NaN and infinities by numbers; the gradient is 0 there."""
    if x.dtype.kind == "c":
        parts = [nan_to_num(part(x), copy, nan, posinf, neginf) for part in (np.real, np.imag)]
        return parts[0] + 1j * parts[1]
    if x.dtype.kind != "f":
        return +x
    largest = float(np.finfo(x.dtype).max)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == np.inf, largest if posinf is None else posinf, x)
    return np.where(x == -np.inf, -largest if neginf is None else neginf, x)
