"""Embeddings: a learnt vector for each of a number of things, and for each position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import pullback.numpy.random as random
from pullback.core.arrays import array_of
from pullback.core.errors import DataError, DTypeError, ShapeError
from pullback.core.tracer import Tracer
from pullback.nn.module import Module, static
from pullback.nn.shapes import positive
from pullback.numpy.random import Key
from pullback.ops.gather import take


class Embedding(Module):
    """Row i of `weight` for each index i: integers (...) become vectors (..., features).

    `weight` is (count, features). The gradient of a row is the sum over the places of its index;
    the index `padding` gives zeros, and no gradient.
    Raises DTypeError if the indices are no integers, DataError if one is out of range.

    >>> layer = Embedding(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> layer(np.array([1, 0, 1]))
    array([[3., 4.],
           [1., 2.],
           [3., 4.]])
    """

    weight: Any
    padding: int | None = static(default=None)

    @classmethod
    def create(
        cls,
        key: Key,
        count: int,
        features: int,
        *,
        padding: int | None = None,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
    ) -> Embedding:
        """Return a table of normal numbers with standard deviation `std`."""
        shape = positive("count, features", (count, features))
        return cls(np.asarray(std * random.normal(key, shape, dtype)), padding)

    def __call__(self, indices: Any) -> Any:
        """Return the vectors of `indices`."""
        indices = array_of(indices)
        count = self.weight.shape[0]
        if indices.dtype.kind not in "iu":
            raise DTypeError(
                f"Embedding({count}): indices: expected integers, got {indices.dtype}. Convert "
                "them with indices.astype(np.int64)."
            )
        if not isinstance(indices, Tracer) and indices.size:
            low, high = indices.min(), indices.max()
            if low < 0 or high >= count:
                raise DataError(
                    f"Embedding({count}): indices: expected 0 to {count - 1}, got {low} to {high}."
                )
        vectors = take(self.weight, indices, axis=0)
        if self.padding is None:
            return vectors
        return np.where((indices == self.padding)[..., None], 0, vectors)


class Positions(Module):
    """Adds a learnt vector for each position: x + weight[:time], for x (..., time, features).

    Raises ShapeError if x has more positions than `weight`, or other features.

    >>> Positions(np.array([[0.0], [10.0], [20.0]]))(np.array([[1.0], [1.0]]))
    array([[ 1.],
           [11.]])
    """

    weight: Any

    @classmethod
    def create(
        cls,
        key: Key,
        count: int,
        features: int,
        *,
        std: float = 0.02,
        dtype: DTypeLike = np.float32,
    ) -> Positions:
        """Return vectors for `count` positions: normal numbers with standard deviation `std`."""
        shape = positive("count, features", (count, features))
        return cls(np.asarray(std * random.normal(key, shape, dtype)))

    def __call__(self, x: Any) -> Any:
        """Return x with the vectors of its positions added."""
        count, features = self.weight.shape
        if x.ndim < 2 or x.shape[-1] != features or x.shape[-2] > count:
            raise ShapeError(
                f"Positions({count}, {features}): x: expected shape (..., time, {features}) with "
                f"time up to {count}, got {x.shape}."
            )
        return x + self.weight[: x.shape[-2]]
