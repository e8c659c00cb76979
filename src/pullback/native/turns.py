"""How the loops of a kernel turn: which one threads share, how many vectors go side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.native.emit import in_register
from pullback.native.engine import vector_bytes
from pullback.native.functions import ASKING, OWN
from pullback.native.loops import Apply, Expr, Kernel, Reduce, Store, expressions, extent, loads_of

ABREAST, MANY = 4, 16
"""How many vectors go side by side through elementary functions, if these are not too many."""
LONG, FEW = 1 << 14, 4
"""How many turns are worth compiling twice as many side by side, through so few functions."""

GROUP = 64
"""How many turns of a loop are computed between fetches of what is needed later."""


def asks_later(kernel: Kernel) -> bool:
    """Whether the last loop asks a library, is long, and can run again: what it reads is there."""
    written = set(kernel.written())
    return (
        kernel.sizes[-1] >= LONG
        and all(isinstance(s, Store) and not s.add for s in kernel.body)
        and not any(load.buffer in written for s in kernel.body for load in loads_of(s))
        and any(_name(e) in ASKING for s in kernel.body for e in expressions(s))
    )


def strided(kernel: Kernel) -> bool:
    """Whether the last loop reads elements that do not lie side by side: with masks of its own."""
    last = len(kernel.sizes) - 1
    loads = [load for s in kernel.body for load in loads_of(s)]
    return any(load.gathers or load.offset.step(last) not in (0, 1) for load in loads)


def split_of(kernel: Kernel) -> int | None:
    """Return the outermost loop whose turns are independent of each other, if there is one."""
    if 0 in kernel.sizes:
        return None  # results may still have to be filled
    for loop, count in enumerate(kernel.sizes):
        if count > 1 and all(_is_split(s, loop) for s in kernel.body) and _apart(kernel, loop):
            return loop
    return None


def _apart(kernel: Kernel, loop: int) -> bool:
    """Whether no turn of `loop` reads what another one writes."""
    for buffer in kernel.written():
        here = [load for s in kernel.body for load in loads_of(s) if load.buffer is buffer]
        places = {x.offset for x in [*here, *kernel.body] if x.buffer is buffer}
        if any(load.gathers for load in here):
            return False
        steps = {p.step(loop) for p in places}
        ends = [e for p in places for e in extent(p, kernel.sizes, loop)]
        if here and len(places) > 1 and (len(steps) > 1 or max(ends) - min(ends) >= min(steps)):
            return False
    return True


def _is_split(s: Store | Reduce, loop: int) -> bool:
    if not s.offset.step(loop):
        return False
    if isinstance(s, Store):
        return not s.add and not s.gathers
    return in_register(s) or s.kept[0] == loop  # so that a share of it lies together


def _name(expr: Expr) -> str:
    return expr.name if isinstance(expr, Apply) else ""


def vectors_abreast(body: Sequence[Store | Reduce], count: int) -> int:
    """Return how many vectors a turn of the last loop takes, so that they need not wait; 0: any.

    Each instruction of an elementary function waits for the one before; other vectors fill in.
    """
    functions = {e for s in body for e in expressions(s) if _name(e) in OWN}
    if not functions or len(functions) > MANY or count < 64 * ABREAST:
        return 0
    asking = any(_name(f) in ASKING for f in functions)  # its flags would need more registers
    return 2 * ABREAST if count >= LONG and len(functions) <= FEW and not asking else ABREAST


def abreast_in_group(kernel: Kernel) -> int:
    """Return how many vectors make a group of turns; fewer if they would not fit into registers."""
    widest = max(buffer.part.itemsize for buffer in kernel.buffers())
    return min(GROUP * widest // vector_bytes(), 2 * ABREAST)
