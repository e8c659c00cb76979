"""Memory of large results, kept for the next ones: new pages cost as much as filling them.

The operating system gives pages one by one, when they are first written, and sets them to zero. A
loop that calls a compiled function and drops its results would pay that in every turn.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from pullback.core.aval import DType

LEAST = 1 << 20
"""Smaller arrays mostly take memory that the process has used before."""
MOST = 1 << 28
"""Bytes that are kept at most, by all programs together; what was made first goes first."""
FREE = 2
"""References to memory that nobody uses: a variable, and the argument that counts them."""

_kept: dict[int, Any] = {}
"""Memory by its identity, what was taken last at the end."""


def room(shape: tuple[int, ...], dtype: DType) -> Any:
    """Return an array to be filled, as np.empty does, in memory that an earlier one has left.

    Memory is left when nobody holds the array, nor a view of it. What was left last is taken
    first: it may still lie in a cache.

    >>> room((2, 3), np.dtype(float)).shape
    (2, 3)
    """
    size = math.prod(shape) * dtype.itemsize
    memory = _left(size)
    if memory is None:
        memory = np.empty(size, np.uint8)
        while _kept and size + sum([m.nbytes for m in tuple(_kept.values())]) > MOST:
            _kept.pop(next(iter(_kept), 0), None)
    if size <= MOST:
        _kept[id(memory)] = memory
    return np.ndarray(shape, dtype, memory)


def _left(size: int) -> Any:
    """Return memory of this size that nobody uses, taken out so that no other thread gets it."""
    for key in reversed(tuple(_kept)):
        memory = _kept.get(key)
        if memory is None or memory.nbytes != size or sys.getrefcount(memory) > FREE + 1:
            continue
        del memory
        memory = _kept.pop(key, None)
        if memory is not None and sys.getrefcount(memory) == FREE:
            return memory
        if memory is not None:
            _kept[key] = memory
    return None


def keeps(shape: tuple[int, ...], dtype: DType) -> bool:
    """Whether an array is so large that its memory is worth keeping."""
    return (
        math.prod(shape) * dtype.itemsize >= LEAST
        and getattr(sys, "_is_gil_enabled", lambda: True)()
    )
