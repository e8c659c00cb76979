"""Indexing and assignment: gather, and its transpose, scatter-add.

An index is split into a template that is known when tracing (slices, None, Ellipsis, integers) and
the index arrays, which are arguments of the operation.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.aval import Aval, aval_of
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError, ShapeError
from pullback.core.op import Notation, Op
from pullback.core.tracer import Tracer
from pullback.ops.axes import one_axis
from pullback.ops.families import linear
from pullback.ops.shape import as_view


@dataclass(frozen=True, slots=True)
class Template:
    """The static part of an index; `parts` holds HOLE where an index array belongs.

    `unique` says that no element is named twice: there are no index arrays, or they come of masks.
    """

    parts: tuple[Any, ...]
    unique: bool = False

    def fill(self, arrays: Any) -> tuple[Any, ...]:
        """Return the whole index."""
        if not arrays:
            return self.parts
        source = iter(arrays)
        return tuple(next(source) if p is HOLE else p for p in self.parts)

    def __str__(self) -> str:
        return "[" + ", ".join(map(_part_text, self.parts)) + "]"


HOLE = type("Hole", (), {"__repr__": lambda self: "#"})()


def _part_text(part: Any) -> str:
    if isinstance(part, slice):
        step = "" if part.step is None else f":{part.step}"
        start = "" if part.start is None else part.start
        return f"{start}:{'' if part.stop is None else part.stop}{step}"
    return "..." if part is Ellipsis else str(part)


def split_index(x: Any, index: Any) -> tuple[Template, list[Any]]:
    """Split `index` as NumPy takes it into its template and its index arrays."""
    parts: list[Any] = []
    arrays: list[Any] = []
    unique = True
    for p in index if isinstance(index, tuple) else (index,):
        if p is None or p is Ellipsis:
            parts.append(p)
        elif isinstance(p, slice):
            ends = (p.start, p.stop, p.step)
            parts.append(slice(*[None if e is None else operator.index(e) for e in ends]))
        elif isinstance(p, (int, np.integer)) and not isinstance(p, (bool, np.bool_)):
            parts.append(int(p))
        else:
            array = p if isinstance(p, Tracer) else np.asarray(p)
            if array.dtype.kind not in "iub":
                if array.size:
                    raise IndexError(
                        f"an index must be integers, slices, None, ... or booleans, got an array "
                        f"of {array.dtype}; write index.astype(int)"
                    )
                array = array.astype(np.intp)
            # a mask is the places where it holds, whose number is then known to a graph
            mask = array.dtype.kind == "b" and not isinstance(array, Tracer) and array.ndim > 0
            found = np.nonzero(array) if mask else (array,)
            unique = unique and mask
            parts.extend([HOLE] * len(found))
            arrays.extend(found)
    if unique and arrays:
        np.broadcast_to(np.empty((), bool), x.shape)[index]  # NumPy's error where a mask misfits
    return Template(tuple(parts), unique), arrays


def _gather_infer(x: Aval, *arrays: Aval, index: Template) -> Aval:
    if any(a.dtype.kind == "b" for a in arrays):
        raise ShapeError(
            "indexing with a mask that is traced: its number of elements, and so the shape, is "
            "not known. Use np.where(mask, x, 0), or a mask that is not traced."
        )
    # zero strides: nothing of the size of x is made
    sample = np.broadcast_to(np.empty((), x.dtype), x.shape)
    zeros = [np.broadcast_to(np.zeros((), np.intp), a.shape) for a in arrays]
    return Aval(sample[index.fill(zeros)].shape, x.dtype)


def scatter_add(shape: Any, ct: Any, index: Template, arrays: Any) -> Any:
    """Return zeros of `shape` with `ct` added at the index."""
    out = np.zeros(shape, ct.dtype)
    place = index.fill(arrays)
    if arrays and not index.unique:
        np.add.at(out, place, ct)  # an element may be named more than once
    else:
        out[place] = ct
    return out


gather_op: Op = linear(
    "getitem",
    lambda x, *arrays, index: x[index.fill(arrays)],
    lambda i, ct, args, params: scatter_op(ct, *args[1:], shape=args[0].shape, **params),
    infer=_gather_infer,
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)),), {"index": Template((slice(1, None), 2))}),
        ((rng.normal(size=(3, 4)),), {"index": Template((Ellipsis, None, slice(None, None, -2)))}),
        ((rng.normal(size=(3, 4)), np.array([0, 2, 2])), {"index": Template((HOLE,))}),
        (
            (rng.normal(size=(3, 4)), np.array([[0], [1]]), np.array([0, 0, 3])),
            {"index": Template((HOLE, HOLE))},
        ),
    ],
    notation=Notation("call", "getitem"),
)
scatter_op: Op = linear(
    "scatter_add",
    lambda ct, *arrays, shape, index: scatter_add(shape, ct, index, arrays),
    lambda i, ct, args, params: gather_op(ct, *args[1:], index=params["index"]),
    infer=lambda ct, *arrays, shape, index: Aval(shape, ct.dtype),
    samples=lambda rng: [
        ((rng.normal(size=(2,)),), {"shape": (3, 4), "index": Template((slice(1, None), 2))}),
        (
            (rng.normal(size=(3, 4)), np.array([0, 2, 2])),
            {"shape": (3, 4), "index": Template((HOLE,))},
        ),
    ],
)


def _update(x: Any, value: Any, *arrays: Any, index: Template) -> Any:
    out = np.array(x)
    out[index.fill(arrays)] = value
    return out


def _update_transpose(i: int, ct: Any, args: Any, params: Any) -> Any:
    arrays, index = args[2:], params["index"]
    if i == 0:
        return update_op(ct, 0, *arrays, index=index)
    value, part = args[1], gather_op(ct, *arrays, index=index)
    if arrays and not index.unique:
        part = part * _last_written(args[0].shape, arrays, index, part.dtype)
    if np.ndim(value) > part.ndim:  # NumPy lets values have extra axes of length 1 in front
        part = np.reshape(part, (1,) * (np.ndim(value) - part.ndim) + part.shape)
    return part


def _selected_shape(shape: tuple[int, ...], arrays: Any, index: Template) -> tuple[int, ...]:
    """Return the shape of x[index] for an x of `shape`, checked as far as values are known."""
    if any(isinstance(a, Tracer) for a in arrays):
        return _gather_infer(Aval(shape, bool), *map(aval_of, arrays), index=index).shape
    selected: tuple[int, ...] = np.broadcast_to(np.empty((), bool), shape)[index.fill(arrays)].shape
    return selected


def _last_written(shape: Any, arrays: Any, index: Template, dtype: Any) -> Any:
    """Return 1 for each value that stayed: of several written to one element, the last one does."""
    numbers_shape = _selected_shape(shape, arrays, index)
    numbers = np.arange(int(np.prod(numbers_shape))).reshape(numbers_shape)
    stayed = gather_op(
        update_op(np.zeros(shape, np.intp), numbers, *arrays, index=index), *arrays, index=index
    )
    return (stayed == numbers).astype(dtype)


update_op = linear(
    "setitem",
    _update,
    _update_transpose,
    infer=lambda x, value, *arrays, index: Aval(x.shape, x.dtype),
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)), rng.normal(size=(4,))), {"index": Template((1,))}),
        ((rng.normal(size=(3, 4)), rng.normal(size=())), {"index": Template((Ellipsis, 0))}),
        (
            (rng.normal(size=(3,)), rng.normal(size=(3,)), np.array([0, 2, 2])),
            {"index": Template((HOLE,))},
        ),
    ],
    arguments=(0, 1),
)


@implements(operator.getitem)
def getitem(x: Any, index: Any) -> Any:
    """Return x[index]; basic indexing gives a view, index arrays a copy."""
    template, arrays = split_index(x, index)
    result = gather_op(x, *arrays, index=template)
    if arrays or not isinstance(result, Tracer) or not result.shape:
        return result
    return as_view(
        result, x, lambda base: gather_op(base, index=template),
        lambda base, new: update_op(base, new, index=template),
    )  # fmt: skip


@implements(operator.setitem)
def setitem(x: Any, index: Any, value: Any) -> Any:
    """Return a copy of `x` with `value`, broadcast and cast to x's dtype, at the index."""
    value = value if isinstance(value, (Tracer, int, float, complex)) else np.asarray(value)
    kind = getattr(value, "dtype", np.result_type(value)).kind
    dtype = np.dtype(x.dtype)
    if kind == "c" and dtype.kind != "c":
        raise NotDifferentiableError(
            f"assignment of complex values into an array of {dtype} would lose the imaginary part: "
            "write x.astype(complex) first, or assign np.real(value)"
        )
    if isinstance(value, Tracer) and value.dtype != dtype:
        value = np.astype(value, dtype)  # type: ignore[call-overload]
    if (
        index is Ellipsis
        and isinstance(value, Tracer)
        and value.shape == x.shape
        and value.dtype == dtype
    ):
        return np.positive(value)
    template, arrays = split_index(x, index)
    if any(a.dtype.kind == "b" and isinstance(a, Tracer) for a in arrays):
        if len(template.parts) != 1 or arrays[0].shape != x.shape or np.ndim(value) != 0:
            raise ShapeError("assignment with a traced mask: expected x[mask] = scalar")
        return np.where(arrays[0], value, x)
    _check_value(x, value, template, arrays)
    return update_op(x, value, *arrays, index=template)


def _check_value(x: Any, value: Any, template: Template, arrays: Any) -> None:
    shape = _selected_shape(x.shape, arrays, template)
    got = np.shape(value)
    while len(got) > len(shape) and got[0] == 1:
        got = got[1:]
    fits = len(got) <= len(shape) and all(
        n in (1, m) for n, m in zip(got[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"assignment: the value has shape {np.shape(value)}, which does not broadcast to the "
            f"shape {shape} of x{template}"
        )


# taking


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Take elements along an axis, or of the flattened array."""
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = one_axis(axis, a.ndim)
    index = indices if isinstance(indices, Tracer) else np.asarray(indices)
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
    indices = indices if isinstance(indices, Tracer) else np.asarray(indices)
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
    indices = indices if isinstance(indices, Tracer) else np.asarray(indices)
    arr[_along(arr.shape, indices, one_axis(axis, arr.ndim))] = values


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """Take the slices along `axis` where `condition` holds."""
    return np.take(a, np.flatnonzero(condition), axis=axis)


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
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """Sum of the diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """Return the lower triangle, zeros above."""
    rows, columns = m.shape[-2:]
    return np.where(np.tri(rows, columns, k, bool), m, 0)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """Return the upper triangle, zeros below."""
    rows, columns = m.shape[-2:]
    return np.where(np.tri(rows, columns, k - 1, bool), 0, m)
