"""Which products with a derivative to take, and where in them each of its elements stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from pullback.transform.sparse.coloring import color_columns, color_star, count

Mode = Literal["auto", "forward", "reverse", "bidirectional"]


@dataclass(frozen=True, slots=True)
class Compression:
    """A sparse matrix J of a known pattern, from the products J S and R J.

    `column_colors` and `row_colors` define S and R: a 1 for each column or row of a colour, -1 for
    those that take part in no product. Element k of the pattern, in CSR order, is element
    `places[k]` of the rows of (J S)^T, followed by those of R J.
    """

    pattern: Any
    column_colors: Any
    row_colors: Any
    places: Any

    @property
    def products(self) -> int:
        """How many products with vectors are taken."""
        return count(self.column_colors) + count(self.row_colors)

    def transposed(self) -> Compression:
        """Return the same for a symmetric matrix, from products of the other mode."""
        return Compression(self.pattern, self.row_colors, self.column_colors, self.places)

    def expand(self, products: Any) -> Any:
        """Return the matrix as a `scipy.sparse.csr_array`; `products` is flat."""
        indices, ends = self.pattern.indices.copy(), self.pattern.indptr.copy()
        return csr_array((products[self.places], indices, ends), shape=self.pattern.shape)


def seeds(colors: Any) -> Any:
    """Return the matrix of one row per colour, with 1 where an element has it."""
    found = np.zeros((count(colors), colors.size))
    used = np.flatnonzero(colors >= 0)
    found[colors[used], used] = 1
    return found


def compress(pattern: Any, mode: Mode) -> Compression:
    """Return a compression of a general matrix; "auto" takes the fewest products."""
    if mode == "forward":
        return _forward(pattern)
    if mode == "reverse":
        return _reverse(pattern)
    if mode == "bidirectional":
        return _bidirectional(pattern)
    bounds = [
        (np.diff(pattern.indptr).max(initial=0), _forward),
        (np.bincount(pattern.indices).max(initial=0), _reverse),
        (_least_bidirectional(pattern)[0], _bidirectional),
    ]
    best: Compression | None = None
    for bound, way in sorted(bounds, key=lambda pair: int(pair[0])):
        if best is None or bound < best.products:
            found = way(pattern)
            best = found if best is None or found.products < best.products else best
    assert best is not None
    return best


def compress_symmetric(pattern: Any) -> Compression:
    """Return a compression of a symmetric matrix by a star colouring."""
    colors = color_star(pattern)
    rows, columns = _coordinates(pattern)
    size = pattern.shape[0]
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    # H[high, low] stands alone in row `high` where `low` is its only neighbour of that colour
    slots = rows * count(colors) + colors[columns]
    shared = np.bincount(slots, minlength=size * count(colors))
    alone = shared[high * count(colors) + colors[low]] == 1
    places = np.where(alone, colors[low] * size + high, colors[high] * size + low)
    return Compression(pattern, colors, np.full(size, -1), places)


def _forward(pattern: Any) -> Compression:
    return _split(pattern, np.zeros(pattern.nnz, bool))


def _reverse(pattern: Any) -> Compression:
    return _split(pattern, np.ones(pattern.nnz, bool))


def _bidirectional(pattern: Any) -> Compression:
    """Take a few dense rows in reverse mode, or a few dense columns in forward mode, and the rest
    in the other one.
    """
    rows, columns = _coordinates(pattern)
    _, dense_rows, dense_columns = _least_bidirectional(pattern)
    candidates = [
        _split(pattern, np.isin(rows, dense_rows)),
        _split(pattern, ~np.isin(columns, dense_columns)),
    ]
    return min(candidates, key=lambda c: c.products)


def _least_bidirectional(pattern: Any) -> tuple[int, Any, Any]:
    """Return a lower bound of the products of both ways, and the dense rows and columns."""
    rows = _longest(np.diff(pattern.indptr))
    columns = _longest(np.bincount(pattern.indices, minlength=pattern.shape[1]))
    return min(rows[0], columns[0]), rows[1], columns[1]


def _longest(lengths: Any) -> tuple[int, Any]:
    """Return which lines to take one by one, and how many products that and the rest need."""
    order = np.argsort(-lengths, kind="stable")
    products = np.append(lengths[order], 0) + np.arange(lengths.size + 1)
    best = int(np.argmin(products))
    return int(products[best]), order[:best]


def _split(pattern: Any, in_reverse: Any) -> Compression:
    """Return the compression that reads the elements `in_reverse` from R J, the others from J S."""
    rows, columns = _coordinates(pattern)
    m, n = pattern.shape
    column_colors = color_columns(_part(pattern, ~in_reverse))
    row_colors = color_columns(csr_array(_part(pattern, in_reverse).T))
    forward = column_colors[columns] * m + rows
    reverse = count(column_colors) * m + row_colors[rows] * n + columns
    places = np.where(in_reverse, reverse, forward)
    return Compression(pattern, column_colors, row_colors, places)


def _part(pattern: Any, chosen: Any) -> Any:
    rows, columns = _coordinates(pattern)
    places = (rows[chosen], columns[chosen])
    return csr_array((np.ones(places[0].size, bool), places), shape=pattern.shape)


def _coordinates(pattern: Any) -> tuple[Any, Any]:
    found = pattern.tocoo()
    return found.row.astype(np.int64), found.col.astype(np.int64)
