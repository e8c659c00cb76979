"""Going over large arrays in strips: what one loop has read or made, the next finds in the cache.

Where loops follow each other over the same rows, as in a softmax or a layer norm, some rows go
through all of them before the next rows do, and what only these loops need takes the room of a
strip instead of an array's. So do the turns of a loop whose elements do not need each other: its
stacks, and the way back along them, stay in the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from pullback.native import memory
from pullback.native.ahead import fetching
from pullback.native.cuts import Cut
from pullback.native.divisors import divisors
from pullback.native.loops import Affine, Buffer, Combine, Kernel, Load, Reduce, affine
from pullback.native.overlap import overlapping
from pullback.native.parts import in_parts
from pullback.native.simplify_loops import rebuilt, tidy
from pullback.native.steps import Block, Loop, Series, Step, Strips

STRIP = 1 << 16
"""Bytes of a strip, of all arrays together."""
FETCHED = 3 << 14
"""Bytes of a strip that leaves enough time to fetch the next one."""
SHORT = 5 << 12
"""Bytes of one of two strips that are gone over together."""
STACKED = 3 << 17
"""Bytes of a strip with stacks, of which each turn touches only a row."""
LEAST_ROW = 1 << 7
"""Bytes of such a row from which on it takes longer than to begin and end the turn."""
LEAST = 1 << 19
"""Bytes from which on an array does not stay in the cache from one loop to the next."""
ROOM = 3 << 17
"""Bytes of the stack that a strip may take."""
MOST_STEPS = 16


def in_strips(steps: Sequence[Step], kept: Collection[Buffer] = ()) -> list[Step]:
    """Return the steps, those that follow each other over the same rows in strips.

    What is `kept` is needed after the steps. Of those over whole arrays, large reductions fall
    into parts.
    """
    uses = Counter(buffer for step in steps for buffer in set(step.buffers()))
    found: list[Step] = []
    for run in _runs(steps):
        found += _strips(run, uses, kept) or in_parts(map(_inside, run))
    return found


def _runs(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield all steps in order, those together that can be cut together into small strips."""
    run: list[Step] = []
    cut = Cut()
    for step in steps:
        if not (cut.takes(step) and _count(cut, STRIP) and len(run) < MOST_STEPS) and run:
            yield run
            run, cut = [], Cut()
            cut.takes(step)
        run.append(step)
    yield run


def _inside(step: Step) -> Step:
    """Return the step; in a loop that goes over whole arrays, each turn may do so in strips."""
    if not isinstance(step, Loop) or step.condition is not None:
        return step
    body, given = step.body, step.body.outside()
    steps = in_strips(body.steps, {*given, *body.arguments, *body.results})
    plan = memory.plan(steps, given)
    body = replace(body, steps=tuple(steps), plan=plan)
    return replace(step, body=body, scratch=replace(step.scratch, size=plan.size))


def _strips(run: Sequence[Step], uses: Counter[Buffer], kept: Collection[Buffer]) -> list[Step]:
    """Return steps that do all of `run` in strips; none where it is not worth it."""
    cut = Cut()
    if not all(map(cut.takes, run)) or not _goes_again(run, cut):
        return []
    here = Counter(buffer for step in run for buffer in set(step.buffers()))
    own = {
        b for b in cut.written - cut.totals.keys()
        if b.kind == "arena" and b not in kept and uses[b] == here[b]
    }  # fmt: skip
    ways = (_count(cut, FETCHED), fetching), (_short(cut), overlapping), (_count(cut, STRIP), None)
    for count, better in ways:
        if count < 2:
            continue
        step, sums = _cut(run, cut, own, count)
        found = better(step) if better else step
        if found is not None and found.room <= ROOM:
            return [found, *[_together(b, sums[b], cut.totals[b]) for b in sums]]
    return []


def _cut(
    run: Sequence[Step], cut: Cut, own: Collection[Buffer], count: int
) -> tuple[Strips, dict[Buffer, Buffer]]:
    """Return a step that does all of `run` in strips, and what each strip adds to each total."""
    strip = _Strip(cut, count, cut.stacks.intersection(own))
    body = [strip.step(step) for step in run]
    room = {strip.part(b) for b in own}.union(s.scratch for s in body if isinstance(s, Loop))
    plan = memory.plan(body, {b for step in body for b in step.buffers()} - room)
    xs = [b for b in cut.arrays if cut.spans[b] and b not in cut.written]
    ys = [b for b in cut.arrays if b in cut.written and b not in own]
    sums = {
        b: Buffer(f"{b}.parts", b.dtype, b.size * count, "arena") for b in ys if b in cut.totals
    }
    whole_xs, whole_ys = (
        tuple([Series(sums.get(b, b), 0, cut.spans[b] // count or b.size) for b in group])
        for group in (xs, ys)
    )
    block = Block(tuple(body), plan, tuple(map(strip.part, xs)), tuple(map(strip.part, ys)))
    return Strips(block, count, whole_xs, whole_ys), sums


def _together(total: Buffer, parts: Buffer, combine: Combine) -> Kernel:
    """Return the loops that combine what each strip has made."""
    value = Load(parts, affine(0, {0: total.size, 1: 1}))
    reduce = Reduce(total, affine(0, {1: 1}), value, combine, (1,))
    return tidy(Kernel((parts.size // total.size, total.size), (reduce,)))


def _count(cut: Cut, most: int) -> int:
    """Return the least number of strips of at most so many bytes; 0 if none is that small."""
    stacks = cut.kept()
    total, most = sum(map(cut.nbytes, cut.arrays)), STACKED if stacks else most
    sums = sum(b.nbytes for b in cut.arrays if b in cut.totals)  # of which each strip makes its own
    least = 0 if total <= most else max(most // 16, 16 * sums)
    counts = [n for n in divisors(cut.turns) if least * n <= total <= 4 * most * n]
    if stacks:
        row = min(map(cut.row, stacks))
        counts = [n for n in counts if row >= LEAST_ROW * n]
        counts = [n for n in counts if row % (memory.LINE * n) == 0] or counts
    return next((n for n in counts if total <= most * n), max(counts, default=0))


def _short(cut: Cut) -> int:
    """Return the number of strips of which two are in the first cache; 0 if rows are too long."""
    total = sum(map(cut.nbytes, cut.arrays))
    if cut.stacks or cut.totals:
        return 0
    return next((n for n in divisors(cut.turns) if total <= SHORT * n), 0)


def _goes_again(run: Sequence[Step], cut: Cut) -> bool:
    """Whether something goes over a large array that was gone over before."""
    times: Counter[Buffer] = Counter()
    for step in run:
        for buffer in set(step.buffers()).intersection(cut.arrays):
            repeats = isinstance(step, Loop) and buffer not in cut.stacks
            times[buffer] += 1 + repeats
    return any(n > 1 and cut.nbytes(buffer) >= LEAST for buffer, n in times.items())


class _Strip:
    """Turns steps into those of one of `count` strips.

    Of the stacks that are `packed`, it has rows of its own, which follow each other; of others
    it sees a part of each row.
    """

    def __init__(self, cut: Cut, count: int, packed: Collection[Buffer]) -> None:
        self.spans, self.count, self.packed = cut.spans, count, packed
        self._parts = {
            b: Buffer(b.name, b.dtype, (b.size if b in packed else span) // count, "arena")
            for b, span in cut.spans.items() if span
        } | {b: Buffer(b.name, b.dtype, b.size, "arena") for b in cut.totals}  # fmt: skip

    def part(self, buffer: Buffer) -> Buffer:
        """Return what stands for an array."""
        return self._parts.get(buffer, buffer)

    def step(self, step: Step) -> Kernel | Loop:
        """Return a step of one strip."""
        if isinstance(step, Loop):
            return self._loop(step)
        assert isinstance(step, Kernel)
        return self._kernel(step)

    def _kernel(self, kernel: Kernel) -> Kernel:
        def load(e: Load) -> Load:
            return Load(self.part(e.buffer), self._place(e.buffer, e.offset))

        body = [replace(s, offset=self._place(s.buffer, s.offset)) for s in kernel.body]
        sizes = kernel.sizes[0] // self.count, *kernel.sizes[1:]
        return tidy(Kernel(sizes, rebuilt(body, of_load=load, of_buffer=self.part)))

    def _place(self, buffer: Buffer, offset: Affine) -> Affine:
        if buffer not in self.packed:
            return offset
        span = self.spans[buffer]
        return offset + Affine(offset.const // span * (span // self.count - span))

    def _loop(self, loop: Loop) -> Loop:
        steps = [self.step(step) for step in loop.body.steps]
        own = {self.part(b) for b in loop.body.plan.offsets}
        plan = memory.plan(steps, {b for step in steps for b in step.buffers()} - own)
        ins, outs = (
            tuple(map(self.part, group)) for group in (loop.body.arguments, loop.body.results)
        )
        return replace(
            loop,
            body=Block(tuple(steps), plan, ins, outs),
            carries=tuple([(self.part(a), self.part(b)) for a, b in loop.carries]),
            xs=tuple(map(self._series, loop.xs)),
            ys=tuple(map(self._series, loop.ys)),
            scratch=replace(loop.scratch, size=plan.size),
        )

    def _series(self, series: Series) -> Series:
        nearer = self.count if series.buffer in self.packed else 1
        return Series(self.part(series.buffer), series.first // nearer, series.step // nearer)
