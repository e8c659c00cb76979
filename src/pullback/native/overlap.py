"""Strips that overlap: the first loop goes over one strip while another is at the strip before.

The first loop over a strip waits for memory, others compute. Merged into one loop they do both at
a time (cf. Lam, "Software pipelining: an effective scheduling technique", 1988).
"""

from __future__ import annotations

from dataclasses import replace

from pullback.native.inplace import renamed
from pullback.native.loops import Buffer, Kernel
from pullback.native.memory import Plan
from pullback.native.simplify_loops import rebuilt
from pullback.native.steps import Block, Series, Strips
from pullback.native.work import effort

FILLS = 8
"""How many strips there are at least: together they take one turn more."""


def overlapping(step: Strips) -> Strips | None:
    """Return the step with the first loop merged with the one that takes longest, if they match.

    That one and those after it are late: at the strip before.
    """
    kernels = [k for k in step.body.steps if isinstance(k, Kernel)]
    if len(kernels) < max(2, len(step.body.steps)) or step.count < FILLS:
        return None
    first, *others = kernels
    longest = max(others, key=effort)
    if longest.sizes != first.sizes:
        return None
    at, arguments, results = others.index(longest), step.body.arguments, step.body.results
    places = step.body.plan.offsets
    late = {b: replace(b, name=f"{b.name}'") for b in (*arguments, *results, *places)}
    delayed = rebuilt(longest.body, of_buffer=lambda b: late.get(b, b))
    merged = Kernel(first.sizes, (*first.body, *delayed))
    steps = (merged, *others[:at], *[renamed(kernel, late) for kernel in others[at + 1 :]])
    used = {buffer for kernel in steps for buffer in kernel.buffers()}

    def both(parts: tuple[Buffer, ...], wholes: tuple[Series, ...]) -> list[tuple[Buffer, Series]]:
        pairs = zip(parts, wholes, strict=True)
        return [(part, whole) for old, whole in pairs for part in (old, late[old]) if part in used]

    xs, ys = both(arguments, step.xs), both(results, step.ys)
    offsets = {part: places[old] for old in places for part in (old, late[old]) if part in used}
    plan = Plan(offsets, step.body.plan.size)
    body = Block(steps, plan, tuple(part for part, _ in xs), tuple(part for part, _ in ys))
    whole_xs, whole_ys = (tuple(whole for _, whole in pairs) for pairs in (xs, ys))
    return Strips(body, step.count, whole_xs, whole_ys, frozenset(late.values()))
