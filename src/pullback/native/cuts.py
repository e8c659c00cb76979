"""Whether steps can be cut alike, so that no part of what they do needs another part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pullback.native.emit import has_gathers
from pullback.native.loops import (
    Buffer,
    Combine,
    Count,
    Kernel,
    Load,
    Reduce,
    Statement,
    expressions,
    extent,
    loads_of,
)
from pullback.native.steps import Loop, Step


@dataclass
class Cut:
    """What the first loops of some kernels, also of those that a loop repeats, go over together.

    `spans` says for each array how many of its numbers all turns of a first loop cover; 0 where
    every turn sees the same. Those of `stacks` have several rows of so many numbers, each of which
    is cut. What is combined over all turns, and how, is in `totals`. The number of parts has to
    divide `turns`; `arrays` are those that lie outside of loops around steps.
    """

    spans: dict[Buffer, int] = field(default_factory=dict)
    stacks: set[Buffer] = field(default_factory=set)
    totals: dict[Buffer, Combine] = field(default_factory=dict)
    turns: int = 0
    sound: bool = True
    arrays: dict[Buffer, None] = field(default_factory=dict)
    read: set[Buffer] = field(default_factory=set)
    written: set[Buffer] = field(default_factory=set)

    def takes(self, step: Step) -> bool:
        """Take in the next step; False from where a turn of one needs more than its own part."""
        self.sound &= self._loop(step) if isinstance(step, Loop) else self._kernel(step)
        self.sound &= self.read.isdisjoint(self.totals)
        self.arrays.update(dict.fromkeys(b for b in step.buffers() if b in self.spans))
        return self.sound

    def kept(self) -> set[Buffer]:
        """Return the stacks that are read after they were made; of others one row is needed."""
        return self.stacks & self.written & self.read

    def nbytes(self, buffer: Buffer) -> int:
        """Return how many bytes of an array have to stay in the cache, if all is one part."""
        return buffer.nbytes if buffer in self.kept() else self.row(buffer)

    def row(self, buffer: Buffer) -> int:
        """Return how many bytes all turns of a first loop cover."""
        return self.spans[buffer] * buffer.part.itemsize

    def _kernel(self, kernel: Step) -> bool:
        if not isinstance(kernel, Kernel) or not kernel.sizes or 0 in kernel.sizes:
            return False
        if has_gathers(kernel.body):
            return False
        if not all(self._place(place, kernel.sizes) for place in _places(kernel)):
            return False
        for s in kernel.body:
            self.read.update(load.buffer for load in loads_of(s))
            if not s.offset.step(0):
                if not isinstance(s, Reduce) or s.buffer in self.written:
                    return False
                self.totals[s.buffer] = s.combine
        self.written.update(kernel.written())
        self.turns = math.gcd(self.turns, kernel.sizes[0])
        return True

    def _place(self, place: Statement | Load | Count, sizes: Sequence[int]) -> bool:
        step = place.offset.step(0)
        if isinstance(place, Count):
            return not step
        buffer, span = place.buffer, step * sizes[0]
        if buffer.dtype.kind == "c" or not self._alike(span, buffer):
            return False
        if not step:
            return True
        first, last = extent(place.offset, sizes, 0)
        row = first // span * span
        if row and not self._stack(buffer, span):
            return False
        return row <= first <= last < row + step

    def _loop(self, loop: Loop) -> bool:
        if loop.condition is not None or not all(map(self._kernel, loop.body.steps)):
            return False
        ins, outs = iter(loop.body.arguments), iter(loop.body.results)
        for pair in loop.carries:
            if not self._alike(pair[0].numbers, *pair, next(ins), next(outs)):
                return False
            self.written.update(pair)
        for series, part in zip((*loop.xs, *loop.ys), (*ins, *outs), strict=True):
            buffer, span = series.buffer, self.spans.get(part, 0)
            if part in self.totals:
                self.totals[buffer] = self.totals[part]
            if not self._alike(span, buffer):
                return False
            if span and (series.step != span or series.first % span):
                return False
            if span and not self._stack(buffer, span):
                return False
        self.read.update(x.buffer for x in loop.xs)
        self.written.update(y.buffer for y in loop.ys)
        return True

    def _alike(self, span: int, *buffers: Buffer) -> bool:
        """Note the span of buffers; False if one of them has another."""
        return all(self.spans.setdefault(b, span) == span for b in buffers)

    def _stack(self, buffer: Buffer, span: int) -> bool:
        """Note that a buffer has several rows; False if these are not all that it has."""
        self.stacks.add(buffer)
        return buffer.numbers % span == 0


def _places(kernel: Kernel) -> Iterator[Statement | Load | Count]:
    """Yield what has a place: statements, loads, and counts of turns."""
    for statement in kernel.body:
        yield statement
        yield from (e for e in expressions(statement) if isinstance(e, Load | Count))
