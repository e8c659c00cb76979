"""Fetching the next strip into the cache while one is computed.

Else the first loop over a strip would wait for memory, and memory for the other loops.
"""

from __future__ import annotations

import math
from dataclasses import replace

from pullback.native.functions import OWN
from pullback.native.loops import Apply, Fetch, Kernel, expressions
from pullback.native.steps import Block, Series, Strips
from pullback.native.work import effort

MOST = 2
"""How many arrays are fetched: more would take longer than one is computed."""
LEAST, ROOM = 1 << 10, 1 << 16
"""Bytes of a strip of an array that is worth it, and of all that are still there when needed."""


def fetching(step: Strips) -> Strips | None:
    """Return the step; while it computes elementary functions, it fetches the next strip.

    None if it does not compute any, or has too much to fetch. Of results, too, the lines are
    fetched that they will be written to, but for what is written meanwhile: that comes slowly
    enough for memory.
    """
    body, longest = step.body, _longest(step.body)
    if longest is None:
        return None
    fetches: list[Fetch] = []
    series: list[Series] = []
    for parts, wholes in ((body.arguments, step.xs), (body.results, step.ys)):
        for part, whole in zip(parts, wholes, strict=True):
            if whole.step and part.nbytes >= LEAST and part not in longest.written():
                following = replace(part, name=f"{part}'")
                fetches.append(Fetch(following, writes=wholes is step.ys))
                series.append(replace(whole, first=whole.first + whole.step))
    together = sum(fetch.buffer.nbytes for fetch in fetches)
    if not 0 < len(fetches) <= MOST or together > ROOM:
        return None
    meanwhile = replace(longest, ahead=tuple(fetches))
    steps = tuple(meanwhile if kernel is longest else kernel for kernel in body.steps)
    arguments = (*body.arguments, *[fetch.buffer for fetch in fetches])
    body = replace(body, steps=steps, arguments=arguments)
    return replace(step, body=body, xs=(*step.xs, *series))


def _longest(body: Block) -> Kernel | None:
    """Return the kernel that takes longest, of those that compute functions of all elements."""
    kernels = [step for step in body.steps if isinstance(step, Kernel)]
    if len(kernels) < len(body.steps):
        return None
    most = max(math.prod(kernel.sizes) for kernel in kernels)
    busy = [k for k in kernels if math.prod(k.sizes) == most and _has_functions(k)]
    return max(busy, key=effort, default=None)


def _has_functions(kernel: Kernel) -> bool:
    return any(isinstance(e, Apply) and e.name in OWN for s in kernel.body for e in expressions(s))
