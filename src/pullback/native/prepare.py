"""From lowered steps to a block that is ready to be written: joined, tidied, in place, planned."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pullback.native import memory
from pullback.native.contraction import join_sums
from pullback.native.inplace import Pairs, reused
from pullback.native.join import join_products
from pullback.native.loops import Buffer, Kernel
from pullback.native.simplify_loops import tidy
from pullback.native.squares import in_squares
from pullback.native.steps import Block, Step
from pullback.native.strips import in_strips
from pullback.native.unroll import unrolled


def prepare(
    steps: Sequence[Step],
    arguments: Sequence[Buffer],
    results: Sequence[Buffer],
    pairs: Pairs = (),
    given: Collection[Buffer] = (),
    repeated: bool = False,
) -> Block:
    """Return the block of `steps`; of each pair, the result takes the argument's memory if it can.

    Where it does, it is the argument that stands among the results. What is `given` lies outside.
    How a block that is `repeated` goes over large arrays is left to what lies around its loop.
    """
    joined = join_sums(join_products(steps))
    found = [unrolled(tidy(s)) if isinstance(s, Kernel) else s for s in joined]
    found, same = reused(found, pairs)
    placed = tuple(same.get(b, b) for b in results)
    if not repeated:
        found = in_strips(found, {*given, *arguments, *placed})
    found = [in_squares(s) if isinstance(s, Kernel) else s for s in found]
    return Block(tuple(found), memory.plan(found, given), tuple(arguments), placed)
