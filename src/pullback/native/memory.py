"""The arena: where each temporary lies, planned once, so that a call allocates only its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullback.native.loops import Buffer, Step

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """The offset of every temporary, in bytes, and the size of the arena."""

    offsets: dict[Buffer, int]
    size: int


def plan(steps: Sequence[Step]) -> Plan:
    """Place temporaries that are alive at the same time side by side, others on top of each other.

    Larger ones are placed first, each at the lowest place that is free all its life.
    """
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for position, step in enumerate(steps):
        for buffer in step.buffers():
            if buffer.kind == "arena":
                first.setdefault(buffer, position)
                last[buffer] = position
    offsets: dict[Buffer, int] = {}
    for buffer in sorted(first, key=lambda b: -b.nbytes):
        taken = sorted(
            (offsets[other], offsets[other] + other.nbytes)
            for other in offsets
            if first[other] <= last[buffer] and first[buffer] <= last[other]
        )
        place = 0
        for start, end in taken:
            if place + buffer.nbytes <= start:
                break
            place = max(place, _aligned(end))
        offsets[buffer] = place
    size = max((offset + b.nbytes for b, offset in offsets.items()), default=0)
    return Plan(offsets, _aligned(size))


def _aligned(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT
