"""The arena: where each temporary lies, planned once, so that a call allocates only its results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pullback.core.memory import Arena
from pullback.native.loops import Buffer

if TYPE_CHECKING:
    from pullback.native.steps import Step

ALIGNMENT = 64
LINE = 64
"""Bytes of a cache line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The offset of every temporary, in bytes, and the size of the arena."""

    offsets: dict[Buffer, int]
    size: int


def plan(steps: Sequence[Step], given: Collection[Buffer] = ()) -> Plan:
    """Give each temporary a place from the step that makes it to the one that reads it last.

    What is `given` has a place already.
    """
    last = {buffer: k for k, step in enumerate(steps) for buffer in step.buffers()}
    arena, offsets = Arena(), {}
    for k, step in enumerate(steps):
        here = [
            buffer for buffer in step.buffers() if buffer.kind == "arena" and buffer not in given
        ]
        for buffer in here:
            if buffer not in offsets:
                offsets[buffer] = arena.take(buffer.nbytes)
        for buffer in here:
            if last[buffer] == k:
                arena.give(offsets[buffer], buffer.nbytes)
    return Plan(offsets, arena.size)
