"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.ops.families import elementwise

OPEN_UNIT = (-0.8, 0.8)
EDGE = "x = -1 or 1: infinite"
DEGREES = float(np.pi / 180)

sin = elementwise(np.sin, lambda y, x: np.cos(x), bounded=True)
cos = elementwise(np.cos, lambda y, x: -np.sin(x), bounded=True)
tan = elementwise(np.tan, lambda y, x: 1 + y * y, domain=(-1.2, 1.2))
arcsin = elementwise(
    np.arcsin, lambda y, x: 1 / np.sqrt(1 - x * x), domain=OPEN_UNIT, undefined_at=EDGE
)
arccos = elementwise(
    np.arccos, lambda y, x: -1 / np.sqrt(1 - x * x), domain=OPEN_UNIT, undefined_at=EDGE
)
arctan = elementwise(np.arctan, lambda y, x: 1 / (1 + x * x), bounded=True)
arctan2 = elementwise(
    np.arctan2,
    lambda z, y, x: x / (x * x + y * y),
    lambda z, y, x: -y / (x * x + y * y),
    domain=((0.3, 2.0), (0.3, 2.0)),
    undefined_at="x = y = 0: NaN",
)
sinh = elementwise(np.sinh, lambda y, x: np.cosh(x))
cosh = elementwise(np.cosh, lambda y, x: np.sinh(x))
tanh = elementwise(np.tanh, lambda y, x: 1 - y * y, bounded=True)
arcsinh = elementwise(np.arcsinh, lambda y, x: 1 / np.sqrt(1 + x * x), bounded=True)
arccosh = elementwise(
    np.arccosh,
    lambda y, x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    domain=(1.3, 4.0),
    undefined_at="x = 1: infinite",
)
arctanh = elementwise(np.arctanh, lambda y, x: 1 / (1 - x * x), domain=OPEN_UNIT, undefined_at=EDGE)
deg2rad = elementwise(np.deg2rad, DEGREES)
radians = elementwise(np.radians, DEGREES)
rad2deg = elementwise(np.rad2deg, 1 / DEGREES)
degrees = elementwise(np.degrees, 1 / DEGREES)


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """Return sin(pi x) / (pi x), by its series near 0 so that all derivatives are finite there."""
    z = np.pi * x
    near = np.abs(z) < 1e-2
    safe = np.where(near, 1, z)
    square = np.where(near, z, 0) ** 2
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42))
    return np.where(near, series, np.sin(safe) / safe)
