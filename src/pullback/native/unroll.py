"""Writing out loops of a few turns: the loop around them is the one that fills vectors then."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from pullback.native.kinds import MOST_TURNS, TOGETHER
from pullback.native.loops import Affine, Apply, Expr, Kernel, Reduce, Statement, affine, operations
from pullback.native.simplify_loops import rebuilt

LEAST_AROUND = 8
"""Fewer turns around would not fill a vector either."""
MOST_OPERATIONS = 64
"""Longer bodies are not written several times."""


def unrolled(kernel: Kernel) -> Kernel:
    """Return the kernel with its last loop written out, if that is short and another is around."""
    *around, turns = kernel.sizes or (0,)
    last = len(around)
    if not (
        1 < turns <= MOST_TURNS
        and around and around[-1] >= LEAST_AROUND
        and turns * operations(kernel.body) <= MOST_OPERATIONS
        and all(_is_known(s, last) for s in kernel.body)
    ):  # fmt: skip
        return kernel
    copies = [_at(kernel.body, last, turn) for turn in range(turns)]
    body: list[Statement] = []
    for s, *same in zip(kernel.body, *copies, strict=True):
        if isinstance(s, Reduce) and last not in s.kept:
            body.append(_combined(same))
        else:
            body.extend(same)
    return Kernel(tuple(around), tuple(body))


def _is_known(s: Statement, last: int) -> bool:
    if not isinstance(s, Reduce) or last in s.kept:
        return True
    return s.combine in TOGETHER and s.buffer.part.kind in "fiu"


def _at(body: tuple[Statement, ...], loop: int, turn: int) -> tuple[Statement, ...]:
    """Return the body in one turn of the last loop."""

    def change(place: Affine) -> Affine:
        steps = {k: step for k, step in place.terms if k != loop}
        return affine(place.const + turn * place.step(loop), steps)

    return rebuilt(body, change=change, loops=lambda kept: tuple(k for k in kept if k != loop))


def _combined(same: Sequence[Reduce]) -> Reduce:
    """Return one statement for those that combine into the same place."""
    s = same[0]
    dtype, name = s.buffer.part, TOGETHER[s.combine]

    def together(x: Expr, y: Expr) -> Expr:
        return Apply(name, (x, y), dtype, dtype)

    return replace(s, value=functools.reduce(together, [s.value for s in same]))
