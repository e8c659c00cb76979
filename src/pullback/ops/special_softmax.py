"""Sums of exponentials without overflow: logsumexp, softmax, log_softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.dispatch import as_operand, implements
from pullback.ops.complex import discrete_cast


@implements(sp.logsumexp)
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """Return log(sum(b * exp(a))) without overflow; with `return_sign` that of its magnitude.

    A sum of zero gives -inf, with gradient 0.
    """
    a = as_operand(a)
    if b is not None:  # a term of weight 0 counts for nothing, however large
        b = as_operand(b)
        a, b = np.broadcast_arrays(a, b)
        a = np.where(np.equal(b, 0), float("-inf"), a)
    largest = _constant_max(a, axis)
    terms = np.exp(a - largest)
    total = np.sum(terms if b is None else b * terms, axis=axis, keepdims=True)
    sign = np.sign(total)
    magnitude = sign * total if return_sign else total
    empty = np.equal(total, 0)
    result = np.where(empty, float("-inf"), np.log(np.where(empty, 1, magnitude)) + largest)
    if not keepdims:
        result, sign = np.squeeze(result, axis=axis), np.squeeze(sign, axis=axis)
    return (result, sign) if return_sign else result


def _constant_max(a: Any, axis: Any) -> Any:
    """Return the maximum as a constant (it cancels), 0 where it is infinite."""
    largest = np.max(a, axis=axis, keepdims=True)
    fixed = discrete_cast(largest, dtype=np.dtype(a.dtype))  # a cast that no gradient passes
    return np.where(np.isfinite(fixed), fixed, 0)


@implements(sp.softmax)
def softmax(x: Any, axis: Any = None) -> Any:
    """Return exp(x) / sum(exp(x)) over `axis`."""
    x = as_operand(x)
    terms = np.exp(x - _constant_max(x, axis))
    return terms / np.sum(terms, axis=axis, keepdims=True)


@implements(sp.log_softmax)
def log_softmax(x: Any, axis: Any = None) -> Any:
    """Return x - logsumexp(x) over `axis`."""
    x = as_operand(x)
    shifted = x - _constant_max(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
