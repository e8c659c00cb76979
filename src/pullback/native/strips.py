"""Going over large arrays in strips: what one loop has read or made, the next finds in the cache.

Where loops follow each other over the same rows, as in a softmax or a layer norm, some rows go
through all of them before the next rows do, and what only these loops need takes the room of a
strip instead of an array's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from pullback.native import memory
from pullback.native.emit import has_gathers
from pullback.native.loops import Buffer, Count, Kernel, Load, Statement, expressions, extent
from pullback.native.simplify_loops import rebuilt, tidy
from pullback.native.steps import Block, Step, Strips

STRIP = 1 << 16
"""Bytes of a strip, of all arrays together."""
LEAST = 1 << 19
"""Bytes from which on an array does not stay in the cache from one loop to the next."""
ROOM = 1 << 17
"""Bytes of the stack that a strip may take."""
MOST_STEPS = 16

Spans = dict[Buffer, int]
"""For each array that is gone over, how many of its numbers all turns of a first loop cover."""


def in_strips(steps: Sequence[Step], kept: Collection[Buffer] = ()) -> list[Step]:
    """Return the steps, those that follow each other over the same rows in strips.

    What is `kept` is needed after the steps.
    """
    uses = Counter(buffer for step in steps for buffer in set(step.buffers()))
    found: list[Step] = []
    run: list[Kernel] = []
    for step in [*steps, None]:
        if isinstance(step, Kernel) and len(run) < MOST_STEPS and _spans([*run, step]) is not None:
            run.append(step)
            continue
        found += _strips(run, uses, kept) or run
        run = []
        if isinstance(step, Kernel) and _spans([step]) is not None:
            run.append(step)
        elif step is not None:
            found.append(step)
    return found


def _strips(run: Sequence[Kernel], uses: Counter[Buffer], kept: Collection[Buffer]) -> list[Step]:
    """Return one step for all of `run`; nothing where it is not worth it."""
    spans = _spans(run) if len(run) > 1 else None
    if not spans or not _reads_again(run, spans):
        return []
    count = _count(run, spans)
    if not count:
        return []
    parts = {b: Buffer(b.name, b.dtype, span // count, "arena") for b, span in spans.items()}
    body = [
        tidy(Kernel(
            (kernel.sizes[0] // count, *kernel.sizes[1:]),
            rebuilt(kernel.body, of_buffer=lambda b: parts.get(b, b)),
        ))
        for kernel in run
    ]  # fmt: skip
    here = Counter(buffer for kernel in run for buffer in set(kernel.buffers()))
    written = dict.fromkeys(buffer for kernel in run for buffer in kernel.written())
    ys = [b for b in written if b.kind != "arena" or b in kept or uses[b] > here[b]]
    xs = [b for b in spans if b not in written]
    own = [parts[b] for b in written if b not in ys]
    given = {b for kernel in body for b in kernel.buffers()}.difference(own)
    plan = memory.plan(body, given)
    if plan.size > ROOM:
        return []
    block = Block(tuple(body), plan, tuple(parts[b] for b in xs), tuple(parts[b] for b in ys))
    return [Strips(block, count, tuple(xs), tuple(ys))]


def _spans(run: Sequence[Kernel]) -> Spans | None:
    """Return the spans of all arrays whose rows the first loops go over together.

    None if some turn needs what is not in its rows, or all turns write the same place.
    """
    if any(not k.sizes or 0 in k.sizes or has_gathers(k.body) for k in run):
        return None
    spans: Spans = {}
    for kernel in run:
        for place in _places(kernel):
            step = place.offset.step(0)
            if isinstance(place, Count) or place.buffer.dtype.kind == "c":
                if step or not isinstance(place, Count):
                    return None
                continue
            if spans.setdefault(place.buffer, step * kernel.sizes[0]) != step * kernel.sizes[0]:
                return None
            first, last = extent(place.offset, kernel.sizes, 0)
            if step and not 0 <= first <= last < step:  # a turn needs its own rows only
                return None
    written = {buffer for kernel in run for buffer in kernel.written()}
    if any(not spans[buffer] for buffer in written):
        return None
    return {buffer: span for buffer, span in spans.items() if span}


def _places(kernel: Kernel) -> Iterator[Statement | Load | Count]:
    """Yield what has a place: statements, loads, and counts of turns."""
    for statement in kernel.body:
        yield statement
        yield from (e for e in expressions(statement) if isinstance(e, Load | Count))


def _reads_again(run: Sequence[Kernel], spans: Spans) -> bool:
    """Whether a loop goes over a large array that one before it went over."""
    large = {b for b, span in spans.items() if span * b.part.itemsize >= LEAST}
    times = Counter(buffer for kernel in run for buffer in large & set(kernel.buffers()))
    return max(times.values(), default=0) > 1


def _count(run: Sequence[Kernel], spans: Spans) -> int:
    """Return the least number of strips that are small enough, or that of rows; 0 if none is."""
    rows = math.gcd(*[k.sizes[0] for k in run])
    total = sum(span * buffer.part.itemsize for buffer, span in spans.items())
    counts = (count for count in range(1, rows + 1) if rows % count == 0)
    count = next((count for count in counts if total <= STRIP * count), rows)
    return count if STRIP // 16 * count <= total <= 4 * STRIP * count else 0
