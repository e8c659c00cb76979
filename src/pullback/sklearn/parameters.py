"""The parameters of estimators, checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from pullback.core.errors import ConfigError


class Range(NamedTuple):
    """Numbers of a kind between two ends, which belong to it where they are `closed`."""

    kind: type = Real
    low: float = 0
    high: float = math.inf
    closed: str = "[)"

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool | np.bool_) or not isinstance(value, self.kind):
            return False
        above = value >= self.low if self.closed[0] == "[" else value > self.low  # type: ignore[operator]
        below = value <= self.high if self.closed[1] == "]" else value < self.high  # type: ignore[operator]
        return bool(above and below)

    def __str__(self) -> str:
        kind = "a whole number" if self.kind is Integral else "a number"
        return f"{kind} in {self.closed[0]}{self.low}, {self.high}{self.closed[1]}"


COUNT = Range(Integral, 1)
FRACTION = Range(high=1)

RANGES = {
    "alpha": Range(),
    "learning_rate_init": Range(closed="()"),
    "power_t": Range(),
    "max_iter": COUNT,
    "tol": Range(),
    "momentum": Range(high=1, closed="[]"),
    "validation_fraction": FRACTION,
    "beta_1": FRACTION,
    "beta_2": FRACTION,
    "epsilon": Range(closed="()"),
    "n_iter_no_change": Range(low=1, closed="[]"),
    "max_fun": COUNT,
}
SWITCHES = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")


def store(estimator: Any, arguments: dict[str, Any]) -> None:
    """Keep the arguments of a constructor, its `locals()`, as attributes."""
    for name, value in arguments.items():
        if name != "self":
            setattr(estimator, name, value)


def check(estimator: Any, choices: dict[str, Sequence[Any]]) -> None:
    """Raise ConfigError for a parameter of `estimator` that is out of its range.

    `choices` are the values that others may take.
    """
    given = estimator.get_params(deep=False)
    for name, value in given.items():
        if name in RANGES and value not in RANGES[name]:
            raise ConfigError(f"{name}: expected {RANGES[name]}, got {value!r}")
        if name in choices and not _among(value, choices[name]):
            known = ", ".join(map(repr, choices[name]))
            raise ConfigError(f"{name}: expected one of {known}, got {value!r}")
        if name in SWITCHES and not isinstance(value, bool | np.bool_):
            raise ConfigError(f"{name}: expected True or False, got {value!r}")
    if "dtype" not in choices:
        _check_dtype(given["dtype"])
    size = given.get("batch_size", "auto")
    if size not in COUNT and not _among(size, ("auto",)):
        raise ConfigError(f"batch_size: expected 'auto' or {COUNT}, got {size!r}")


def _check_dtype(dtype: Any) -> None:
    try:
        known = dtype is None or np.dtype(dtype).kind in "fiu"
    except TypeError:
        known = False
    if not known:
        raise ConfigError(
            "dtype: expected None or the name of a dtype of real numbers, such as 'float32' or "
            f"'int64', got {dtype!r}"
        )


def _among(value: Any, choices: Sequence[Any]) -> bool:
    return (value is None or isinstance(value, str)) and value in choices


def per_layer(name: str, value: Any, layers: int, kind: type | tuple[type, ...]) -> list[Any]:
    """Return a value for each of the hidden layers, from one for all or a list.

    Raises ConfigError where the list has another length, or something else in it.
    """
    values = [value] * layers if isinstance(value, kind) else list(np.atleast_1d(value))
    if len(values) != layers or not all(isinstance(v, kind) for v in values):
        raise ConfigError(
            f"{name}: expected one for all hidden layers or a list of {layers}, got {value!r}"
        )
    return values
