"""Loops that sum up products become tiles in registers, as matrix products do, and take in readers.

Of the loops that the result keeps, the last goes along vectors of `b` and of the result; those
along which only `a` moves are rows, the last two of which are cut into tiles. A convolution is such
a sum: its rows are places of an image, or taps of the window.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pullback.native.emit import has_gathers, in_register
from pullback.native.engine import vector_bytes
from pullback.native.loops import (
    Apply,
    Buffer,
    Expr,
    Kernel,
    Load,
    Product,
    Reduce,
    Statement,
    Store,
    loads_of,
    operations,
)
from pullback.native.simplify_loops import rebuilt, tidy, without_single_turns
from pullback.native.steps import Contraction, Step
from pullback.native.windows import filled

FEWEST = 512
"""Sums of fewer products stay plain loops."""

LARGEST_BODY = 16
"""Expressions of a reader, up to which it is written out for each vector of a tile."""

NEAR = 1 << 18
"""Bytes of `b` that one tile may read: with more, the tiles go over a part of them at a time."""

SHARES = 8
"""As many portions can be shared fairly."""


def join_sums(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with sums of products as contractions, joined with what reads them."""
    found: list[list[Step]] = [[step] for step in steps]
    readers: dict[Buffer, list[int]] = {}
    writers: dict[Buffer, int] = {}
    for k, step in enumerate(steps):
        for buffer in step.written():
            writers[buffer] = writers.get(buffer, 0) + 1
        for buffer in set(step.buffers()) - set(step.written()):
            readers.setdefault(buffer, []).append(k)
    for k, step in enumerate(steps):
        sums = _sums_of(step)
        if sums is None:
            continue
        after = readers.get(sums.total.buffer, [])
        here = after[0] if after and writers[sums.total.buffer] == 1 else k
        if here != k and found[here] == [steps[here]]:
            body = _taken_in(sums, steps[here], len(after) > 1)
            joined = _contraction(sums, body) if body else []
            if len(joined) == 1:
                found[here], found[k] = joined, []
                continue
        found[k] = _contraction(sums, (sums.stored(),)) or found[k]
    return list(itertools.chain.from_iterable(found))


@dataclass(frozen=True, slots=True)
class Sums:
    """Loops that sum up products: `total` is their only statement, `element` stands for a sum."""

    sizes: tuple[int, ...]
    total: Reduce
    element: Product

    def stored(self, add: bool = False) -> Store:
        """Return the statement that only stores a sum, or adds it to what is there."""
        return Store(self.total.buffer, self.total.offset, self.element, add=add)


def _sums_of(step: Step) -> Sums | None:
    """Return a kernel that sums up products of two numbers; None for all others."""
    if not isinstance(step, Kernel) or len(step.body) != 1 or 0 in step.sizes:
        return None
    kernel = without_single_turns(step)
    (s,) = kernel.body
    if not isinstance(s, Reduce) or not isinstance(s.value, Apply) or s.value.name != "multiply":
        return None
    fits = (
        s.combine == "sum"
        and s.buffer.dtype.kind == "f"
        and in_register(s)
        and 0 < len(s.kept) < len(kernel.sizes)
        and math.prod(kernel.sizes) > FEWEST
        and all(isinstance(x, Load) and x.dtype == s.buffer.dtype for x in s.value.args)
        and not has_gathers(kernel.body)
    )
    return Sums(kernel.sizes, s, Product(s.buffer.dtype)) if fits else None


def _taken_in(sums: Sums, reader: Step, stored: bool) -> tuple[Statement, ...]:
    """Return the body of a reader of the sums, which stand where it loads them; () if it can't.

    It must go over the very loops that the sum keeps, and write each element in its turn.
    """
    if not isinstance(reader, Kernel) or operations(reader.body) > LARGEST_BODY:
        return ()
    reader = without_single_turns(reader)
    total, last = sums.total, len(sums.total.kept) - 1
    fits = (
        reader.sizes == sums.sizes[: last + 1]
        and not has_gathers(reader.body)
        and all(isinstance(s, Store) and s.offset.step(last) == 1 for s in reader.body)
        and all(
            load.offset == total.offset
            for s in reader.body
            for load in loads_of(s)
            if load.buffer is total.buffer
        )
    )
    if not fits:
        return ()

    def take_in(load: Load) -> Expr:
        return sums.element if load.buffer is total.buffer else load

    body = rebuilt(reader.body, of_load=take_in)
    return (sums.stored(), *body) if stored or total.buffer.kind != "arena" else body


def _contraction(sums: Sums, body: tuple[Statement, ...]) -> list[Step]:
    """Return the steps that compute the sums and do `body` with them; none where that can't be."""
    merged = tidy(Kernel(sums.sizes, (sums.total, *body)))
    total, *rest = merged.body
    assert isinstance(total, Reduce)
    assert isinstance(total.value, Apply)
    last = len(total.kept) - 1
    factors = [x for x in total.value.args if isinstance(x, Load)]
    a, b = sorted(factors, key=lambda x: x.offset.step(last))
    if (a.offset.step(last), b.offset.step(last), total.offset.step(last)) != (0, 1, 1):
        return []
    step = Contraction(
        a.buffer, b.buffer, merged.sizes[: last + 1], merged.sizes[last + 1 :],
        (a.offset, b.offset), sums.element, tuple(rest),
    )  # fmt: skip
    if not _rows_of(step):
        return []
    if math.prod(step.summed) * vector_bytes() <= NEAR or len(step.summed) == 1:
        return [step]
    adding = Store(total.buffer, total.offset, sums.element, add=True)
    return [filled(total.buffer), replace(step, body=(adding,))]


def _rows_of(step: Contraction) -> list[int]:
    """Return the loops of the result along which only `a` moves."""
    a, b = step.offsets
    return [k for k in range(len(step.sizes) - 1) if a.step(k) and not b.step(k)]


@dataclass(frozen=True, slots=True)
class Cut:
    """Tiles of so many turns of the loops `rows`, by `vectors` of so many `lanes`.

    `split` is the loop, if any, that falls into `portions` independent pieces.
    """

    rows: tuple[tuple[int, int], ...]
    vectors: int
    lanes: int
    split: int | None
    portions: int

    @property
    def width(self) -> int:
        """The columns of a tile."""
        return self.vectors * self.lanes


def cut(step: Contraction) -> Cut:
    """Return the tiles that a contraction takes the least time in."""
    last = len(step.sizes) - 1
    lanes = vector_bytes() // step.product.dtype.itemsize
    loops = _rows_of(step)[-2:]
    lengths = tuple(step.sizes[k] for k in loops)
    tile, vectors = best_tile(lengths, -(-step.sizes[last] // lanes), 30 if lanes >= 8 else 15)
    pieces = dict(enumerate(step.sizes))
    pieces[last] = -(-step.sizes[last] // (vectors * lanes))
    for loop, length in zip(loops, tile, strict=True):
        pieces[loop] = -(-step.sizes[loop] // length)
    free = [k for k in pieces if all(s.offset.step(k) for s in step.body)]
    split = max(free, key=lambda k: min(pieces[k], SHARES), default=None)  # the first of equal ones
    rows = tuple(zip(loops, tile, strict=True))
    return Cut(rows, vectors, lanes, split, 1 if split is None else pieces[split])


@functools.lru_cache(maxsize=1024)
def best_tile(
    lengths: tuple[int, ...], vectors: int, registers: int
) -> tuple[tuple[int, ...], int]:
    """Return the tile that covers loops of these lengths, by so many vectors, the soonest.

    >>> best_tile((32, 32), 4, 30)
    ((1, 13), 2)
    """

    def time(shape: tuple[tuple[int, ...], int]) -> float:
        tile, wide = shape
        edges = [[(n // t, t), (n % t > 0, n % t)] for n, t in zip(lengths, tile, strict=True)]
        panels = -(-vectors // wide)
        return panels * sum(
            math.prod(count for count, _ in choice) * _time(math.prod(t for _, t in choice), wide)
            for choice in itertools.product(*edges)
        )

    shapes = (
        (tile, wide)
        for wide in range(1, min(vectors, 8) + 1)
        for tile in itertools.product(*(range(1, min(n, registers) + 1) for n in lengths))
        if math.prod(tile) * wide + wide + 1 <= registers
    )
    return min(shapes, key=lambda s: (time(s), -math.prod(s[0]) * s[1]))


def _time(rows: int, vectors: int) -> float:
    """Return how many half cycles a turn of a tile takes.

    Two sums are added to, or two vectors loaded, in a cycle; a sum waits four cycles for itself.
    """
    return max(rows * vectors, rows + vectors, 8)
