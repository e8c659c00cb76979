"""Shapes, dtypes, joining, indexing: gather, scatter and assignment."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.interchange.onnx.exporting.rules import as_given, as_result, enter
from pullback.interchange.onnx.outline import Entry
from pullback.interchange.onnx.sizes import Size, broadcast
from pullback.interchange.onnx.writer import END, START, Value, Writer
from pullback.ops.index import HOLE, Template

Shape = tuple[Size, ...]


def _transpose(w: Writer, entry: Entry, x: Value) -> Any:
    axes = entry.params["axes"]
    return w.Transpose(x, perm=list(axes)) if axes else x


def _pad(w: Writer, entry: Entry, x: Value) -> Any:
    before, after = zip(*entry.params["width"], strict=True)
    return w.Pad(x, [*before, *after], w.value(0, x.dtype))


def _unstack(w: Writer, entry: Entry, x: Value) -> list[Any]:
    return [w.Gather(x, w.constant(np.int64(i)), axis=0) for i in range(len(entry.kind))]


# indexing


def _getitem(w: Writer, entry: Entry, x: Value, *arrays: Value) -> Any:
    shapes = [i.shape for i in entry.inputs]
    return _selected(w, x, shapes[0], arrays, shapes[1:], entry.params["index"], entry.shape)


def _selected(
    w: Writer,
    x: Value,
    shape: Shape,
    arrays: Any,
    array_shapes: Any,
    index: Template,
    result: Shape,
) -> Any:
    """Return x[index]: first its slices, then its new axes, then its arrays."""
    source = iter(zip(arrays, array_shapes, strict=True))
    parts = _spelled_out(index.parts, len(shape))
    if not arrays:
        x = _sliced(w, x, parts)
        return x if all(isinstance(p, slice) for p in parts) else w.reshape(x, result)
    found = {}
    for k, part in enumerate(parts):
        if part is HOLE:
            found[k] = next(source)
        elif isinstance(part, Size):  # beside arrays, NumPy takes integers for arrays, too
            found[k] = (w.Squeeze(w.lengths([part])), ())
    x = _sliced(w, x, [slice(None) if k in found else p for k, p in enumerate(parts)])
    new = [k for k, part in enumerate(parts) if part is None]
    x = w.Unsqueeze(x, new) if new else x
    return _at(w, x, len(parts), list(found), list(found.values()))


def _spelled_out(parts: tuple[Any, ...], ndim: int) -> list[Any]:
    """Return one part for each axis, and None for new ones."""
    named = sum(p is not None and p is not Ellipsis for p in parts)
    rest = [slice(None)] * (ndim - named)
    if not any(p is Ellipsis for p in parts):
        return [*parts, *rest]
    at = next(k for k, p in enumerate(parts) if p is Ellipsis)
    return [*parts[:at], *rest, *parts[at + 1 :]]


def _sliced(w: Writer, x: Value, parts: list[Any]) -> Any:
    """Return the slices of `x`; an integer is a slice of length 1."""
    cuts = []
    for axis, part in enumerate(p for p in parts if p is not None):
        if isinstance(part, Size):
            cuts.append((axis, part, END if part == -1 else part + 1, 1))
        elif part != slice(None):
            step = part.step or 1
            start = part.start if part.start is not None else (0 if step > 0 else END)
            stop = part.stop if part.stop is not None else (END if step > 0 else START)
            cuts.append((axis, start, stop, step))
    if not cuts:
        return x
    axes, starts, stops, steps = map(list, zip(*cuts, strict=True))
    return w.Slice(x, starts, stops, axes, steps)


def _at(w: Writer, x: Value, ndim: int, places: list[int], found: list[Any]) -> Any:
    """Return what arrays of indices select along the axes `places`."""
    if len(places) == 1:
        return w.Gather(x, found[0][0], axis=places[0])
    shape = broadcast(*[s for _, s in found])
    columns = [w.Unsqueeze(w.expand(w.cast(a, np.int64), shape), [-1]) for a, _ in found]
    others = [k for k in range(ndim) if k not in places]
    picked = w.GatherND(w.Transpose(x, perm=[*places, *others]), w.Concat(*columns, axis=-1))
    first, width = places[0], len(shape)
    if first and places[-1] - first + 1 == len(places):  # NumPy puts their axes where they were
        before = list(range(width, width + first))
        after = list(range(width + first, width + len(others)))
        picked = w.Transpose(picked, perm=[*before, *range(width), *after])
    return picked


def _written(w: Writer, x: Value, value: Value, arrays: Any, entry: Entry, mode: str) -> Any:
    """Return `x` with `value` at the index: scattered to the numbers of the elements there."""
    shape, index = entry.shape, entry.params["index"]
    array_shapes = [i.shape for i in entry.inputs[len(entry.inputs) - len(arrays) :]]
    size = w.ReduceProd(w.lengths(shape), [0], keepdims=0)
    numbers = w.reshape(w.Range(w.constant(np.int64(0)), size, w.constant(np.int64(1))), shape)
    places = _selected(w, numbers, shape, arrays, array_shapes, index, (-1,))
    flat = w.Reshape(w.Expand(value, w.Shape(places)) if mode == "none" else value, [-1])
    options = {} if mode == "none" else {"reduction": mode}
    return w.reshape(
        w.ScatterElements(w.Reshape(x, [-1]), w.Reshape(places, [-1]), flat, axis=0, **options),
        shape,
    )


def _setitem(w: Writer, entry: Entry, x: Value, value: Value, *arrays: Value) -> Any:
    return _written(w, x, w.cast(value, entry.dtype), arrays, entry, "none")


def _scatter_add(w: Writer, entry: Entry, ct: Value, *arrays: Value) -> Any:
    zeros = w.expand(w.value(0, ct.dtype), entry.shape)
    return _written(w, zeros, ct, arrays, entry, "add")


enter(
    {
        "reshape": lambda w, entry, x: w.reshape(x, entry.shape),
        "broadcast_to": lambda w, entry, x: w.expand(x, entry.shape),
        "transpose": _transpose,
        "astype": lambda w, entry, x: w.cast(x, entry.dtype),
        "discrete_astype": lambda w, entry, x: w.cast(x, entry.dtype),
        "stop_gradient": lambda w, entry, x: w.Identity(x),
        "item": lambda w, entry, results: results[entry.params["index"]],
        "pad": _pad,
        "unstack": _unstack,
        "getitem": _getitem,
        "setitem": _setitem,
        "scatter_add": _scatter_add,
    },
    as_given,
)
enter({"concatenate": lambda w, entry, *xs: w.Concat(*xs, axis=entry.params["axis"])}, as_result)
