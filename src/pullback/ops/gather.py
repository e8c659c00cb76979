"""Taking elements, diagonals and triangles: what is made of indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from pullback.core.arrays import array_of
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError, ShapeError
from pullback.core.tracer import Tracer
from pullback.ops.axes import one_axis
from pullback.ops.index import HOLE, Template, gather_op, scatter_op

# taking


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Take elements along an axis, or of the flattened array."""
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = one_axis(axis, a.ndim)
    index = array_of(indices)
    length = a.shape[axis]
    if mode == "wrap":
        index = index % length
    elif mode == "clip":
        index = np.clip(index, 0, length - 1)
    if index.ndim == 0 and not isinstance(index, Tracer):
        return a[(*((slice(None),) * axis), int(index))] * 1
    result = gather_op(a, index, index=Template((*((slice(None),) * axis), HOLE)))
    if out is not None:
        out[...] = result
        return out
    return result


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """Return the windows that slide along the axes, the places in them along new last axes."""
    if writeable:
        raise NotDifferentiableError(
            "sliding_window_view(writeable=True): windows share elements, and traced ones are "
            "copies; assign to the array itself"
        )
    sizes = tuple(window_shape) if np.ndim(window_shape) else (window_shape,)
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim, "axis", True)
    if len(sizes) != len(axes):
        raise ShapeError(f"window_shape: expected {len(axes)} sizes, one an axis, got {sizes}")
    for size, k in zip(sizes, axes, strict=True):
        count = x.shape[k] - size + 1
        if size < 0 or count < 1:
            raise ShapeError(f"window_shape: expected 0 to {x.shape[k]} on axis {k}, got {size}")
        places = np.arange(count)[:, None] + np.arange(size)
        x = np.moveaxis(np.take(x, places, axis=k), k + 1, -1)
    return x


def _along(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    places: list[Any] = []
    for i in range(len(shape)):
        if i == axis:
            places.append(indices)
        else:
            # an axis of length 1 in the indices stretches over all of the array
            length = shape[i] if indices.shape[i] == 1 else indices.shape[i]
            shape_here = [-1 if j == i else 1 for j in range(len(shape))]
            places.append(np.arange(length).reshape(shape_here))
    return tuple(places)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    """Take one element per position along `axis`, as argsort and argmax point to."""
    indices = array_of(indices)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = one_axis(axis, arr.ndim)
    if indices.ndim != arr.ndim:
        raise ShapeError(
            f"take_along_axis: indices have {indices.ndim} axes, expected {arr.ndim} as the array"
        )
    places = _along(arr.shape, indices, axis)
    return gather_op(arr, *places, index=Template((HOLE,) * arr.ndim))


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """Write one element per position along `axis`, in place."""
    indices = array_of(indices)
    arr[_along(arr.shape, indices, one_axis(axis, arr.ndim))] = values


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """Take the slices along `axis` where `condition` holds."""
    return np.take(a, np.flatnonzero(condition), axis=axis, out=out)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """Leave out the elements named by `obj`."""
    if axis is None:
        arr, axis = np.ravel(arr), 0
    kept = np.delete(np.arange(arr.shape[axis]), obj)
    return np.take(arr, kept, axis=axis)


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Choose from the first choice whose condition holds."""
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


# diagonals and triangles


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonal of the plane of two axes, as the last axis."""
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = moved.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    k = np.arange(length)
    return moved[..., k + max(-offset, 0), k + max(offset, 0)]


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """Return the diagonal of a matrix, or the matrix with this diagonal."""
    if v.ndim == 2:
        return np.diagonal(v, k)
    if v.ndim != 1:
        raise ShapeError(f"diag: expected one or two axes, got shape {v.shape}")
    n = v.shape[0] + abs(k)
    i = np.arange(v.shape[0])
    index = Template((HOLE, HOLE))
    return scatter_op(v, i + max(-k, 0), i + max(k, 0), shape=(n, n), index=index)


@implements(np.trace)
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    """Sum of the diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


def _triangle(m: Any, k: int) -> Any:
    """Return where the lower triangle of `m` is; a vector stands for equal rows of a square."""
    rows, columns = m.shape[-2:] if m.ndim > 1 else m.shape * 2
    return np.tri(rows, columns, k, bool)


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """Return the lower triangle, zeros above."""
    return np.where(_triangle(m, k), m, 0)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """Return the upper triangle, zeros below."""
    return np.where(_triangle(m, k - 1), 0, m)
