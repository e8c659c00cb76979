"""Losses as functions of (outputs, targets) that give a value for each sample."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from pullback.core.errors import ConfigError, ShapeError
from pullback.nn.losses import (
    LOSSES,
    binary_cross_entropy,
    mean_squared_error,
    softmax_cross_entropy,
)
from pullback.transform import stop_gradient

Loss = Callable[[Any, Any], Any]
"""(outputs (n, k), targets) -> values (n,), or (n, k), whose means over the entries count."""


def log_loss(logits: Any, labels: Any) -> Any:
    """Return -log softmax(logits)[label]; `labels` are (n,)."""
    return softmax_cross_entropy(logits, labels, reduction="none")


def binary_log_loss(logits: Any, targets: Any) -> Any:
    """Return -(t log s + (1 - t) log(1 - s)) with s = sigmoid(logits), summed over the outputs."""
    return np.sum(binary_cross_entropy(logits, targets, reduction="none"), axis=-1)


def sum_of_squares(outputs: Any, targets: Any) -> Any:
    """Return (y - t)^2 / 2, summed over the outputs."""
    return 0.5 * np.sum(mean_squared_error(outputs, targets, reduction="none"), axis=-1)


def squared_error(outputs: Any, targets: Any) -> Any:
    """Return the mean of (y - t)^2 / 2 over the outputs, but with the gradient of the sum.

    This is how scikit-learn descends and what it shows.
    """
    total = sum_of_squares(outputs, targets)
    return total - stop_gradient(total * (1 - 1 / outputs.shape[-1]))


def poisson(logs: Any, targets: Any) -> Any:
    """Return half the Poisson deviance, t log(t / y) - t + y with y = exp(logs), summed."""
    deviance = special.xlogy(targets, targets) - targets * logs - targets + np.exp(logs)
    return np.sum(deviance, axis=-1)


OWN: dict[str, Loss] = {"squared_error": squared_error, "poisson": poisson}
"""scikit-learn's losses of numbers by name."""


def find(loss: str | Loss, standard: Loss) -> Loss:
    """Return the loss that `loss` names or is, one object each time; `standard` is "log_loss".

    Other names are those of `nn.LOSSES`. Raises ConfigError where there is none.
    """
    if callable(loss):
        try:
            return _of_user(loss)
        except TypeError:
            raise ConfigError(
                "loss: expected a function that can be hashed, as machine code is kept for it, got "
                f"{loss!r}; a dataclass can with @dataclass(frozen=True)"
            ) from None
    if loss == "log_loss":
        return standard
    if isinstance(loss, str) and loss in OWN:
        return OWN[loss]
    if isinstance(loss, str) and loss in LOSSES:
        return _of_pullback(loss)
    known = ", ".join(dict.fromkeys(["log_loss", *OWN, *LOSSES]))
    raise ConfigError(
        f"loss: expected one of {known}, or a function of (outputs, targets) that returns a value "
        f"for each sample, got {loss!r}"
    )


@functools.lru_cache(maxsize=64)
def _of_pullback(name: str) -> Loss:
    loss: Callable[..., Any] = LOSSES[name]
    return functools.partial(loss, reduction="none")


@functools.lru_cache(maxsize=64)
def _of_user(loss: Loss) -> Loss:
    return functools.partial(_checked, loss)


def _checked(loss: Loss, outputs: Any, targets: Any) -> Any:
    values = loss(outputs, targets)
    if np.shape(values)[:1] != outputs.shape[:1]:
        raise ShapeError(
            f"loss: expected a value for each of {outputs.shape[0]} samples, got shape "
            f"{np.shape(values)}. Leave out the mean over the samples; with a loss of pullback.nn "
            'write functools.partial(nn.huber, delta=2.0, reduction="none").'
        )
    return values


def weighted(values: Any, weights: Any) -> Any:
    """Return the sum of `values` times the weights of their samples, (n,)."""
    if values.ndim > 1:
        values = np.mean(values, axis=tuple(range(1, values.ndim)))
    return np.sum(values * weights)
