"""Arrays put together from parts: blocks, insertions, repetitions, powers and diagonals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.ops.axes import one_axis
from pullback.ops.gather import take
from pullback.ops.values import as_array


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """Return the slices along `axis`, which np.stack would join again."""
    rows = np.moveaxis(x, one_axis(axis, x.ndim), 0)
    return tuple(rows[i] for i in range(rows.shape[0]))


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Split along the third axis."""
    if ary.ndim < 3:
        raise ShapeError(f"dsplit: expected an array of three axes or more, got shape {ary.shape}")
    return np.split(ary, indices_or_sections, 2)


@implements(np.block)
def block(arrays: Any) -> Any:
    """Join nested lists of blocks, the innermost along the last axis."""
    depth = _depth(arrays)
    ndim = max(depth, max(np.ndim(leaf) for leaf in _leaves(arrays)))
    return _joined(arrays, ndim, depth)


def _depth(parts: Any) -> int:
    if not isinstance(parts, list):
        return 0
    depths = {_depth(part) for part in parts}
    if len(depths) != 1:
        raise ShapeError(f"arrays: expected lists nested to one depth, got depths {sorted(depths)}")
    return 1 + depths.pop()


def _leaves(parts: Any) -> Iterable[Any]:
    if isinstance(parts, list):
        for part in parts:
            yield from _leaves(part)
    else:
        yield parts


def _joined(parts: Any, ndim: int, depth: int) -> Any:
    if isinstance(parts, list):
        return np.concatenate([_joined(part, ndim, depth - 1) for part in parts], axis=-depth)
    x = as_array(parts)
    return np.reshape(x, (1,) * (ndim - x.ndim) + x.shape)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """Put `values` before the places that `obj` names along `axis`, or of the flattened array."""
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = one_axis(axis, arr.ndim)
    values = np.astype(values, arr.dtype)
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if not isinstance(obj, slice) and np.ndim(obj) == 0:
        values = np.moveaxis(values, 0, axis)
    n = arr.shape[axis]
    count = len(np.insert(np.arange(n), obj, 0)) - n
    if count == 1:
        count = values.shape[axis]
    lengths = [count if i == axis else m for i, m in enumerate(arr.shape)]
    joined = np.concatenate([arr, np.broadcast_to(values, lengths)], axis=axis)
    return take(joined, np.insert(np.arange(n), obj, n + np.arange(count)), axis=axis)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """Repeat the elements in order until they fill `new_shape`."""
    a, size = as_array(a), int(np.prod(new_shape))
    if a.size == 0:
        return np.zeros(new_shape, a.dtype)
    return np.reshape(take(np.ravel(a), np.arange(size) % a.size), new_shape)


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """Return the matrix with the flattened `v` as its k-th diagonal."""
    return np.diag(np.ravel(as_array(v)), k)


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """Return the matrix whose columns are the powers of `x`, falling from N - 1 to 0."""
    x = as_array(x)
    if x.ndim != 1:
        raise ShapeError(f"x: expected a vector, got shape {x.shape}")
    exponents = np.arange(x.shape[0] if N is None else N)
    return x[:, None] ** (exponents if increasing else exponents[::-1])
