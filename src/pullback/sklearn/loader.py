"""Minibatches gathered from the rows of arrays and sparse matrices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.sklearn.steps import Batches, Samples

CALL_BYTES = 16_000_000
"""About how much data a call of machine code takes: it lasts some milliseconds."""
MOST_STEPS = 64


class Loader:
    """Gathers the minibatches of an epoch, in arrays that are used again and again.

    With `fill`, a last batch that is smaller has samples of weight 0 besides, so that all batches
    have one shape. Otherwise it comes in a shape of its own, and is left out if it is a single
    sample, which has no variance.
    """

    def __init__(self, samples: Samples, size: int, fill: bool) -> None:
        self.samples, self.size, self.fill = samples, size, fill
        whole = -(-len(samples.targets) // size)
        row = math.prod(samples.inputs.shape[1:]) * samples.inputs.dtype.itemsize
        steps = max(1, min(whole, MOST_STEPS, CALL_BYTES // (row * size)))
        self._arrays = Samples(*(np.empty((steps, size, *a.shape[1:]), a.dtype) for a in samples))
        self._most = steps * size

    @property
    def example(self) -> Samples:
        """The shapes and dtypes of a batch."""
        return Samples(*(Aval(array.shape[1:], array.dtype) for array in self._arrays))

    def __call__(self, order: Any) -> Iterator[Batches]:
        """Yield the batches of the samples in `order`; each overwrites those before."""
        n, size = len(order), self.size
        whole = n if self.fill else n // size * size
        for start in range(0, whole, self._most):
            yield self._gather(order[start : min(start + self._most, whole)])
        if n - whole > 1:
            rows = order[whole:]
            tail = Samples(*(dense(array[rows])[None] for array in self.samples))
            yield Batches(tail, [len(rows)])

    def _gather(self, rows: Any) -> Batches:
        *whole, last = range(0, len(rows), self.size)
        filled = np.resize(rows, (len(whole) + 1) * self.size)
        for source, batches in zip(self.samples, self._arrays, strict=True):
            flat = batches.reshape(-1, *source.shape[1:])[: len(filled)]
            if isinstance(source, np.ndarray):
                np.take(source, filled, axis=0, out=flat, mode="clip")
            else:
                flat[:] = dense(source[filled])
        self._arrays.weights.reshape(-1)[len(rows) : len(filled)] = 0
        return Batches(self._arrays, [self.size] * len(whole) + [len(rows) - last])


def dense(array: Any) -> Any:
    """Return a sparse matrix as an array, and an array as it is."""
    return array if isinstance(array, np.ndarray) else array.toarray()
