"""Activation functions: elementwise (softmax: along an axis), of arrays of any shape.

They keep the dtype of floating arrays. Where a derivative is one-sided, the docstring says which
side is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from pullback.core.errors import ConfigError
from pullback.nn.module import Module, static
from pullback.transform import stop_gradient


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return special.expit(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x.

    >>> tanh(np.array([0.0, 50.0]))
    array([0., 1.])
    """
    return np.tanh(x)


def relu(x: Any) -> Any:
    """Return max(x, 0); the derivative at 0 is taken as 0. NaN stays NaN.

    >>> relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    # Not np.maximum: its derivative at the tie, which zero inputs meet, is shared by both sides.
    return np.where(x <= 0, 0, x)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """Return x where x > 0 and slope * x elsewhere; the derivative at 0 is taken as `slope`.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic
    models", ICML 2013.

    >>> leaky_relu(np.array([-2.0, 3.0]))
    array([-0.02,  3.  ])
    """
    return np.where(x > 0, x, slope * x)


def gelu(x: Any, *, approximate: bool = False) -> Any:
    """Return x Phi(x), with Phi the normal distribution function.

    Exact: x (1 + erf(x / sqrt 2)) / 2.
    Approximate: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", arXiv:1606.08415.

    >>> gelu(np.array([-1.0, 1.0])).round(4)
    array([-0.1587,  0.8413])
    >>> gelu(np.array([-1.0, 1.0]), approximate=True).round(4)
    array([-0.1588,  0.8412])
    """
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1 + np.tanh(inner))
    return 0.5 * x * (1 + special.erf(x * math.sqrt(0.5)))


def softplus(x: Any) -> Any:
    """Return log(1 + exp(x)), without overflow.

    >>> softplus(np.array([-1000.0, 0.0, 3.0])).round(4)
    array([0.    , 0.6931, 3.0486])
    """
    return np.logaddexp(x, 0)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / sum(exp(x)) along `axis`, without overflow.

    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    # Any constant shift gives the same function, so the gradient need not pass through the maximum.
    weight = np.exp(x - stop_gradient(np.max(x, axis=axis, keepdims=True)))
    return weight / np.sum(weight, axis=axis, keepdims=True)


def identity(x: Any) -> Any:
    """Return x.

    >>> identity(3.0)
    3.0
    """
    return x


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "softplus": softplus,
    "softmax": softmax,
    "identity": identity,
}
"""The activations by name."""


class Activation(Module):
    """The activation called `name` as a layer without parameters, for `Sequential`.

    Raises ConfigError if there is none of that name.

    >>> Activation("relu")(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    name: str = static()

    def __post_init__(self) -> None:
        if self.name not in ACTIVATIONS:
            raise ConfigError(
                f"activation: expected one of {', '.join(ACTIVATIONS)}, got {self.name!r}."
            )

    def __call__(self, x: Any) -> Any:
        """Apply the activation to `x`."""
        return ACTIVATIONS[self.name](x)
