"""Activation functions: elementwise (softmax: along an axis), of arrays of any shape.

They keep the dtype of floating arrays. Where a derivative is one-sided, the docstring says which
side is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy import special

from pullback.core.errors import ConfigError, ShapeError
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


def prelu(x: Any, slope: Any) -> Any:
    """Return x where x > 0 and slope * x elsewhere; `slope` is an array that broadcasts, learnt.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.

    >>> prelu(np.array([-2.0, 3.0]), np.array([0.25]))
    array([-0.5,  3. ])
    """
    return np.where(x > 0, x, slope * x)


def relu6(x: Any) -> Any:
    """Return min(max(x, 0), 6); the derivatives at 0 and at 6 are taken as 0.

    >>> relu6(np.array([-2.0, 3.0, 8.0]))
    array([0., 3., 6.])
    """
    return hardtanh(x, 0, 6)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where x > 0 and alpha (exp(x) - 1) elsewhere.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", arXiv:1511.07289.

    >>> elu(np.array([-1000.0, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where x > 0 and alpha (exp(x / alpha) - 1) elsewhere: smooth for every alpha.

    Source: Barron, "Continuously differentiable exponential linear units", arXiv:1704.07483.

    >>> celu(np.array([-1000.0, 2.0]), alpha=2.0)
    array([-2.,  2.])
    """
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x) / alpha))


def selu(x: Any) -> Any:
    """Return the `elu` whose scale and alpha keep mean 0 and variance 1 through deep networks.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks",
    NeurIPS 2017.

    >>> selu(np.array([-1.0, 1.0])).round(4)
    array([-1.1113,  1.0507])
    """
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


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


def silu(x: Any) -> Any:
    """Return x sigmoid(x), also called swish.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", arXiv:1702.03118.

    >>> silu(np.array([-1.0, 1.0])).round(4)
    array([-0.2689,  0.7311])
    """
    return x * special.expit(x)


def mish(x: Any) -> Any:
    """Return x tanh(softplus(x)).

    Source: Misra, "Mish: a self regularized non-monotonic activation function", arXiv:1908.08681.

    >>> mish(np.array([-1.0, 1.0])).round(4)
    array([-0.3034,  0.8651])
    """
    return x * np.tanh(softplus(x))


def softplus(x: Any, beta: float = 1.0) -> Any:
    """Return log(1 + exp(beta x)) / beta, without overflow.

    >>> softplus(np.array([-1000.0, 0.0, 3.0])).round(4)
    array([0.    , 0.6931, 3.0486])
    """
    return np.logaddexp(x, 0) if beta == 1 else np.logaddexp(beta * x, 0) / beta


def log_sigmoid(x: Any) -> Any:
    """Return log sigmoid(x), without overflow.

    >>> log_sigmoid(np.array([-100.0, 0.0])).round(4)
    array([-100.    ,   -0.6931])
    """
    return special.log_expit(x)


def softsign(x: Any) -> Any:
    """Return x / (1 + |x|).

    >>> softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return x / (1 + np.abs(x))


def hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Any:
    """Return x between `low` and `high`, else the nearer of them, where the derivative is 0.

    >>> hardtanh(np.array([-2.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """
    return np.where(x <= low, low, np.where(x >= high, high, x))


def hardsigmoid(x: Any) -> Any:
    """Return x / 6 + 1/2 between -3 and 3, else 0 or 1, where the derivative is 0.

    >>> hardsigmoid(np.array([-4.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """
    return hardtanh(x / 6 + 0.5, 0, 1)


def hardswish(x: Any) -> Any:
    """Return x hardsigmoid(x).

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.

    >>> hardswish(np.array([-4.0, 0.0, 3.0]))
    array([-0.,  0.,  3.])
    """
    return x * hardsigmoid(x)


def hardshrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x where |x| > threshold, else 0.

    >>> hardshrink(np.array([-2.0, 0.3]))
    array([-2.,  0.])
    """
    return np.where(np.abs(x) <= threshold, 0, x)


def softshrink(x: Any, threshold: float = 0.5) -> Any:
    """Return x brought nearer to 0 by `threshold`, and 0 where |x| <= threshold.

    >>> softshrink(np.array([-2.0, 0.3, 1.0]))
    array([-1.5,  0. ,  0.5])
    """
    return np.where(np.abs(x) <= threshold, 0, x - threshold * np.sign(x))


def tanhshrink(x: Any) -> Any:
    """Return x - tanh(x).

    >>> tanhshrink(np.array([0.0, 2.0])).round(4)
    array([0.   , 1.036])
    """
    return x - np.tanh(x)


def glu(x: Any, axis: int = -1) -> Any:
    """Return a sigmoid(b), where a and b are the halves of x along `axis`.

    Source: Dauphin, Fan, Auli and Grangier, "Language modeling with gated convolutional networks",
    ICML 2017. Raises ShapeError if the axis has no halves.

    >>> glu(np.array([3.0, 0.0]))
    array([1.5])
    """
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: x: expected an even number along axis {axis}, got {x.shape}.")
    a, b = np.split(x, 2, axis=axis)
    return a * special.expit(b)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / sum(exp(x)) along `axis`, without overflow.

    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    # Any constant shift gives the same function, so the gradient need not pass through the maximum.
    weight = np.exp(x - stop_gradient(np.max(x, axis=axis, keepdims=True)))
    return weight / np.sum(weight, axis=axis, keepdims=True)


def softmin(x: Any, axis: int = -1) -> Any:
    """Return the softmax of -x.

    >>> softmin(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return softmax(-x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return x - log(sum(exp(x))) along `axis`, the logarithm of softmax, without overflow.

    >>> log_softmax(np.array([1000.0, 1000.0])).round(4)
    array([-0.6931, -0.6931])
    """
    x = x - stop_gradient(np.max(x, axis=axis, keepdims=True))
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


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
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "celu": celu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "mish": mish,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
    "softsign": softsign,
    "hardtanh": hardtanh,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "hardshrink": hardshrink,
    "softshrink": softshrink,
    "tanhshrink": tanhshrink,
    "softmax": softmax,
    "softmin": softmin,
    "log_softmax": log_softmax,
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
        if not isinstance(self.name, str) or self.name not in ACTIVATIONS:
            raise ConfigError(
                f"activation: expected one of {', '.join(ACTIVATIONS)}, got {self.name!r}."
            )

    def __call__(self, x: Any) -> Any:
        """Apply the activation to `x`."""
        return ACTIVATIONS[self.name](x)


class PReLU(Module):
    """`prelu` with a slope that is learnt: one for each entry of the last axis, or one for all.

    >>> PReLU.create()(np.array([-2.0, 3.0]))
    array([-0.5,  3. ])
    """

    slope: Any

    @classmethod
    def create(cls, features: int = 1, slope: float = 0.25, dtype: DTypeLike = np.float32) -> PReLU:
        """Return a layer that begins with `slope` for all of `features`."""
        return cls(np.full(features, slope, dtype))

    def __call__(self, x: Any) -> Any:
        """Return x where x > 0 and slope * x elsewhere."""
        return prelu(x, self.slope)
