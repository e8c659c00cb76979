"""Initial weights: each initialiser is a function (key, shape, fan_in, fan_out, dtype) -> array.

`fan_in` and `fan_out` are the numbers of inputs and outputs that one unit is connected to. The
variance is chosen so that signals (fan_in), gradients (fan_out) or both keep their size.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

import pullback.numpy.random as random
from pullback.core.errors import ConfigError
from pullback.numpy.random import Key


class Initialiser(Protocol):
    """What all initialisers of this module are."""

    def __call__(
        self, key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike
    ) -> Any:
        """Return an array of `shape` and `dtype`."""
        ...


def glorot_uniform(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """Xavier/Glorot: uniform on (-a, a) with a = sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 16.

    >>> bool(abs(glorot_uniform(random.key(0), (4, 2), 4, 2)).max() < 1)
    True
    """
    return _uniform(key, shape, math.sqrt(6 / _fan(fan_in + fan_out)), dtype)


def glorot_normal(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """Xavier/Glorot: normal with variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio, AISTATS 2010, equation 12.

    >>> glorot_normal(random.key(0), (4, 2), 4, 2).shape
    (4, 2)
    """
    return _normal(key, shape, math.sqrt(2 / _fan(fan_in + fan_out)), dtype)


def he_uniform(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """He/Kaiming, for ReLU: uniform on (-a, a) with a = sqrt(6 / fan_in), variance 2 / fan_in.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.

    >>> bool(abs(he_uniform(random.key(0), (6, 2), 6, 2)).max() < 1)
    True
    """
    return _uniform(key, shape, math.sqrt(6 / _fan(fan_in)), dtype)


def he_normal(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """He/Kaiming, for ReLU: normal with variance 2 / fan_in.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.

    >>> he_normal(random.key(0), (4, 2), 4, 2).dtype
    dtype('float32')
    """
    return _normal(key, shape, math.sqrt(2 / _fan(fan_in)), dtype)


def lecun_uniform(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """LeCun: uniform on (-a, a) with a = sqrt(3 / fan_in), variance 1 / fan_in.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.6.

    >>> bool(abs(lecun_uniform(random.key(0), (3, 2), 3, 2)).max() < 1)
    True
    """
    return _uniform(key, shape, math.sqrt(3 / _fan(fan_in)), dtype)


def lecun_normal(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """LeCun: normal with variance 1 / fan_in.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.6.

    >>> lecun_normal(random.key(0), (4, 2), 4, 2).shape
    (4, 2)
    """
    return _normal(key, shape, math.sqrt(1 / _fan(fan_in)), dtype)


def normal(
    key: Key,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
    dtype: DTypeLike = np.float32,
    *,
    std: float = 0.01,
) -> Any:
    """Return normal numbers with standard deviation `std`, whatever the fans.

    Set `std` with `functools.partial`.

    >>> normal(random.key(0), (4, 2), 4, 2, std=1e-3).shape
    (4, 2)
    """
    return _normal(key, shape, std, dtype)


def uniform(
    key: Key,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
    dtype: DTypeLike = np.float32,
    *,
    limit: float = 0.05,
) -> Any:
    """Return numbers uniform on (-limit, limit), whatever the fans.

    Set `limit` with `functools.partial`.

    >>> bool(abs(uniform(random.key(0), (4, 2), 4, 2, limit=0.1)).max() < 0.1)
    True
    """
    return _uniform(key, shape, limit, dtype)


def zeros(
    key: Key, shape: tuple[int, ...], fan_in: int, fan_out: int, dtype: DTypeLike = np.float32
) -> Any:
    """Return zeros: for biases; hidden weights would all stay equal.

    >>> zeros(random.key(0), (2,), 4, 2)
    array([0., 0.], dtype=float32)
    """
    return np.zeros(shape, dtype)


INITIALISERS: dict[str, Initialiser] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "normal": normal,
    "uniform": uniform,
    "zeros": zeros,
}
"""The initialisers by name."""


def _uniform(key: Key, shape: tuple[int, ...], limit: float, dtype: DTypeLike) -> Any:
    return random.uniform(key, shape, dtype, -limit, limit)


def _normal(key: Key, shape: tuple[int, ...], std: float, dtype: DTypeLike) -> Any:
    return np.asarray(std * random.normal(key, shape, dtype))


def _fan(fan: int) -> int:
    if fan < 1:
        raise ConfigError(f"fan_in, fan_out: expected positive numbers, got a sum of {fan}.")
    return fan
