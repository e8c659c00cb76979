"""Functions of one number, as derivations apply them to each entry: names, values, slopes.

`slope` is the numerical derivative; `derivative` writes it in matrix language where a textbook has
one. Where `primed` it stands in the lines as f′(z) and is written out once, below them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from pullback.core.op import Op
from pullback.explain.derivation.expr import (
    Expr,
    add,
    apply,
    hadamard,
    number,
    ones,
    power,
    product,
    subtract,
)


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of one number."""

    symbol: str
    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    derivative: Callable[[Expr], Expr] | None = None
    primed: bool = False
    is_activation: bool = False


def prime(function: Function) -> Function:
    """Return f′, the slope of f."""
    known = _PRIMES.get(function)
    if known is None:
        known = Function(function.symbol + "′", function.slope, _no_slope)
        _PRIMES[function] = known
    return known


_PRIMES: dict[Function, Function] = {}


def unprimed(function: Function) -> Function | None:
    """Return f for f′, and None for a function that is no slope."""
    return next((f for f, slope in _PRIMES.items() if slope is function), None)


def _no_slope(x: Any) -> Any:
    raise NotImplementedError("derivations have first derivatives only")


def slope_at(function: Function, x: Expr) -> Expr:
    """Return f′(x), written out where that is what a reader expects."""
    if function.derivative is None or function.primed:
        return apply(prime(function), x)
    return function.derivative(x)


def of_op(op: Op) -> Function:
    """Return the function that an elementwise operation of one argument computes."""
    if op.name not in FUNCTIONS:

        def slope(x: Any) -> Any:
            out = op.forward(x)
            return op.vjp(0, np.ones_like(out), out, (x,), {}) if op.vjp else np.zeros_like(x)

        FUNCTIONS[op.name] = Function(op.name, op.forward, slope)
    return FUNCTIONS[op.name]


def _one_minus(x: Expr) -> Expr:
    return subtract(ones(*x.shape), x)


def _rectifier(at_zero: float) -> Function:
    return Function("relu", lambda x: np.maximum(x, 0), lambda x: np.heaviside(x, at_zero),
                    lambda x: apply(POSITIVE, x), primed=True, is_activation=True)  # fmt: skip


def leaky_relu(slope: float) -> Function:
    """Return max(x, slope x)."""
    key = f"leaky_relu {slope}"
    if key not in FUNCTIONS:
        FUNCTIONS[key] = Function(
            "leaky_relu",
            lambda x: np.where(x > 0, x, slope * x),
            lambda x: np.where(x > 0, 1.0, slope),
            lambda x: add(
                product(number(slope), ones(*x.shape)),
                product(number(1 - slope), apply(POSITIVE, x)),
            ),
            primed=True,
            is_activation=True,
        )
    return FUNCTIONS[key]


def _normal_density(x: Any) -> Any:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


POSITIVE: Function = Function("[· > 0]", lambda x: np.asarray(x > 0, float), np.zeros_like)
EXP: Function = Function("exp", np.exp, np.exp, lambda x: apply(EXP, x))
LOG: Function = Function("ln", np.log, np.reciprocal, lambda x: power(x, -1))
SIN: Function = Function("sin", np.sin, np.cos, lambda x: apply(COS, x))
COS: Function = Function(
    "cos", np.cos, lambda x: -np.sin(x), lambda x: product(number(-1), apply(SIN, x))
)
SINH: Function = Function("sinh", np.sinh, np.cosh, lambda x: apply(COSH, x))
COSH: Function = Function("cosh", np.cosh, np.sinh, lambda x: apply(SINH, x))
ABS: Function = Function("abs", np.abs, np.sign, lambda x: apply(SIGN, x))
SIGN: Function = Function("sign", np.sign, np.zeros_like)
SIGMOID: Function = Function(
    "σ",
    special.expit,
    lambda x: special.expit(x) * special.expit(-x),
    lambda x: hadamard(apply(SIGMOID, x), _one_minus(apply(SIGMOID, x))),
    primed=True,
    is_activation=True,
)
TANH: Function = Function(
    "tanh",
    np.tanh,
    lambda x: 1 / np.cosh(x) ** 2,
    lambda x: _one_minus(power(apply(TANH, x), 2)),
    primed=True,
    is_activation=True,
)
SOFTPLUS: Function = Function(
    "softplus", lambda x: np.logaddexp(x, 0), special.expit, lambda x: apply(SIGMOID, x)
)
PHI: Function = Function("Φ", special.ndtr, _normal_density, lambda x: apply(DENSITY, x))
DENSITY: Function = Function("φ", _normal_density, lambda x: -x * _normal_density(x))
GELU: Function = Function(
    "gelu",
    lambda x: x * special.ndtr(x),
    lambda x: special.ndtr(x) + x * _normal_density(x),
    lambda x: add(apply(PHI, x), hadamard(x, apply(DENSITY, x))),
    primed=True,
    is_activation=True,
)
RELU: Function = _rectifier(0.0)
MAXIMUM_0: Function = _rectifier(0.5)
"""max(x, 0) as NumPy's maximum: at a tie both sides share the derivative."""

FUNCTIONS: dict[str, Function] = {
    "exp": EXP,
    "log": LOG,
    "sin": SIN,
    "cos": COS,
    "sinh": SINH,
    "cosh": COSH,
    "absolute": ABS,
    "fabs": ABS,
    "expit": SIGMOID,
    "tanh": TANH,
    "expm1": Function("expm1", np.expm1, np.exp, lambda x: apply(EXP, x)),
    "log1p": Function(
        "log1p", np.log1p, lambda x: 1 / (1 + x), lambda x: power(add(ones(*x.shape), x), -1)
    ),
    "log_expit": Function(
        "logsigmoid", special.log_expit, lambda x: special.expit(-x),
        lambda x: apply(SIGMOID, product(number(-1), x)),
    ),
}  # fmt: skip
"""Functions by the name of their operation; `of_op` adds others."""
