"""Modules made of modules: side by side, around, frozen; and reshaping between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from pullback.core.errors import ConfigError, ShapeError
from pullback.nn import init as initialisers
from pullback.nn.init import Initialiser
from pullback.nn.module import Module, state, static
from pullback.nn.shapes import positive
from pullback.numpy.random import Key


class Residual(Module):
    """x + inner(x), or shortcut(x) + inner(x), where the inner layers change the shape.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016.
    Raises ShapeError if the two have different shapes.

    >>> from pullback.nn import Activation
    >>> Residual(Activation("relu"))(np.array([-2.0, 3.0]))
    array([-2.,  6.])
    """

    inner: Any
    shortcut: Any = None

    def __call__(self, x: Any) -> Any:
        """Return the sum of what goes through and what goes past."""
        y = self.inner(x)
        x = x if self.shortcut is None else self.shortcut(x)
        if x.shape != y.shape:
            raise ShapeError(
                f"Residual: expected equal shapes, got {y.shape} of inner and {x.shape} past it. "
                "Give a shortcut that changes the shape as inner does."
            )
        return x + y


class Parallel(Module):
    """Several modules of the same input, their results joined along the last axis, or added.

    `join` may be "concatenate", "sum", or "list", which leaves them a list.

    >>> from pullback.nn import Activation
    >>> Parallel([Activation("relu"), Activation("identity")])(np.array([-2.0, 3.0]))
    array([ 0.,  3., -2.,  3.])
    """

    branches: Sequence[Any]
    join: Literal["concatenate", "sum", "list"] = static(default="concatenate")

    def __post_init__(self) -> None:
        if self.join not in ("concatenate", "sum", "list"):
            raise ConfigError(f"join: expected 'concatenate', 'sum' or 'list', got {self.join!r}.")

    def __call__(self, x: Any) -> Any:
        """Return the joined results of all branches."""
        results = [branch(x) for branch in self.branches]
        if self.join == "list":
            return results
        if self.join == "concatenate":
            return np.concatenate(results, axis=-1)
        total = results[0]
        for y in results[1:]:
            total = total + y
        return total


class Frozen(Module):
    """`inner` as it is: no gradient, no new statistics, no dropout. All of it counts as state.

    For transfer learning: what is frozen is no parameter for `partition`, so that no optimizer
    changes it.

    >>> from pullback import nn
    >>> nn.partition(Frozen(nn.Linear(np.ones((2, 1)))))[0]
    Frozen(inner=Linear(weight=None, bias=None))
    """

    inner: Any = state()

    def __call__(self, x: Any) -> Any:
        """Return inner(x), evaluated."""
        return self.inner(x)


class Flatten(Module):
    """Each sample as one row: (n, ...) becomes (n, features), in the order of memory.

    Raises ShapeError if x has no axis beside the samples.

    >>> Flatten()(np.ones((5, 4, 4, 3))).shape
    (5, 48)
    """

    def __call__(self, x: Any) -> Any:
        """Return x as (n, features)."""
        if x.ndim < 2:
            raise ShapeError(f"Flatten: x: expected shape (n, ...), got {x.shape}.")
        return np.reshape(x, (x.shape[0], -1))


class Reshape(Module):
    """Each sample in another shape: (n, ...) becomes (n, *shape), such as rows made images.

    Raises ShapeError if a sample has another number of entries.

    >>> Reshape((28, 28, 1))(np.ones((5, 784))).shape
    (5, 28, 28, 1)
    """

    shape: tuple[int, ...] = static()

    def __post_init__(self) -> None:
        positive("shape", self.shape)

    def __call__(self, x: Any) -> Any:
        """Return x as (n, *shape)."""
        if x.ndim < 1 or math.prod(x.shape[1:]) != math.prod(self.shape):
            raise ShapeError(
                f"Reshape: x: expected {math.prod(self.shape)} entries in each sample for shape "
                f"{self.shape}, got shape {x.shape}."
            )
        return np.reshape(x, (x.shape[0], *self.shape))


class Bilinear(Module):
    """y_k = x^T W_k z + b_k: of two inputs, (..., first) and (..., second).

    `weight` is (first, second, out), `bias` (out,) or None. Raises ShapeError if they do not fit.

    >>> Bilinear(np.ones((2, 2, 1)), None)(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([[21.]])
    """

    weight: Any
    bias: Any

    @classmethod
    def create(
        cls,
        key: Key,
        first: int,
        second: int,
        out: int,
        *,
        bias: bool = True,
        init: Initialiser = initialisers.glorot_uniform,
        dtype: DTypeLike = np.float32,
    ) -> Bilinear:
        """Return a layer with weights drawn by `init` and a zero bias (None if not `bias`)."""
        shape = positive("first, second, out", (first, second, out))
        weight = init(key, shape, first * second, out, dtype)
        return cls(weight, np.zeros(out, dtype) if bias else None)

    def __call__(self, x: Any, z: Any) -> Any:
        """Return x^T W z + b for each pair of rows."""
        first, second, _ = self.weight.shape
        if x.shape[-1:] != (first,) or z.shape != (*x.shape[:-1], second):
            raise ShapeError(
                f"Bilinear({first}, {second}): expected x (..., {first}) and z (..., {second}), "
                f"got {x.shape} and {z.shape}."
            )
        y = np.einsum("...i,ijk,...j->...k", x, self.weight, z)
        return y if self.bias is None else y + self.bias
