"""Arrays made of nodes that belong together, a row for each, without computing anything again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.graph import Node
from pullback.core.op import OPS
from pullback.ops.index import Template
from pullback.passes.repetitions import moves, numbers


def make(name: str, *inputs: Node, **params: Any) -> Node:
    """Return the node of operation `name` on `inputs`."""
    op = OPS[name]
    return Node(op.infer(*[i.aval for i in inputs], **params), op, inputs, params)


def rows(x: Node, first: int, last: int, count: int) -> Node:
    """Return the rows of `x` from `first` to `last`, which are `count`, evenly."""
    return _cut(x, 0, first, last, count)


def row(x: Node, number: int) -> Node:
    """Return one row of `x`."""
    return make("getitem", x, index=Template((number,), unique=True))


def progression(picks: Sequence[Node]) -> tuple[int, int, int] | None:
    """Return which part of the index moves, where it starts and how it steps; None if not evenly.

    Parts are counted with the slices that an Ellipsis stands for. A part that is a slice has to
    move on by its own length.
    """
    found = np.array([numbers(node.params["index"]) for node in picks])
    steps = np.diff(found, axis=0)
    moving = np.flatnonzero(steps[0])
    if len(moving) != 1 or (steps != steps[0]).any():
        return None
    start, step, last = (
        int(found[0, moving[0]]),
        int(steps[0, moving[0]]),
        int(found[-1, moving[0]]),
    )
    shape = picks[0].inputs[0].shape
    parts = spelled_out(picks[0].params["index"].parts, len(shape))
    place = [k for k, part in enumerate(parts) if moves(part)][moving[0]]
    part = parts[place]
    length = shape[sum(part is not None for part in parts[:place])]
    width = part.stop - part.start if isinstance(part, slice) else 1
    if isinstance(part, slice) and abs(step) != width:
        return None
    if start < 0 and last < 0:
        start, last = start + length, last + length
    if min(start, last) < 0 or max(start, last) + width > length:
        return None
    return place, start, step


def picked(x: Node, picks: Sequence[Node]) -> Node:
    """Return as rows of one array what `picks` pick of `x`."""
    found = progression(picks)
    assert found is not None
    place, start, step = found
    parts = spelled_out(picks[0].params["index"].parts, x.aval.ndim)
    axis = sum(part is not None for part in parts[:place])
    part, count = parts[place], len(picks)
    last = start + step * (count - 1)
    if isinstance(part, slice):
        width = abs(step)
        x = _cut(x, axis, min(start, last), max(start, last) + width - 1, count * width)
    else:
        x = _cut(x, axis, start, last, count)
    parts[place] = slice(None)
    axis = sum(not isinstance(part, int) for part in parts[:place])
    if any(part != slice(None) for part in parts):
        x = make("getitem", x, index=Template(tuple(parts), unique=True))
    if isinstance(part, slice):
        x = make("reshape", x, shape=(*x.shape[:axis], count, width, *x.shape[axis + 1 :]))
    x = _moved(x, axis, 0)
    return _cut(x, 0, count - 1, 0, count) if isinstance(part, slice) and step < 0 else x


def laid_end_to_end(x: Node, axis: int) -> Node:
    """Return the rows of `x`, which were made for it, joined along an axis they have."""
    moved = _moved(x, 0, axis)
    shape = (*moved.shape[:axis], moved.shape[axis] * moved.shape[axis + 1])
    return make("reshape", moved, shape=(*shape, *moved.shape[axis + 2 :]))


def _cut(x: Node, axis: int, first: int, last: int, count: int) -> Node:
    step = (last - first) // (count - 1)
    if (first, step, count) == (0, 1, x.shape[axis]):
        return x
    stop = last + (1 if step > 0 else -1)
    part = slice(first, None if stop < 0 else stop, None if step == 1 else step)
    return make("getitem", x, index=Template((*[slice(None)] * axis, part), unique=True))


def _moved(x: Node, source: int, target: int) -> Node:
    if source == target:
        return x
    axes = [k for k in range(x.aval.ndim) if k != source]
    axes.insert(target, source)
    return make("transpose", x, axes=tuple(axes))


def spelled_out(parts: Sequence[Any], ndim: int) -> list[Any]:
    """Return the parts of an index with the slices that an Ellipsis or the end stands for."""
    missing = [slice(None)] * (ndim - sum(p is not None and p is not Ellipsis for p in parts))
    at = next((k for k, p in enumerate(parts) if p is Ellipsis), len(parts))
    return [*parts[:at], *missing, *parts[at + 1 :]]
