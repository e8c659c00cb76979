"""Large reductions to one number in parts, each of which a thread can take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from pullback.native.divisors import largest_divisor
from pullback.native.loops import Affine, Buffer, Kernel, Load, Reduce, Statement, affine
from pullback.native.simplify_loops import rebuilt
from pullback.native.steps import Step

MOST_PARTS = 16
LEAST_SIZE = 1 << 16
"""From so many elements on, the few more loops cost nothing."""


def in_parts(steps: Iterable[Step]) -> list[Step]:
    """Return the steps, those that reduce a large array to one number as two: parts, then all."""
    found: list[Step] = []
    for step in steps:
        parts = _parts(step) if isinstance(step, Kernel) else 1
        found += _split(step, parts) if isinstance(step, Kernel) and parts > 1 else [step]
    return found


def _parts(kernel: Kernel) -> int:
    """Return into how many equal parts the first loop falls; 1 where nothing is won by it."""
    if math.prod(kernel.sizes) < LEAST_SIZE or not any(_is_total(s) for s in kernel.body):
        return 1
    if not all(_is_total(s) or s.offset.step(0) for s in kernel.body):
        return 1
    return largest_divisor(kernel.sizes[0], MOST_PARTS)


def _is_total(s: Statement) -> bool:
    return isinstance(s, Reduce) and not s.kept


def _split(kernel: Kernel, parts: int) -> list[Step]:
    each = kernel.sizes[0] // parts

    def change(place: Affine) -> Affine:
        steps = {loop + 1: step for loop, step in place.terms}
        return affine(place.const, steps | {0: place.step(0) * each})

    def loops(group: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(k for loop in group for k in ((0, 1) if loop == 0 else (loop + 1,)))

    here = affine(0, {0: 1})
    body: list[Statement] = []
    ends: list[Step] = []
    for s in rebuilt(kernel.body, change=change, loops=loops):
        if not _is_total(s):
            body.append(s)
            continue
        assert isinstance(s, Reduce)
        partial = Buffer(f"{s.buffer}.parts", s.buffer.dtype, parts, "arena")
        body.append(replace(s, buffer=partial, offset=here, kept=(0,)))
        ends.append(Kernel((parts,), (replace(s, value=Load(partial, here)),)))
    return [Kernel((parts, each, *kernel.sizes[1:]), tuple(body)), *ends]
