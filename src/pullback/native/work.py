"""How much there is to do: in a step, and in all steps with those inside of others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from pullback.native.loops import Apply, Expr, Kernel, Load, Reduce
from pullback.native.scalar import CHEAP
from pullback.native.steps import Call, Choice, Contraction, Loop, Matmul, Step, Strips, Tiles

DEAR = 8
"""What an elementary function costs, where an addition costs 1."""

PRODUCTS_AT_ONCE = 8
"""How many multiplications of a matrix product cost as much as one operation of a loop."""


def with_turns(steps: Iterable[Step], turns: int = 1) -> Iterator[tuple[Step, int]]:
    """Yield every step, also inside others, and how often it runs: once if nobody can tell."""
    for step in steps:
        yield step, turns
        if isinstance(step, Loop):
            known = step.length if step.condition is None and step.length is not None else 1
            yield from with_turns(step.body.steps, turns * known)
            if step.condition is not None:
                yield from with_turns(step.condition.steps, turns)
        elif isinstance(step, Strips):
            yield from with_turns(step.body.steps, turns * step.count)
        elif isinstance(step, Choice):
            for branch in step.branches:
                yield from with_turns(branch.steps, turns)


def operations(step: Step) -> int:
    """Return the floating-point operations of one run of a step, without those inside of others."""
    if isinstance(step, Matmul):
        return 2 * _multiplications(step)
    if not isinstance(step, (Kernel, Tiles, Contraction)):
        return 0
    count = sum(isinstance(e, Apply) and e.dtype.kind == "f" for e in _expressions(step))
    count += sum(isinstance(s, Reduce) for s in step.body)
    products = 0 if isinstance(step, Kernel) else 2 * _multiplications(step)
    return products + count * math.prod(step.sizes)


def effort(step: Step) -> int:
    """Return about how long a step takes, in the time that an element takes to be added."""
    if isinstance(step, Matmul):
        return _multiplications(step) // PRODUCTS_AT_ONCE
    if isinstance(step, Strips):
        return step.count * sum(turns * effort(s) for s, turns in with_turns(step.body.steps))
    if not isinstance(step, (Kernel, Tiles, Contraction)):
        return 0
    each = len(step.body)
    for e in _expressions(step):
        each += (
            DEAR if isinstance(e, Apply) and e.name not in CHEAP else isinstance(e, Apply | Load)
        )
    products = _multiplications(step) // PRODUCTS_AT_ONCE if not isinstance(step, Kernel) else 0
    return products + each * math.prod(step.sizes)


def turn_burden(step: Loop | Strips) -> int:
    """Return about how long a turn takes, as `effort`, libraries and what stands inside counted."""
    condition = step.condition if isinstance(step, Loop) else None
    inside = with_turns([*step.body.steps, *(condition.steps if condition else ())])
    return 1 + sum(turns * max(effort(s), _library(s)) for s, turns in inside)


def _library(step: Step) -> int:
    """Return a guess of how long a library takes."""
    return DEAR * sum(b.numbers for b in step.buffers()) if isinstance(step, Call) else 0


def _multiplications(step: Matmul | Tiles | Contraction) -> int:
    if isinstance(step, Contraction):
        return math.prod(step.sizes) * math.prod(step.summed)
    return step.m * step.n * step.k * math.prod(step.batch)


def _expressions(step: Kernel | Tiles | Contraction) -> list[Expr]:
    found: dict[Expr, None] = {}
    pending: list[Expr] = [s.value for s in step.body]
    while pending:
        e = pending.pop()
        if e not in found:
            found[e] = None
            pending.extend(e.args if isinstance(e, Apply) else ())
    return list(found)
