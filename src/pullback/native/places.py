"""Views as maps of places: where in its input an operation finds the element it is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pullback.core.graph import Node
from pullback.native.loops import Affine, Gather, Place, affine, identity, linear

if TYPE_CHECKING:
    from pullback.native.lower import Lowering

VIEWS = {
    "reshape", "transpose", "broadcast_to", "flip", "stop_gradient", "positive", "recompute",
}  # fmt: skip
"""What machine code reads where the input lies; of these, NumPy copies some (`core.memory`)."""


def broadcast(place: Sequence[Affine], shape: Sequence[int]) -> Place:
    """Return the place in an array of `shape` that broadcasting reads at `place`."""
    last = place[len(place) - len(shape) :]
    return tuple(Affine() if n == 1 else p for p, n in zip(last, shape, strict=True))


def source(node: Node, place: Place) -> tuple[Node, Place] | None:
    """Return the input and the place in it that `node` shows at `place`; None for no view."""
    assert node.op is not None
    x, name = node.inputs[0], node.op.name
    if name in ("stop_gradient", "positive", "recompute"):
        return x, place
    if is_row(node):
        return x.inputs[0], (Affine(node.params["index"]), *place)
    if name == "transpose":
        axes = node.params["axes"]
        return x, tuple(place[axes.index(k)] for k in range(len(axes)))
    if name == "broadcast_to":
        return x, broadcast(place, x.shape)
    if name == "flip":
        return x, tuple(
            affine(n - 1, {}) + p.times(-1) if k in node.params["axis"] else p
            for k, (p, n) in enumerate(zip(place, x.shape, strict=True))
        )
    if name == "reshape":
        groups = _groups(x.shape, node.shape)
        if groups is None:
            return None
        return x, tuple(
            linear(tuple(place[k] for k in group), [node.shape[k] for k in group])
            for group in groups
        )
    if name == "getitem" and len(node.inputs) == 1:
        return x, _sliced(node.params["index"].parts, x.shape, place)
    return None


def piece(node: Node) -> tuple[Node, int]:
    """Return in whose memory `node` lies in one piece, and which of its elements comes first."""
    first = 0
    while node.op is not None and node.inputs:
        x, begin = node.inputs[0], 0
        if node.op.name != "reshape":
            here = identity(node.shape)
            viewed = source(node, here)
            if viewed is None:
                break
            x, place = viewed
            where = linear(place, x.shape)
            if where.terms != linear(here, node.shape).terms:
                break
            begin = where.const
        node, first = x, first + begin
    return node, first


def is_row(node: Node) -> bool:
    """Whether `node` is one of the parts along the first axis that `unstack` gives."""
    source = node.inputs[0].op if node.inputs else None
    return node.op is not None and source is not None and source.name == "unstack"


def splits(node: Node) -> bool:
    """Whether a reshape only splits axes, adds or drops those of length 1: a map of places."""
    return _groups(node.inputs[0].shape, node.shape) is not None


def _groups(old: Sequence[int], new: Sequence[int]) -> list[list[int]] | None:
    """Return, for each axis of `old`, the axes of `new` that it is split into."""
    groups: list[list[int]] = []
    k = 0
    for n in old:
        group: list[int] = []
        while math.prod(new[i] for i in group) < n and k < len(new):
            group.append(k)
            k += 1
        if math.prod(new[i] for i in group) != n:
            return None
        groups.append(group)
    return groups if all(n == 1 for n in new[k:]) else None


def _sliced(parts: Sequence[Any], shape: Sequence[int], place: Place) -> Place:
    found: list[Affine] = []
    out = iter(place)
    for axis, part in enumerate(_spelled_out(parts, len(shape))):
        if part is None:
            next(out)
            continue
        n = shape[len(found)]
        if isinstance(part, slice):
            start, _, step = part.indices(n)
            found.append(affine(start, {}) + next(out).times(step))
        else:
            found.append(affine(part % n, {}))
        del axis
    return tuple(found)


def _spelled_out(parts: Sequence[Any], ndim: int) -> list[Any]:
    """Return the parts of an index with the slices that an Ellipsis or the end stands for."""
    named = sum(p is not None and p is not Ellipsis for p in parts)
    missing = [slice(None)] * (ndim - named)
    at = next((k for k, p in enumerate(parts) if p is Ellipsis), None)
    if at is None:
        return [*parts, *missing]
    return [*parts[:at], *missing, *parts[at + 1 :]]


def needs_memory(node: Node) -> bool:
    """Whether the first input must lie in memory for readers of `node` to find its elements."""
    assert node.op is not None
    if node.op.name == "getitem":
        return len(node.inputs) > 1
    return node.op.name == "reshape" and not splits(node)


def is_native(node: Node) -> bool:
    """Whether there are loops for this, if it indexes: no masks, and something to pick from."""
    assert node.op is not None
    if node.op.name not in ("getitem", "setitem", "scatter_add"):
        return True
    indices = node.inputs[2:] if node.op.name == "setitem" else node.inputs[1:]
    shape = node.shape if node.op.name == "scatter_add" else node.inputs[0].shape
    return not indices or (0 not in shape and all(i.dtype.kind in "iu" for i in indices))


def region(parts: Sequence[Any], shape: Sequence[int], place: Place) -> Affine:
    """Return where in memory the element `place` of x[parts] is, for an x of `shape`."""
    return linear(_sliced(parts, shape, place), shape)


def gathered(
    lowering: Lowering, node: Node, source: Node, indices: Sequence[Node], place: Place
) -> tuple[Affine, tuple[Gather, ...]]:
    """Return where in memory x[index] is at `place`: an affine part and computed ones."""
    return selected(lowering, node.params["index"].parts, source.shape, indices, place)


def selected(
    lowering: Lowering,
    template: Sequence[Any],
    shape: Sequence[int],
    indices: Sequence[Node],
    place: Place,
) -> tuple[Affine, tuple[Gather, ...]]:
    """Return where in memory x[index] is at `place`, for an x of `shape`."""
    parts = _spelled_out(template, len(shape))
    holes = [k for k, p in enumerate(parts) if not (p is None or isinstance(p, slice))]
    width = max(i.aval.ndim for i in indices)
    together = holes[-1] - holes[0] + 1 == len(holes)
    before = holes[0] if together else 0
    shared, rest = place[before : before + width], [*place[:before], *place[before + width :]]
    out, arrays = iter(rest), iter(indices)
    strides = iter([math.prod(shape[k + 1 :]) for k in range(len(shape))])
    lengths = iter(shape)
    offset, gathers = Affine(), []
    for part in parts:
        if part is None:
            next(out)
            continue
        n, stride = next(lengths), next(strides)
        if isinstance(part, slice):
            start, _, step = part.indices(n)
            offset = offset + affine(start * stride, {}) + next(out).times(step * stride)
        elif isinstance(part, int):
            offset = offset + affine(part % n * stride, {})
        else:
            index = next(arrays)
            value = lowering.value(index, broadcast(shared, index.shape))
            gathers.append(Gather(value, n, stride))
    return offset, tuple(gathers)
