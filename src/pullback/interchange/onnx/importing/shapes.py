"""ONNX's operators on shapes, places and dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.interchange.onnx.importing.operators import OPERATORS, cast, integer, integers
from pullback.ops.gather import take
from pullback.ops.index import HOLE, Template, gather_op, scatter_op, update_op


def _reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    wanted = integers(shape) if np.size(shape) else []
    kept = [n if n or allowzero else x.shape[i] for i, n in enumerate(wanted)]
    return np.reshape(x, kept)


def _flatten(x: Any, *, axis: int = 1) -> Any:
    place = axis if axis >= 0 else axis + x.ndim
    return np.reshape(x, (math.prod(x.shape[:place]), math.prod(x.shape[place:])))


def _squeeze(x: Any, axes: Any = None) -> Any:
    return np.squeeze(x, None if axes is None else tuple(integers(axes)))


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    firsts, lasts = integers(starts), integers(ends)
    places = range(len(firsts)) if axes is None else integers(axes)
    jumps = [1] * len(firsts) if steps is None else integers(steps)
    parts = [slice(None)] * x.ndim
    for axis, first, last, step in zip(places, firsts, lasts, jumps, strict=True):
        if step < 0:  # ONNX takes the first element there, NumPy none
            first = max(first, -x.shape[axis])
        parts[axis] = slice(first, last, step)
    return x[tuple(parts)]


def _split(x: Any, split: Any = None, *, axis: int = 0, num_outputs: int) -> Any:
    if split is not None:
        return tuple(np.split(x, np.cumsum(integers(split))[:-1], axis))
    size = -(-x.shape[axis] // num_outputs)
    return tuple(np.split(x, [size * i for i in range(1, num_outputs)], axis))


def _pad(x: Any, pads: Any, value: Any = None, axes: Any = None, *, mode: str = "constant") -> Any:
    sides = integers(pads)
    places = range(x.ndim) if axes is None else integers(axes)
    width = [(0, 0)] * x.ndim
    for k, axis in enumerate(places):
        width[axis] = (sides[k], sides[k + len(places)])
    for axis, (before, after) in enumerate(width):  # what is less than nothing is cut off
        head = (slice(None),) * axis
        x = x[(*head, slice(max(-before, 0), x.shape[axis] - max(-after, 0)))]
    grown = [(max(a, 0), max(b, 0)) for a, b in width]
    if mode == "constant":
        return np.pad(x, grown, constant_values=0 if value is None else np.reshape(value, ()))
    return np.pad(x, grown, mode=mode)  # type: ignore[call-overload]


def _shape(x: Any, *, start: int = 0, end: int | None = None) -> Any:
    return np.array(x.shape[start:end], np.int64)


def _filled(shape: Any, *, value: Any = None) -> Any:
    value = np.zeros(1, np.float32) if value is None else value
    return np.full(integers(shape) if np.size(shape) else (), value[0], value.dtype)


def _range(start: Any, limit: Any, delta: Any) -> Any:
    first, last, step = (np.asarray(n).item() for n in (start, limit, delta))
    return np.arange(first, last, step, start.dtype)  # type: ignore[call-overload]


def _one_hot(indices: Any, depth: Any, values: Any, *, axis: int = -1) -> Any:
    size = integer(depth)
    hot = np.expand_dims(np.where(indices < 0, indices + size, indices), axis)
    place = np.reshape(
        np.arange(size), [-1 if i == axis % hot.ndim else 1 for i in range(hot.ndim)]
    )
    return np.where(hot == place, values[1], values[0])


def _triangle(x: Any, k: Any = None, *, upper: int = 1) -> Any:
    return (np.triu if upper else np.tril)(x, 0 if k is None else integer(k))


def _take(x: Any, indices: Any, *, axis: int = 0) -> Any:
    return take(x, indices, axis=axis)


def _take_along(x: Any, indices: Any, *, axis: int = 0) -> Any:
    return _read(x, _along(x, indices, axis))


def _read(x: Any, place: tuple[Any, ...]) -> Any:
    return gather_op(x, *place, index=Template((HOLE,) * len(place)))


def _along(x: Any, indices: Any, axis: int) -> tuple[Any, ...]:
    """Return the index that takes `indices` along `axis`, and its own places along the others."""
    grid = np.meshgrid(*map(np.arange, indices.shape), indexing="ij", sparse=True)
    return tuple(indices if i == axis % x.ndim else place for i, place in enumerate(grid))


def _take_places(x: Any, indices: Any, *, batch_dims: int = 0) -> Any:
    return _read(x, _places(indices, batch_dims))


def _places(indices: Any, batch_dims: int = 0) -> tuple[Any, ...]:
    """Return the index whose coordinates are the last axis of `indices`."""
    shape = indices.shape[:-1]
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True)[:batch_dims]
    return (*grid, *[indices[..., k] for k in range(indices.shape[-1])])


def _written(x: Any, place: tuple[Any, ...], updates: Any, reduction: str) -> Any:
    index = Template((HOLE,) * len(place))
    if reduction == "none":
        return update_op(x, updates, *place, index=index)
    return x + scatter_op(updates, *place, shape=x.shape, index=index)


def _scatter(x: Any, indices: Any, updates: Any, *, axis: int = 0, reduction: str = "none") -> Any:
    return _written(x, _along(x, indices, axis), updates, reduction)


def _space_to_depth(x: Any, *, blocksize: int) -> Any:
    n, c, h, w = x.shape
    b = blocksize
    parts = np.reshape(x, (n, c, h // b, b, w // b, b))
    return np.reshape(np.transpose(parts, (0, 3, 5, 1, 2, 4)), (n, c * b * b, h // b, w // b))


def _depth_to_space(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        parts = np.transpose(np.reshape(x, (n, b, b, c // b**2, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        parts = np.transpose(np.reshape(x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return np.reshape(parts, (n, c // b**2, h * b, w * b))


OPERATORS.update(
    {
        "Cast": lambda x, *, to: cast(x, to),
        "Concat": lambda *xs, axis: np.concatenate(xs, axis),
        "ConstantOfShape": _filled,
        "DepthToSpace": _depth_to_space,
        "Expand": lambda x, shape: np.broadcast_to(
            x, np.broadcast_shapes(x.shape, integers(shape) if np.size(shape) else ())
        ),
        "Flatten": _flatten,
        "Gather": _take,
        "GatherElements": _take_along,
        "GatherND": _take_places,
        "OneHot": _one_hot,
        "Pad": _pad,
        "Range": _range,
        "Reshape": _reshape,
        "ScatterElements": _scatter,
        "ScatterND": lambda x, indices, updates, *, reduction="none": _written(
            x, _places(indices), updates, reduction
        ),
        "Shape": _shape,
        "Size": lambda x: np.int64(x.size),
        "Slice": _slice,
        "SpaceToDepth": _space_to_depth,
        "Split": _split,
        "Squeeze": _squeeze,
        "Tile": lambda x, repeats: np.tile(x, integers(repeats)),
        "Transpose": lambda x, *, perm=None: np.transpose(x, perm),
        "Trilu": _triangle,
        "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(integers(axes))),
    }
)
