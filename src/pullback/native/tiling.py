"""How a matrix product is cut into tiles, and where its loops may be shared by threads."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pullback.native.engine import vector_bytes
from pullback.native.loops import Reduce
from pullback.native.steps import Tiles

ENOUGH = 8
"""As many portions can be shared fairly; loops that fall into more are not preferred."""


CACHE = 5 << 18
"""Bytes of the second-level cache that the left matrix may take."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of `rows` by `vectors`, each vector of so many `lanes`.

    Of the `tiles` of rows so many are worked on `together`, panel after panel, that their part of
    the left matrix stays in the second-level cache. `split` is the loop of the step, if any, that
    falls into `portions` independent pieces: an index of the batch, a tile of rows, or a panel of
    columns.
    """

    rows: int
    vectors: int
    lanes: int
    tiles: int
    together: int
    split: int | None
    portions: int

    @property
    def width(self) -> int:
        """The columns of a panel."""
        return self.vectors * self.lanes


def tiling(step: Tiles) -> Tiling:
    """Return the tiles that a product takes the least time in."""
    lanes = vector_bytes() // step.product.dtype.itemsize
    rows, vectors = best_tile(step.m, -(-step.n // lanes), step.k, _registers())
    tiles = -(-step.m // rows)
    blocks = -(-tiles * rows * step.k * step.product.dtype.itemsize // CACHE)
    pieces = dict(enumerate(step.batch))
    last = len(step.sizes) - 1
    pieces[last] = -(-step.n // (vectors * lanes))
    pieces[last - 1] = tiles
    free = [k for k in pieces if _is_independent(step, k)]
    split = max(free, key=lambda k: min(pieces[k], ENOUGH), default=None)  # the first of equal ones
    portions = 1 if split is None else pieces[split]
    return Tiling(rows, vectors, lanes, tiles, -(-tiles // blocks), split, portions)


def _registers() -> int:
    """Return how many registers a tile may take; were it all, LLVM would put some on the stack."""
    return 30 if vector_bytes() == 64 else 15


def _is_independent(step: Tiles, loop: int) -> bool:
    """Whether each turn of a loop writes elsewhere."""
    return step.sizes[loop] > 1 and all(
        loop in s.kept if isinstance(s, Reduce) else s.offset.step(loop) != 0 for s in step.body
    )


@functools.lru_cache(maxsize=1024)
def best_tile(m: int, vectors: int, k: int, registers: int) -> tuple[int, int]:
    """Return (rows, vectors) of the tiles that cover m rows of so many vectors the soonest.

    A tile holds its sums, a row of the right matrix and one number of the left one in registers.

    >>> best_tile(784, 8, 64, 30)
    (13, 2)
    >>> best_tile(1, 8, 512, 30)
    (1, 8)
    """
    shapes = [
        (r, v) for v in range(1, min(vectors, 8) + 1) for r in range(1, min(m, registers) + 1)
        if r * v + v + 1 <= registers
    ]  # fmt: skip

    def time(shape: tuple[int, int]) -> float:
        rows, wide = shape
        full, rest = divmod(m, rows)
        panel = full * _time(rows, wide, k) + (_time(rest, wide, k) if rest else 0)
        return -(-vectors // wide) * panel

    return min(shapes, key=lambda s: (time(s), -s[0] * s[1]))


def _time(rows: int, vectors: int, k: int) -> float:
    """Return about how many half cycles a tile takes.

    Two sums are added to, or two vectors loaded, in a cycle; a sum waits four cycles for itself;
    the second-level cache gives half a vector in a cycle.
    """
    turn = max(rows * vectors, rows + vectors, 4 * vectors, 8)
    return k * turn + 4 * rows * vectors + 20
