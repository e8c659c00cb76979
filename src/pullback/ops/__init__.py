"""Floor 1: the operations, one file per family. Importing this package fills the tables."""

from pullback.ops import (
    comparison,
    complex,
    cumulative,
    einsum,
    elementwise,
    fft,
    gather,
    index,
    join,
    matmul,
    query,
    reduce,
    shape,
    sort,
    statistics,
    trigonometric,
)

__all__ = [
    "comparison",
    "complex",
    "cumulative",
    "einsum",
    "elementwise",
    "fft",
    "gather",
    "index",
    "join",
    "matmul",
    "query",
    "reduce",
    "shape",
    "sort",
    "statistics",
    "trigonometric",
]
