"""Checks of options that several floors take."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.errors import ConfigError


def check_counts(**values: object) -> None:
    """Raise ConfigError unless each of the options is a whole number of 1 or more.

    >>> check_counts(epochs=3, rows=0)
    Traceback (most recent call last):
    pullback.core.errors.ConfigError: rows: expected a whole number of 1 or more, got 0
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"{name}: expected a whole number of 1 or more, got {value!r}")


def is_number(x: Any) -> bool:
    """Whether `x` is one real number: Python's, NumPy's, an array without axes or a traced one.

    >>> is_number(np.array(0.5)), is_number("0.5"), is_number([0.5])
    (True, False, False)
    """
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    return isinstance(x, int | float) or (kind in ("i", "u", "f") and x.shape == ())


def check_positive(**values: float) -> None:
    """Raise ConfigError unless all of `values` are positive."""
    for name, value in values.items():
        if not (is_number(value) and value > 0):
            raise ConfigError(f"{name}: expected a positive number, got {value!r}.")


def check_fraction(**values: float) -> None:
    """Raise ConfigError unless all of `values` are in [0, 1)."""
    for name, value in values.items():
        if not (is_number(value) and 0 <= value < 1):
            raise ConfigError(f"{name}: expected a number in [0, 1), got {value!r}.")


def check_share(**values: float) -> None:
    """Raise ConfigError unless each of `values` is between 0 and 1."""
    for name, value in values.items():
        if not 0 < value < 1:
            raise ConfigError(f"{name}: expected a share between 0 and 1, got {value}")
