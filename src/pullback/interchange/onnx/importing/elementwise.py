"""ONNX's operators element by element."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pullback.core.errors import UnsupportedError
from pullback.interchange.onnx.importing.operators import OPERATORS, cast
from pullback.nn import activations as nn
from pullback.scipy import special


def _divide(a: Any, b: Any) -> Any:
    """Integers are divided towards zero."""
    if a.dtype.kind == "f":
        return a / b
    quotient = a // b
    return quotient + cast((a % b != 0) & ((a < 0) != (b < 0)), a.dtype)


def _clip(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    return nn.gelu(x, approximate=approximate == "tanh")


def _dropout(x: Any, ratio: Any = None, training_mode: Any = None) -> Any:
    if training_mode is not None and np.any(training_mode):
        raise UnsupportedError("Dropout: expected a model in evaluation, got training_mode")
    return x


def _prelu(x: Any, slope: Any) -> Any:
    return np.where(x < 0, slope * x, x)


def _selu(x: Any, *, alpha: float = 1.67326319217681885, gamma: float = 1.05070102214813232) -> Any:
    return gamma * nn.elu(x, alpha)


def _shift(a: Any, n: Any, *, direction: str) -> Any:
    return np.left_shift(a, n) if direction == "LEFT" else np.right_shift(a, n)


def _shrink(x: Any, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    return cast(np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)), x.dtype)


def _is_infinite(x: Any, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    return (x == np.inf) & bool(detect_positive) | (x == -np.inf) & bool(detect_negative)


def _fold(pair: Any) -> Any:
    return lambda *xs: functools.reduce(pair, xs)


OPERATORS.update(
    {
        "Abs": np.abs,
        "Acos": np.arccos,
        "Acosh": np.arccosh,
        "Add": np.add,
        "And": np.logical_and,
        "Asin": np.arcsin,
        "Asinh": np.arcsinh,
        "Atan": np.arctan,
        "Atanh": np.arctanh,
        "BitShift": _shift,
        "BitwiseAnd": np.bitwise_and,
        "BitwiseNot": np.invert,
        "BitwiseOr": np.bitwise_or,
        "BitwiseXor": np.bitwise_xor,
        "CastLike": lambda x, like: cast(x, like.dtype),
        "Ceil": np.ceil,
        "Celu": lambda x, *, alpha=1.0: nn.celu(x, alpha),
        "Clip": _clip,
        "Cos": np.cos,
        "Cosh": np.cosh,
        "Div": _divide,
        "Dropout": _dropout,
        "Elu": lambda x, *, alpha=1.0: nn.elu(x, alpha),
        "Equal": np.equal,
        "Erf": special.erf,
        "Exp": np.exp,
        "Floor": np.floor,
        "Gelu": _gelu,
        "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal,
        "HardSigmoid": lambda x, *, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0, 1),
        "HardSwish": nn.hardswish,
        "Identity": lambda x: x,
        "IsInf": _is_infinite,
        "IsNaN": np.isnan,
        "LeakyRelu": lambda x, *, alpha=0.01: nn.leaky_relu(x, alpha),
        "Less": np.less,
        "LessOrEqual": np.less_equal,
        "Log": np.log,
        "Max": _fold(np.maximum),
        "Mean": lambda *xs: functools.reduce(np.add, xs) / len(xs),
        "Min": _fold(np.minimum),
        "Mish": nn.mish,
        "Mod": lambda a, b, *, fmod=0: np.fmod(a, b) if fmod else np.remainder(a, b),
        "Mul": np.multiply,
        "Neg": np.negative,
        "Not": np.logical_not,
        "Or": np.logical_or,
        "PRelu": _prelu,
        "Pow": lambda x, power: cast(np.power(x, power), x.dtype),
        "Reciprocal": np.reciprocal,
        "Relu": nn.relu,
        "Round": np.rint,
        "Selu": _selu,
        "Shrink": _shrink,
        "Sigmoid": nn.sigmoid,
        "Sign": np.sign,
        "Sin": np.sin,
        "Sinh": np.sinh,
        "Softplus": nn.softplus,
        "Softsign": nn.softsign,
        "Sqrt": np.sqrt,
        "Sub": np.subtract,
        "Sum": _fold(np.add),
        "Swish": lambda x, *, alpha=1.0: x * nn.sigmoid(alpha * x),
        "Tan": np.tan,
        "Tanh": np.tanh,
        "ThresholdedRelu": lambda x, *, alpha=1.0: np.where(x > alpha, x, 0),
        "Where": np.where,
        "Xor": np.logical_xor,
    }
)
