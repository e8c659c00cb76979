"""What the machine does at most: products of matrices, and copies of memory.

A step that multiplies matrices cannot be faster than its products alone, and one that only passes
over arrays cannot be faster than copying them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import pullback as pb

if TYPE_CHECKING:
    from pullback.bench.timing import Run

SIDE = 1024
"""Rows and columns of the matrices that are multiplied: far more than a cache holds."""

COPIED = 2**27
"""Bytes that are copied."""

BY_US, BY_NUMPY, COPY = "products by pullback", "products by NumPy", "copies"


def references() -> Mapping[str, Run]:
    """Return what is timed beside the peers, to know the rates that `seconds` takes."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, SIDE, SIDE), np.float32)
    fast, source = pb.compile(np.matmul), np.ones(COPIED, np.uint8)
    target = np.empty_like(source)

    def copy() -> Any:
        np.copyto(target, source)

    return {BY_US: lambda: fast(a, b), BY_NUMPY: lambda: a @ b, COPY: copy}


def seconds(flops: float, moved: float, taken: Mapping[str, float]) -> float:
    """Return the time of `flops` operations in products, or of moving bytes, if that is longer.

    `taken` are the seconds of each of the `references`; bytes are counted as they are read and as
    they are written.

    >>> seconds(2 * 1024**3, 0, {BY_US: 0.5, BY_NUMPY: 1.0, COPY: 1.0})
    0.5
    """
    product, copy = min(taken[BY_US], taken[BY_NUMPY]), taken[COPY]
    return max(flops * product / (2 * SIDE**3), moved * copy / (2 * COPIED))
