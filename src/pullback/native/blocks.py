"""Large matrix products in blocks that fit the caches: cut along the sum, the left matrix packed.

As in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from pullback.native.loops import Affine, Buffer, Kernel, Load, Store, affine
from pullback.native.rounding import rounded
from pullback.native.steps import Matmul, Step, Tiles
from pullback.native.tiling import tiling

LONGEST_SUM = 1 << 17
"""Terms of a sum up to which a product is ours: the blocks of more would be a long program."""

LONGEST_WHOLE, BLOCK_SUM, LARGE = 768, 512, 1 << 27
"""Terms of a sum up to which it is not cut, and terms of a block, of which a panel stays close.
Up to so many multiplications all that is read is close enough."""

LONGEST_CHAIN = 4096
"""Terms that are added up one after the other: more would cost digits."""

FAR, MANY, MUCH = 2048, 1024, 1 << 18
"""The left matrix is packed where its rows are `FAR` bytes apart, the right one has `MANY` columns
to read it for, and it has `MUCH` bytes."""


def sums(product: Matmul) -> list[tuple[int, int]]:
    """Return the ranges that the sums of a product are cut into."""
    is_close = product.k <= LONGEST_WHOLE or product.m * product.n * product.k <= LARGE
    pieces = -(-product.k // (LONGEST_CHAIN if is_close else BLOCK_SUM))
    ends = [product.k * p // pieces for p in range(pieces + 1)]
    return list(itertools.pairwise(ends))


def part(step: Tiles, first: int, last: int, in_bfloat16: bool) -> list[Step]:
    """Return the steps for the terms of a product from `first` to before `last`."""
    a_at, b_at = step.offsets
    b_at += affine(first * (1 if step.b_transposed else step.b_step), {})
    a_at += affine(first * (step.a_step if step.a_transposed else 1), {})
    step = replace(step, k=last - first, offsets=(a_at, b_at))
    if in_bfloat16:
        return rounded(step)
    return packed(step) if _is_scattered(step) else [step]


def _is_scattered(step: Tiles) -> bool:
    """Whether a tile finds its numbers of the left matrix far from each other, and many times."""
    size = step.product.dtype.itemsize
    large = step.n >= MANY and step.m * step.k * size >= MUCH
    return large and not step.batch and step.a_step * size >= FAR


def packed(step: Tiles) -> list[Step]:
    """Return the product with its left matrix packed, after the loops that pack it."""
    rows = tiling(step).rows
    buffer = Buffer(f"{step.a}'", step.product.dtype, step.m * step.k, "arena")
    full, rest = divmod(step.m, rows)
    shapes = [(0, full, rows), (full * rows, 1, rest)]
    kernels = [_packing(step, buffer, *shape) for shape in shapes if 0 not in shape[1:]]
    product = replace(step, a=buffer, offsets=(Affine(), step.offsets[1]), packed=True)
    return [*kernels, product]


def _packing(step: Tiles, buffer: Buffer, first: int, tiles: int, rows: int) -> Kernel:
    """Return the loop that packs so many tiles of rows, from row `first` on."""
    row, column = (1, step.a_step) if step.a_transposed else (step.a_step, 1)
    source = step.offsets[0] + affine(first * row, {0: rows * row, 1: column, 2: row})
    target = affine(first * step.k, {0: rows * step.k, 1: rows, 2: 1})
    return Kernel((tiles, step.k, rows), (Store(buffer, target, Load(step.a, source)),))
