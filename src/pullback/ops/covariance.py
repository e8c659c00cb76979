"""Covariances and correlations of variables, from their observations."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import DTypeError, ShapeError
from pullback.core.tracer import Tracer
from pullback.ops.values import as_array, concrete


@implements(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None,
    fweights: Any = None, aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    """Return the covariances of variables, one per row, observed in the columns.

    In float64 at least, as NumPy computes them. `fweights` are constant whole numbers, `aweights`
    weights that may be traced.
    """
    parts = [_variables(v, rowvar) for v in (m, y) if v is not None]
    if dtype is None:
        dtype = np.result_type(np.float64, *parts)
    x = np.astype(np.concatenate(parts), dtype)
    if x.shape[0] == 0:
        return np.zeros((0, 0), dtype)
    free = (0 if bias else 1) if ddof is None else ddof
    frequencies = _weights("fweights", fweights, x.shape[1])
    importance = _weights("aweights", aweights, x.shape[1])
    counted = 0 if fweights is None else concrete(frequencies, "fweights")
    if np.any(counted != np.rint(counted)):
        raise DTypeError("fweights: expected whole numbers; weights that are not go to aweights")
    given = [w for w in (frequencies, importance) if w is not None]
    if not given:
        total: Any = x.shape[1] - free
        weights: Any = 1
        mean = np.mean(x, axis=1, keepdims=True)
    else:
        weights = given[0] * given[-1] if len(given) == 2 else given[0]
        count = np.sum(weights)
        mean = np.sum(x * weights, axis=1, keepdims=True) / count
        repeated = 1 if importance is None else np.sum(weights * importance) / count
        total = count - free * repeated
    if not isinstance(total, Tracer) and total <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
        total = 0.0
    centred = x - mean
    return np.squeeze(centred @ np.conjugate((centred * weights).T) * np.true_divide(1, total))


def _variables(v: Any, rowvar: bool) -> Any:
    v = as_array(v)
    if v.ndim > 2:
        raise ShapeError(f"cov: expected one or two axes, got shape {v.shape}")
    rows = np.atleast_2d(v)
    return rows.T if not rowvar and v.ndim == 2 else rows


def _weights(name: str, w: Any, observations: int) -> Any:
    if w is None:
        return None
    w = np.astype(as_array(w), np.float64)
    if w.shape != (observations,):
        raise ShapeError(
            f"{name}: expected one weight for each of the {observations} observations, got shape "
            f"{w.shape}"
        )
    return w


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Return the correlations of variables, one per row, observed in the columns."""
    c = np.cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviations = np.sqrt(np.real(np.diagonal(c)))
    correlations = c / deviations[:, None] / deviations
    if correlations.dtype.kind == "c":
        return _limited(np.real(correlations)) + 1j * _limited(np.imag(correlations))
    return _limited(correlations)


def _limited(r: Any) -> Any:
    """Return `r` without the rounding that carries it past -1 or 1."""
    return np.where(np.abs(r) > 1, np.sign(r), r)
