"""Checks of options that several floors take."""

from __future__ import annotations

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
