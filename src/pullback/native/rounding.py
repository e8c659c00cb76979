"""Matrix products of numbers rounded to bfloat16, summed up in float32, for those who ask for them.

Both matrices are packed in the order that the tiles read them in, rounded to the nearest, ties to
even. A processor that multiplies pairs of bfloat16 gets pairs of terms in 32 bits; for others the
rounded numbers stay float32. (Intel, "bfloat16 hardware numerics definition", 2018.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pullback.native.engine import target
from pullback.native.loops import (
    Affine,
    Apply,
    Buffer,
    Expr,
    Kernel,
    Load,
    Store,
    affine,
    identity,
    linear,
    literal,
)
from pullback.native.steps import Step, Tiles
from pullback.native.tiling import tiling

SINGLE, PAIR = np.dtype(np.float32), np.dtype(np.uint32)


def multiplies_pairs() -> bool:
    """Whether the processor multiplies pairs of bfloat16."""
    return target().has("avx512bf16")


def rounded(step: Tiles) -> list[Step]:
    """Return the product of both matrices packed and rounded, after the loops that do that."""
    dtype = PAIR if multiplies_pairs() else SINGLE
    shape = tiling(step)
    turns = -(-step.k // 2) if dtype == PAIR else step.k
    columns = -(-step.n // shape.width) * shape.width
    batch, sizes = int(np.prod(step.batch)), (step.m * turns, columns * turns)
    a, b = (
        Buffer(f"{source}'", dtype, batch * size, "arena")
        for source, size in zip((step.a, step.b), sizes, strict=True)
    )
    a_at, b_at = step.offsets
    left = (1, step.a_step) if step.a_transposed else (step.a_step, 1)
    right = (step.b_step, 1) if step.b_transposed else (1, step.b_step)
    corner = (*identity(step.batch), Affine())
    a_start, b_start = (linear(corner, (*step.batch, size)) for size in sizes)
    packing = [
        *_packing(step, a, Load(step.a, a_at), left, step.m, shape.rows, None, a_start),
        *_packing(step, b, Load(step.b, b_at), right, step.n, shape.width, shape.width, b_start),
    ]
    product = replace(step, a=a, b=b, offsets=(a_start, b_start), packed=True, rounded=True)
    return [*packing, product]


def _packing(
    step: Tiles, out: Buffer, first: Load, steps: tuple[int, int], count: int, group: int,
    width: int | None, start: Affine,
) -> list[Step]:  # fmt: skip
    """Return the loops that pack `count` rows of a matrix, or columns, in groups.

    From one to the next it is `steps[0]` in memory, from one term to the next `steps[1]`. In each
    group the terms follow each other `width` apart, or without a gap.
    """
    across, along = steps
    each = 2 if out.dtype == PAIR else 1
    turns = -(-step.k // each)
    full, rest = divmod(count, group)
    kernels: list[Step] = []
    loops = len(step.batch)
    by_row, by_term = (loops + 1, loops + 2) if along == 1 else (loops + 2, loops + 1)
    for at, groups, size in ((0, full, group), (full * group, 1, rest)):
        for term, number, whole in ((0, step.k // each, True), (turns - 1, step.k % each, False)):
            if 0 in (groups, size, number):
                continue
            source = first.offset + affine(
                at * across + term * each * along,
                {loops: group * across, by_term: each * along, by_row: across},
            )
            gap = width or size
            place = start + affine(
                at * turns + term * gap, {loops: group * turns, by_term: gap, by_row: 1}
            )
            value = _rounded(first.buffer, source, along if whole else None, out)
            inner = (size, number) if along == 1 else (number, size)  # read as it lies in memory
            kernels.append(Kernel((*step.batch, groups, *inner), (Store(out, place, value),)))
    return kernels


def _rounded(buffer: Buffer, place: Affine, next_term: int | None, out: Buffer) -> Expr:
    """Return a term rounded, or with the next one, if there is one, as a pair."""
    x = Load(buffer, place)
    if out.dtype == SINGLE:
        return Apply("bfloat16_round", (x,), SINGLE, SINGLE)
    y: Expr = literal(0, SINGLE)
    if next_term is not None:
        y = Load(buffer, place + affine(next_term, {}))
    return Apply("bfloat16_pair", (x, y), SINGLE, PAIR)
