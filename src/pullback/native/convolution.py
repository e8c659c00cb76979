"""Convolutions as loops: sums of products at affine places, whichever of the three slopes it is.

With x, w, y as in ops/conv.py, each of conv, conv_input, conv_kernel sums the products of two of
them over the loops that the third does not have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pullback.core.graph import Node
from pullback.native import complexes
from pullback.native.loops import (
    Affine,
    Buffer,
    Kernel,
    Parts,
    identity,
    linear,
    reduces,
    stores,
)
from pullback.native.places import broadcast
from pullback.native.windows import Room, filled, padded, slid

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit


def conv(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower y[n, p, o] = sum over k, i of x[n, p s + k d, i] w[k, i, o], group by group."""
    x, w = node.inputs
    params, groups = node.params, node.params["groups"]
    room = padded(lowering, unit, x, params["padding"])
    size, inputs, outputs = w.shape[:-2], w.shape[-2], w.shape[-1] // groups
    sizes = (*node.shape[:-1], groups, outputs, *size, inputs)
    n, *rest = identity(sizes)
    p, (g, o), k, i = _parts(rest, len(size), 2, len(size))
    space = slid(p, k, params["strides"], params["dilation"])
    channel = g.times(outputs) + o
    left = room.at((n, *space, g.times(inputs) + i))
    right = lowering.parts(w, (*k, i, channel))
    at = linear((n, *p, channel), node.shape)
    unit.steps.append(_sum(node, lowering.make_room(node), at, sizes, 3 + len(p), left, right))


def conv_kernel(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower w[k, i, o] = sum over n, p of x[n, p s + k d, i] y[n, p, o], group by group."""
    x, y = node.inputs
    params, groups = node.params, node.params["groups"]
    room = padded(lowering, unit, x, params["padding"])
    *size, inputs, outputs = node.shape
    outputs //= groups
    sizes = (*size, inputs, groups, outputs, *y.shape[:-1])
    k, (i, g, o, n), p, _ = _parts(identity(sizes), len(size), 4, len(size))
    space = slid(p, k, params["strides"], params["dilation"])
    channel = g.times(outputs) + o
    left = room.at((n, *space, g.times(inputs) + i))
    right = lowering.parts(y, (n, *p, channel))
    at = linear((*k, i, channel), node.shape)
    unit.steps.append(_sum(node, lowering.make_room(node), at, sizes, 3 + len(k), left, right))


@dataclass(frozen=True, slots=True)
class Phase:
    """The places q = stride m + first along one axis of x, for m < count, and what reaches them.

    Those are the taps k = tap + tap_step t for t < taps, from the windows m + window - window_step
    t; both follow from p stride + k dilation = q + padding.
    """

    stride: int
    first: int
    count: int
    tap: int
    tap_step: int
    taps: int
    window: int
    window_step: int


def phases(space: int, size: int, stride: int, before: int, dilation: int) -> list[Phase]:
    """Return the phases of an axis of x that is `space` long, those of no places left out.

    >>> [(phase.first, phase.taps) for phase in phases(8, 3, 2, 0, 1)]
    [(0, 2), (1, 1)]
    """
    step = stride // math.gcd(stride, dilation)
    found = []
    for first in range(min(stride, space)):
        reaching = (k for k in range(size) if (first + before - k * dilation) % stride == 0)
        tap = next(reaching, size)
        found.append(
            Phase(
                stride, first, -(-(space - first) // stride), tap, step, -(-(size - tap) // step),
                (first + before - tap * dilation) // stride, step * dilation // stride,
            )
        )  # fmt: skip
    return found


def conv_input(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower x[n, q, i] = sum over k, o of y[n, p, o] w[k, i, o] for the p with p s + k d = q."""
    y, w = node.inputs
    params = node.params
    axes = [
        phases(*axis)
        for axis in zip(
            params["space"], w.shape[:-2], params["strides"],
            [before for before, _ in params["padding"]], params["dilation"], strict=True,
        )
    ]  # fmt: skip
    room_needed = [_reach(axis, n) for axis, n in zip(axes, y.shape[1:-1], strict=True)]
    room = padded(lowering, unit, y, room_needed)
    turned = _turned(lowering, unit, w)
    out = lowering.make_room(node)
    if any(phase.taps == 0 for axis in axes for phase in axis):
        unit.steps.append(filled(out))
    groups, inputs = params["groups"], w.shape[-2]
    outputs = w.shape[-1] // groups
    for choice in itertools.product(*axes):
        if any(phase.taps == 0 for phase in choice):
            continue
        sizes = (
            node.shape[0], *(phase.count for phase in choice), groups, inputs,
            *(phase.taps for phase in choice), outputs,
        )  # fmt: skip
        n, *rest = identity(sizes)
        m, (g, i), t, o = _parts(rest, len(choice), 2, len(choice))
        windows, taps, space = [], [], []
        for phase, (before, _), turn, tap in zip(choice, room_needed, m, t, strict=True):
            windows.append(turn + tap.times(-phase.window_step) + Affine(phase.window + before))
            taps.append(tap.times(phase.tap_step) + Affine(phase.tap))
            space.append(turn.times(phase.stride) + Affine(phase.first))
        channel = g.times(inputs) + i
        left = room.at((n, *windows, g.times(outputs) + o))
        right = turned.at((*taps, g.times(outputs) + o, i))
        at = linear((n, *space, channel), node.shape)
        unit.steps.append(_sum(node, out, at, sizes, 3 + len(m), left, right))


def _reach(axis: Sequence[Phase], length: int) -> tuple[int, int]:
    """Return how far before and after the `length` windows of an axis its phases reach."""
    taken = [phase for phase in axis if phase.taps]
    first = [phase.window - phase.window_step * (phase.taps - 1) for phase in taken]
    last = [phase.window + phase.count - 1 for phase in taken]
    return max(0, -min(first, default=0)), max(0, max(last, default=0) - length + 1)


def _turned(lowering: Lowering, unit: Unit, w: Node) -> Room:
    """Return a copy of the weights in which the inputs lie together: (*size, outputs, inputs)."""
    shape = (*w.shape[:-2], w.shape[-1], w.shape[-2])
    place = identity(shape)
    value = lowering.parts(w, (*place[:-2], place[-1], place[-2]))
    buffer = Buffer(f"{w.name}.turned", w.dtype, w.aval.size, "arena")
    unit.steps.append(Kernel(shape, stores(buffer, linear(place, shape), value)))
    return Room(buffer, shape)


def correlate(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower y[..., k] = sum over j of x[..., k + j] w[..., j]."""
    x, w = node.inputs
    sizes = (*node.shape, w.shape[-1])
    *loops, k, j = identity(sizes)
    left = lowering.parts(x, (*broadcast(loops, x.shape[:-1]), k + j))
    right = lowering.parts(w, (*broadcast(loops, w.shape[:-1]), j))
    at = linear((*loops, k), node.shape)
    out = lowering.make_room(node)
    unit.steps.append(_sum(node, out, at, sizes, node.aval.ndim, left, right))


def _sum(
    node: Node, out: Buffer, at: Affine, sizes: Sequence[int], kept: int, left: Parts, right: Parts
) -> Kernel:
    """Return the sum of products of the inputs' elements, over the loops after the first `kept`."""
    factors = [
        complexes.cast(parts, x.dtype, node.dtype)
        for parts, x in zip((left, right), node.inputs, strict=True)
    ]
    value = complexes.product(factors[0], factors[1], node.dtype)
    return Kernel(tuple(sizes), reduces(out, at, value, "sum", tuple(range(kept))))


def _parts(loops: Sequence[Affine], *lengths: int) -> Any:
    """Return groups of the loops, so many in each, and the one that is left."""
    ends = [0, *itertools.accumulate(lengths)]
    groups = [tuple(loops[a:b]) for a, b in itertools.pairwise(ends)]
    return (*groups, loops[-1])


LOWERINGS: dict[str, Callable[[Any, Node, Any], None]] = {
    "conv": conv,
    "conv_input": conv_input,
    "conv_kernel": conv_kernel,
    "correlate": correlate,
}
