"""Joining, splitting and repeating."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.aval import Aval, result_type
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.core.op import Op
from pullback.ops.axes import one_axis
from pullback.ops.batching import spread
from pullback.ops.families import linear


def _concatenate_infer(*avals: Aval, axis: int) -> Aval:
    first = avals[0].shape
    for k, a in enumerate(avals[1:], 1):
        same = [n == m for i, (n, m) in enumerate(zip(a.shape, first, strict=False)) if i != axis]
        if len(a.shape) != len(first) or not all(same):
            raise ShapeError(
                f"concatenate: array {k} has shape {a.shape}, expected that of the first, {first}, "
                f"but for axis {axis}"
            )
    length = sum(a.shape[axis] for a in avals)
    return Aval((*first[:axis], length, *first[axis + 1 :]), result_type(*avals))


def _part(i: int, ct: Any, args: Any, params: Any) -> Any:
    axis = params["axis"]
    start = sum(a.shape[axis] for a in args[:i])
    return ct[(slice(None),) * axis + (slice(start, start + args[i].shape[axis]),)]


concatenate_op: Op = linear(
    "concatenate",
    lambda *arrays, axis: np.concatenate(arrays, axis=axis),
    _part,
    infer=_concatenate_infer,
    batch=lambda args, batched, params: concatenate_op(
        *spread(args, batched), axis=params["axis"] + 1
    ),
    samples=lambda rng: [
        ((rng.normal(size=(2, 3)), rng.normal(size=(1, 3))), {"axis": 0}),
        ((rng.normal(size=(2, 3)), rng.normal(size=(2, 0)), rng.normal(size=(2, 1))), {"axis": 1}),
    ],
    arguments=None,
)


@implements(np.concatenate)
def concatenate(
    arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Join arrays along an axis they have."""
    parts = [array_of(a) for a in arrays]
    if axis is None:
        parts, axis = [np.ravel(a) for a in parts], 0
    if not parts or parts[0].ndim == 0:
        raise ShapeError("concatenate: expected arrays of one axis or more; use np.stack")
    result = concatenate_op(*parts, axis=one_axis(axis, parts[0].ndim))
    if dtype is not None:
        result = np.astype(result, dtype)
    if out is not None:
        out[...] = result
        return out
    return result


@implements(np.stack)
def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """Join arrays of one shape along a new axis."""
    parts = [array_of(a) for a in arrays]
    shapes = {a.shape for a in parts}
    if len(shapes) != 1:
        raise ShapeError(f"stack: expected arrays of one shape, got {sorted(shapes)}")
    expanded = [np.expand_dims(a, axis) for a in parts]
    return np.concatenate(expanded, axis=one_axis(axis, parts[0].ndim + 1), out=out, dtype=dtype)


@implements(np.vstack, getattr(np, "row_stack", np.vstack))
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Join along the first axis, vectors as rows."""
    return np.concatenate([np.atleast_2d(array_of(a)) for a in tup], axis=0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Join along the second axis, vectors along their only one."""
    parts = [np.atleast_1d(array_of(a)) for a in tup]
    return np.concatenate(parts, axis=0 if parts[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    """Join along the third axis."""
    return np.concatenate([np.atleast_3d(array_of(a)) for a in tup], axis=2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    """Join vectors as columns, and matrices as they are."""
    parts = [array_of(a) for a in tup]
    return np.concatenate([a[:, None] if a.ndim == 1 else a for a in parts], axis=1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Join two arrays, flattened where no axis is given."""
    return np.concatenate([array_of(arr), array_of(values)], axis=axis)


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Split into parts of nearly equal length, or at the given positions."""
    axis = one_axis(axis, ary.ndim)
    length = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        sections = int(indices_or_sections)
        if sections <= 0:
            raise ValueError(f"indices_or_sections: expected a positive number, got {sections}")
        small, larger = divmod(length, sections)
        lengths = [small + 1] * larger + [small] * (sections - larger)
        cuts = [0, *np.cumsum(lengths).tolist()]
    else:
        cuts = [0, *map(int, indices_or_sections), length]
    head = (slice(None),) * axis
    return [ary[(*head, slice(a, b))] for a, b in itertools.pairwise(cuts)]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Split into parts of equal length, or at the given positions."""
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % int(indices_or_sections):
        raise ShapeError(
            f"split: axis {axis} of length {ary.shape[axis]} does not divide into "
            f"{indices_or_sections} equal parts; use np.array_split"
        )
    return np.array_split(ary, indices_or_sections, axis)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Split along the second axis (the first of a vector)."""
    return np.split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Split along the first axis."""
    return np.split(ary, indices_or_sections, 0)


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Repeat each element, the same number of times or each its own."""
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = one_axis(axis, a.ndim)
    index = np.repeat(np.arange(a.shape[axis]), repeats)
    return np.take(a, index, axis=axis)


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """Repeat the whole array along each axis."""
    counts = (int(reps),) if np.ndim(reps) == 0 else tuple(map(int, reps))
    ndim = max(A.ndim, len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - A.ndim) + A.shape
    interleaved = [k for n in shape for k in (1, n)]
    stretched = [k for count, n in zip(counts, shape, strict=True) for k in (count, n)]
    blocks = np.broadcast_to(np.reshape(A, interleaved), stretched)
    return np.reshape(blocks, [count * n for count, n in zip(counts, shape, strict=True)])
