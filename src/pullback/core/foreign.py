"""Arrays of other kinds beside traced ones: read as plain arrays, or refused with what to write.

Masked arrays, matrices and sparse arrays give operators a meaning of their own. Read as plain
arrays they would lose it without a word.
"""

from __future__ import annotations

import functools
import numbers
from decimal import Decimal
from typing import Any

import numpy as np

from pullback.core.errors import DTypeError

_REMEDIES = {
    "masked": "its mask would be lost. Take x.data and ~x.mask apart, and write "
    "np.where(valid, ..., 0) or np.sum(..., where=valid)",
    "matrix": "its * is a product of matrices. Write np.asarray(x), and @ for products",
    "sparse": "it does not hand traced values on. Write x.toarray(); or, for A @ x where A is "
    "large, A = A.tocoo() and np.bincount(A.row, A.data * x[A.col], minlength=A.shape[0])",
    "object": "arrays of objects have no derivative. Write x.astype(float), or np.stack for a "
    "list of traced values",
}


@functools.cache
def is_plain(kind: type) -> bool:
    """Whether values of class `kind`, numbers and traced arrays, are operands as they are."""
    return issubclass(kind, (int, float, complex, np.generic)) or hasattr(kind, "origin")


def plain(x: Any, name: str = "operand") -> Any:
    """Return `x` as a plain array or a number; a traced array as it is.

    Raises DTypeError for what neither can stand for.

    >>> from fractions import Fraction
    >>> plain(range(2)), plain(Fraction(1, 4))
    (array([0, 1]), 0.25)
    """
    kind = x.__class__
    if kind is not np.ndarray:
        if is_plain(kind):
            return x
        refuse(kind, name)
        if isinstance(x, (numbers.Real, Decimal)):
            return float(x)
        x = np.asarray(x)
        if x.dtype.kind in "SU" or (x.dtype.hasobject and not x.shape):  # NumPy sees no array
            raise DTypeError(f"{name}: expected a number or an array, got {kind.__name__}")
    if x.dtype.hasobject:
        raise _error("object", f"an array of dtype {x.dtype}", name)
    return x


def refuse(kind: type, name: str = "operand") -> None:
    """Raise DTypeError if values of class `kind` mean something that a plain array does not."""
    meaning = _meaning(kind)
    if meaning:
        raise _error(meaning, f"{kind.__module__.partition('.')[0]}'s {kind.__name__}", name)


def _error(meaning: str, got: str, name: str) -> DTypeError:
    return DTypeError(f"{name}: expected a plain array, got {got}: {_REMEDIES[meaning]}")


@functools.cache
def _meaning(kind: type) -> str:
    for base in kind.__mro__:
        if base is np.matrix:
            return "matrix"
        if (base.__module__ + ".").startswith("numpy.ma."):
            return "masked"
        if base.__module__.startswith("scipy.sparse._"):  # not its linear operators
            return "sparse"
    return ""
