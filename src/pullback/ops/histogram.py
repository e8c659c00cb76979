"""Counts: constant in the data, linear in the weights; the edges of bins move with the data."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import DTypeError, ShapeError
from pullback.core.tracer import Tracer
from pullback.ops.index import HOLE, Template, scatter_op
from pullback.ops.values import as_array, concrete


def _summed(places: Any, terms: Any, size: int) -> Any:
    """Return the sums of the terms at each place, whole numbers or at least float64."""
    if terms.dtype.kind != "i":
        terms = np.astype(terms, np.result_type(terms, np.float64))
    return scatter_op(terms, places, shape=(size,), index=Template((HOLE,)))


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """Count the numbers 0, 1, 2, ..., or sum their weights, as float64; linear in the weights."""
    places = np.asarray(concrete(x, "np.bincount"))
    if places.dtype.kind not in "iub":
        raise DTypeError(
            f"x: expected whole numbers, got {places.dtype}; np.histogram counts others"
        )
    weights = None if weights is None else as_array(weights)
    if weights is not None and weights.shape != places.shape:
        raise ShapeError(f"weights: expected shape {places.shape} as of x, got {weights.shape}")
    if places.size and places.min() < 0:
        raise ValueError(f"x: expected numbers of at least 0, got {places.min()}")
    terms = np.ones(places.shape, np.intp) if weights is None else np.astype(weights, np.float64)
    return _summed(places, terms, max(minlength, int(places.max(initial=-1)) + 1))


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """Return the edges of the bins: where `range` is not given, they move with the data."""
    if not isinstance(bins, str) and np.ndim(bins):
        return as_array(bins)
    a = as_array(a)
    if isinstance(bins, str):  # a rule for the number of bins
        values = np.asarray(concrete(a, "np.histogram_bin_edges"))
        bins = np.histogram_bin_edges(values, bins, range).size - 1
    if operator.index(bins) < 1:
        raise ValueError(f"bins: expected at least 1, got {bins}")
    low, high = (np.min(a), np.max(a)) if range is None and a.size else range or (0.0, 1.0)
    dtype = np.result_type(low, high, a)
    half = np.where(np.equal(low, high), 0.5, 0.0).astype(dtype)  # of a unit, where all are equal
    return np.linspace(
        low - half, high + half, bins + 1, dtype=dtype if dtype.kind == "f" else None
    )


@implements(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any]:
    """Return counts, or sums of weights, and the edges of the bins.

    Counts are constant; sums are linear in `weights`, and densities move with the edges.
    """
    edges = np.histogram_bin_edges(as_array(a), bins, range)
    sums, (edges,) = _sums("np.histogram", [np.ravel(as_array(a))], [edges], weights)
    if density:
        return _density(sums, [edges]), edges
    return (sums if weights is None else np.astype(sums, as_array(weights).dtype)), edges


def _sums(name: str, columns: Any, edges: Any, weights: Any) -> tuple[Any, Any]:
    """Return the sums over the cells of a grid, and its edges."""
    inside, cell = True, 0
    shape = tuple(e.shape[0] - 1 for e in edges)
    for column, edge, n in zip(columns, edges, shape, strict=True):
        falling = np.any(edge[1:] < edge[:-1])
        if not isinstance(falling, Tracer) and falling:
            raise ValueError(f"{name}: expected bins whose edges increase, got {edge}")
        bin_of = np.searchsorted(edge, column, side="right") - 1
        bin_of = np.where(np.equal(column, edge[-1]), n - 1, bin_of)  # the last bin is closed
        inside = inside & (bin_of >= 0) & (bin_of < n)
        cell = cell * n + np.clip(bin_of, 0, n - 1)
    terms = 1 if weights is None else np.ravel(as_array(weights))
    sums = _summed(cell, np.where(inside, terms, 0), int(np.prod(shape)))
    return np.reshape(sums, shape), edges


def _density(sums: Any, edges: Any) -> Any:
    """Return the sums divided by their total and by the volumes of the cells."""
    result = sums / np.sum(sums)
    for i, edge in enumerate(edges):
        widths = np.diff(edge)
        result = result / np.reshape(widths, [-1 if j == i else 1 for j in range(len(edges))])
    return result


@implements(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, list[Any]]:
    """Return the histogram of points in several dimensions, and the edges on each axis."""
    if isinstance(sample, (list, tuple)):
        sample = np.stack([as_array(s) for s in sample], axis=-1)
    sample = as_array(sample)
    sample = sample if sample.ndim == 2 else np.atleast_2d(sample).T
    columns = list(np.unstack(sample, axis=1))
    each = bins if hasattr(bins, "__len__") else [bins] * len(columns)
    ranges = [None] * len(columns) if range is None else range
    if len(each) != len(columns) or len(ranges) != len(columns):
        raise ShapeError(
            f"bins: expected one entry for each of the {len(columns)} dimensions, got {len(each)}; "
            f"range likewise, got {len(ranges)}"
        )
    edges = [np.histogram_bin_edges(c, b, r) for c, b, r in zip(columns, each, ranges, strict=True)]
    sums, edges = _sums("np.histogramdd", columns, edges, weights)
    sums = sums * 1.0  # NumPy counts in float64 here
    return (_density(sums, edges) if density else sums), edges


@implements(np.histogram2d)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any, Any]:
    """Return the histogram of points (x, y), and the edges on both axes."""
    if hasattr(bins, "__len__") and len(bins) not in (1, 2):
        bins = [bins, bins]
    sums, edges = np.histogramdd([x, y], bins, range, density, weights)
    return sums, edges[0], edges[1]
