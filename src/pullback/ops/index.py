"""Indexing and assignment: gather, and its transpose, scatter-add.

An index is split into a template that is known when tracing (slices, None, Ellipsis, integers) and
the index arrays, which are arguments of the operation.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.aval import Aval, aval_of
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError, ShapeError
from pullback.core.op import Notation, Op
from pullback.core.tracer import Tracer
from pullback.ops.batching import batch_size, spread_to
from pullback.ops.families import RULES_KEPT, linear
from pullback.ops.shape import as_view
from pullback.ops.values import as_array

Shape = tuple[int, ...]


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

    def __hash__(self) -> int:
        return hash((self.unique, *[_slice_ends(p) for p in self.parts]))

    def __str__(self) -> str:
        return "[" + ", ".join(map(_part_text, self.parts)) + "]"


HOLE = type("Hole", (), {"__repr__": lambda self: "#"})()


def _slice_ends(part: Any) -> Any:
    return (part.start, part.stop, part.step) if isinstance(part, slice) else part


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
            array = array_of(p)
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


@functools.lru_cache(RULES_KEPT)
def _gather_infer(x: Aval, *arrays: Aval, index: Template) -> Aval:
    if any(a.dtype.kind == "b" for a in arrays):
        raise ShapeError(
            "indexing with a mask that is traced: its number of elements, and so the shape, is "
            "not known. Use np.where(mask, x, 0), or a mask that is not traced."
        )
    return Aval(_indexed_shape(x.shape, [a.shape for a in arrays], index), x.dtype)


def _indexed_shape(shape: Shape, array_shapes: Sequence[Shape], index: Template) -> Shape:
    """Return the shape of x[index], and make nothing of the size of x or of the result."""
    sample = np.broadcast_to(np.empty((), bool), shape)  # zero strides
    try:
        taken = np.broadcast_shapes(*array_shapes)
    except ValueError as error:
        raise IndexError(f"the arrays of an index do not fit each other: {error}") from None
    if 0 in (*shape, *taken) or not taken:  # NumPy's error where an element of nothing is asked for
        zeros = [np.broadcast_to(np.zeros((), np.intp), s) for s in array_shapes]
        selected: Shape = sample[index.fill(zeros)].shape
        return selected
    nothing = [np.zeros((0,) * len(taken), np.intp)] * len(array_shapes)
    found: Shape = sample[index.fill(nothing)].shape
    place = _place_of_arrays(index.parts, len(shape))
    return found[:place] + taken + found[place + len(taken) :]


def _place_of_arrays(parts: Sequence[Any], ndim: int) -> int:
    """Return where the axes of the index arrays go: to the first array's place, or in front.

    In front if they do not stand side by side (NumPy, "Combining advanced and basic indexing").
    """
    advanced = [k for k, part in enumerate(parts) if part is HOLE or isinstance(part, int)]
    first, last = advanced[0], advanced[-1]
    if last - first + 1 > len(advanced):
        return 0
    named = sum(part is not None and part is not Ellipsis for part in parts)
    hidden = ndim - named - 1 if any(part is Ellipsis for part in parts[:first]) else 0
    return first + hidden


def scatter_add(shape: Any, ct: Any, index: Template, arrays: Any) -> Any:
    """Return zeros of `shape` with `ct` added at the index."""
    out = np.zeros(shape, ct.dtype)
    place = index.fill(arrays)
    if arrays and not index.unique:
        np.add.at(out, place, ct)  # an element may be named more than once
    else:
        out[place] = ct
    return out


# many examples at once


def _batched_index(
    index: Template, arrays: Any, batched: Any, ndim: int, size: int, x_moves: bool
) -> tuple[Template, list[Any], Any, Any]:
    """Return the index for all examples, and where NumPy puts its axes and where they belong.

    `ndim` is the number of axes of one example. The last two are the arguments of np.moveaxis
    that brings what the index selects into the order (batch, *selection of one example).
    """
    if any(a.dtype.kind == "b" and b for a, b in zip(arrays, batched, strict=True)):
        raise ShapeError(
            "indexing with a mask that differs from example to example under pb.vmap: so does the "
            "number of elements. Use np.where(mask, x, 0)."
        )
    parts = _spelled_out(index.parts, ndim)
    places = [k for k, p in enumerate(parts) if p is HOLE or isinstance(p, int)] if arrays else []
    together = not places or places[-1] - places[0] + 1 == len(places)
    before = places[0] if places and together else 0  # axes of the selection before the arrays'
    shape = np.broadcast_shapes(*[a.shape[b:] for a, b in zip(arrays, batched, strict=True)])
    width = len(shape)
    if not any(batched):  # the examples are indexed alike
        grown = Template((slice(None), *parts), index.unique)
        return grown, list(arrays), [] if together else [width], [] if together else [0]
    moved = [
        np.reshape(a, (size, *(1,) * (width - a.ndim + 1), *a.shape[1:])) if b else a
        for a, b in zip(arrays, batched, strict=True)
    ]
    if not x_moves:
        return Template(parts), moved, [before], [0]
    example = np.arange(size).reshape((size, *(1,) * width))
    source = list(range(1, 1 + width))
    return Template((HOLE, *parts)), [example, *moved], source, [before + k for k in source]


def _spelled_out(parts: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Return `parts` with the slices that an Ellipsis stands for."""
    if Ellipsis not in [p for p in parts if p is Ellipsis]:
        return parts
    at = next(k for k, p in enumerate(parts) if p is Ellipsis)
    named = sum(p is not None and p is not Ellipsis for p in parts)
    return (*parts[:at], *(slice(None),) * (ndim - named), *parts[at + 1 :])


def _gather_batch(args: Any, batched: Any, params: Any) -> Any:
    (x, *arrays), (x_moves, *moving) = args, batched
    size = batch_size(args, batched)
    index, all_arrays, source, destination = _batched_index(
        params["index"], arrays, moving, x.ndim - x_moves, size, x_moves
    )
    return np.moveaxis(gather_op(x, *all_arrays, index=index), source, destination)


def _scatter_batch(args: Any, batched: Any, params: Any) -> Any:
    (ct, *arrays), (_, *moving) = args, batched
    (ct,) = spread_to(batch_size(args, batched), (ct,), batched[:1])
    shape = params["shape"]
    index, all_arrays, source, destination = _batched_index(
        params["index"], arrays, moving, len(shape), len(ct), True
    )
    placed = np.moveaxis(ct, destination, source)
    return scatter_op(placed, *all_arrays, shape=(len(ct), *shape), index=index)


def _update_batch(args: Any, batched: Any, params: Any) -> Any:
    (x, value, *arrays), (x_moves, value_moves, *moving) = args, batched
    size = batch_size(args, batched)
    (x,) = spread_to(size, (x,), (x_moves,))
    index, all_arrays, source, destination = _batched_index(
        params["index"], arrays, moving, x.ndim - 1, size, True
    )
    avals = [Aval(a.shape[b:], a.dtype) for a, b in zip(arrays, moving, strict=True)]
    selected = _gather_infer(Aval(x.shape[1:], bool), *avals, index=params["index"]).shape
    own = np.shape(value)[value_moves:][-len(selected) or None :] if selected else ()
    ones = (1,) * (len(selected) - len(own))
    lead = (size,) if value_moves else (1,)
    value = np.broadcast_to(np.reshape(value, (*lead, *ones, *own)), (size, *selected))
    return update_op(x, np.moveaxis(value, destination, source), *all_arrays, index=index)


gather_op: Op = linear(
    "getitem",
    lambda x, *arrays, index: x[index.fill(arrays)],
    lambda i, ct, args, params: scatter_op(ct, *args[1:], shape=args[0].shape, **params),
    infer=_gather_infer,
    batch=_gather_batch,
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
    batch=_scatter_batch,
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


update_op: Op = linear(
    "setitem",
    _update,
    _update_transpose,
    infer=lambda x, value, *arrays, index: Aval(x.shape, x.dtype),
    batch=_update_batch,
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
    number = not result.shape and Ellipsis not in template.parts  # with ... NumPy gives a 0-d view
    if arrays or not isinstance(result, Tracer) or number:
        return result
    return as_view(
        result, x, lambda base: gather_op(base, index=template),
        lambda base, new: update_op(base, new, index=template),
    )  # fmt: skip


@implements(operator.setitem)
def setitem(x: Any, index: Any, value: Any) -> Any:
    """Return a copy of `x` with `value`, broadcast and cast to x's dtype, at the index."""
    value = value if isinstance(value, (Tracer, int, float, complex)) else as_array(value)
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
