"""Windows that slide over an array in memory: affine places, in a copy with room around."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pullback.core.graph import Node
from pullback.native.loops import (
    Affine,
    Buffer,
    Kernel,
    Parts,
    Place,
    Store,
    affine,
    identity,
    linear,
    literal,
    loads,
    stores,
)

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Room:
    """Memory for an array of `shape`, (samples, *space, channels), with its padding."""

    buffer: Buffer
    shape: tuple[int, ...]

    def at(self, place: Place) -> Parts:
        """Return the element at `place`."""
        return loads(self.buffer, linear(place, self.shape))


def room_around(x: Node, padding: Pairs) -> Room:
    """Return new memory for `x` with its padding."""
    shape = (
        x.shape[0],
        *(n + a + b for n, (a, b) in zip(x.shape[1:-1], padding, strict=True)),
        x.shape[-1],
    )
    return Room(Buffer(f"{x.name}.padded", x.dtype, math.prod(shape), "arena"), shape)


def inside(place: Place, padding: Pairs) -> Place:
    """Return where in the padded array the element at `place` is."""
    space = (p + Affine(before) for p, (before, _) in zip(place[1:-1], padding, strict=True))
    return (place[0], *space, place[-1])


def padded(lowering: Lowering, unit: Unit, x: Node, padding: Pairs, around: float = 0) -> Room:
    """Return `x` in memory with `around` on all sides: where it is, or in a copy."""
    memory = lowering.memory(x)
    if memory is not None and not any(map(any, padding)):
        return Room(memory, x.shape)
    room, place = room_around(x, padding), identity(x.shape)
    at = linear(inside(place, padding), room.shape)
    copy = Kernel(x.shape, stores(room.buffer, at, lowering.parts(x, place)))
    unit.steps += [filled(room.buffer, around), copy]
    return room


def filled(out: Buffer, value: Any = 0) -> Kernel:
    """Return the loop that fills `out` with one number."""
    return Kernel((out.numbers,), (Store(out, affine(0, {0: 1}), literal(value, out.part)),))


def slid(
    windows: Sequence[Affine], taps: Sequence[Affine], strides: Sequence[int], dilation: Any
) -> Place:
    """Return the places, along the spatial axes, of `taps` in `windows`: p stride + k dilation."""
    return tuple(
        p.times(stride) + k.times(step)
        for p, k, stride, step in zip(windows, taps, strides, dilation, strict=True)
    )
