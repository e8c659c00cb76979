"""What an expression is worth: the numbers every printed line is checked by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.explain.derivation.expr import Expr, Shape

Array = np.ndarray[Any, Any]


def array_shape(shape: Shape) -> tuple[int, ...]:
    """Return the shape of the array that holds the value: a vector has one column."""
    return tuple(1 if n is None else n for n in shape)


def value_of(expr: Expr, known: Mapping[Expr, Array]) -> Array:
    """Return the value of `expr`, in `array_shape`, from those of its symbols."""
    if expr in known:
        return known[expr]
    args = [value_of(arg, known) for arg in expr.args]
    found = np.asarray(VALUES[expr.kind](expr, *args))
    return found.reshape(array_shape(expr.shape))


def _product(expr: Expr, *args: Array) -> Array:
    numbers = [a.item() for f, a in zip(expr.args, args, strict=True) if f.is_scalar]
    chain = [a for f, a in zip(expr.args, args, strict=True) if not f.is_scalar]
    scale = functools.reduce(lambda x, y: x * y, numbers, 1.0)
    return np.asarray(scale * functools.reduce(np.matmul, chain) if chain else scale)


def _times(x: Array, y: Array) -> Array:
    """Return x y, and 0 where one of them is: a mask counts for all it hides."""
    return np.where((x == 0) | (y == 0), 0, x * y)


def _softmax(expr: Expr, x: Array) -> Array:
    weight = np.exp(x - np.max(x, axis=_along(expr.args[0]), keepdims=True))
    return np.asarray(weight / np.sum(weight, axis=_along(expr.args[0]), keepdims=True))


def _logsumexp(expr: Expr, x: Array) -> Array:
    return np.logaddexp.reduce(x, axis=_along(expr.args[0]))  # type: ignore[no-any-return]


def _along(x: Expr) -> int:
    """Return the axis that is normalised: the rows of a matrix, or a vector as a whole."""
    return 0 if x.shape[1] is None else -1


def _vjp(expr: Expr, cotangent: Array, *args: Array) -> Array:
    operation, position = expr.data
    return operation.vjp(position, cotangent, *args)  # type: ignore[no-any-return]


VALUES: dict[str, Callable[..., Any]] = {
    "number": lambda expr: expr.data,
    "ones": lambda expr: np.ones(array_shape(expr.shape)),
    "eye": lambda expr: np.eye(expr.shape[0]),
    "zero": lambda expr: np.zeros(array_shape(expr.shape)),
    "sum": lambda expr, *args: functools.reduce(np.add, args),
    "product": _product,
    "hadamard": lambda expr, *args: functools.reduce(_times, args),
    "transpose": lambda expr, x: x.T,
    "apply": lambda expr, x: expr.data.value(x),
    "power": lambda expr, x: x**expr.data,
    "inverse": lambda expr, x: np.linalg.inv(x),
    "det": lambda expr, x: np.linalg.det(x),
    "logdet": lambda expr, x: np.linalg.slogdet(x)[1],
    "trace": lambda expr, x: np.trace(x),
    "norm": lambda expr, x: np.sqrt(np.sum(x * x)),
    "diag": lambda expr, x: np.diag(x[:, 0]),
    "diagonal": lambda expr, x: np.diagonal(x),
    "softmax": _softmax,
    "logsumexp": _logsumexp,
    "kron": lambda expr, x, y: np.kron(x, y),
    "call": lambda expr, *args: expr.data.value(*args),
    "vjp": _vjp,
}
"""The value of each kind of expression, from the values of its arguments."""
