"""Joining loops: units over the same range become one kernel; what only it needs is not stored."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pullback.core.op import OPS
from pullback.native.loops import (
    Buffer,
    Kernel,
    Load,
    Store,
    identity,
    linear,
    loads_of,
    offsets,
    operations,
)
from pullback.native.steps import Step

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

MOST_OPERATIONS = 400
"""Larger kernels are not made by joining: LLVM would take more than its share of time for them."""


def joined(lowering: Lowering) -> list[Step]:
    """Return the steps of all units, in order, those over the same loops joined."""
    groups = _grouped(lowering.units)
    readers: dict[Buffer, set[int]] = {}
    for number, group in enumerate(groups):
        for unit in group:
            for step in unit.steps:
                for buffer, _ in _reads(step):
                    readers.setdefault(buffer, set()).add(number)
    steps: list[Step] = []
    for number, group in enumerate(groups):
        if group[0].fusible:
            outside = {b for unit in group for b in unit.steps[0].written()
                       if readers.get(b, set()) - {number}}  # fmt: skip
            steps.append(_merged(lowering, group, outside))
        else:
            steps.extend(group[0].steps)
    return steps


def _grouped(units: Sequence[Unit]) -> list[list[Unit]]:
    """Put each unit with the first over the same loops that comes after all it reads.

    It may be the very one that makes what it reads, if both stand at the same place. None goes
    before a mark: what follows it is computed again, so that nothing is kept so long.
    """
    groups: list[list[Unit]] = []
    made: dict[Buffer, tuple[int, Unit]] = {}
    over: dict[tuple[int, ...], list[int]] = {}  # the groups over some loops, in order
    size: list[int] = []  # how many operations a group has
    floor = 0
    for unit in units:
        if unit.node.op is OPS["recompute"] and not unit.steps:
            floor = len(groups)
            continue
        earliest = floor
        for step in unit.steps:
            for buffer, load in _reads(step):
                if buffer in made:
                    number, maker = made[buffer]
                    earliest = max(earliest, number + (not _is_aligned(maker, unit, load)))
        same = over.setdefault(unit.sizes, []) if unit.fusible else []
        work = sum(operations(k.body) for k in unit.steps if isinstance(k, Kernel))
        free = (g for g in same[bisect_left(same, earliest) :] if size[g] + work <= MOST_OPERATIONS)
        home = next(free, len(groups))
        if home == len(groups):
            groups.append([])
            size.append(0)
            same.append(home)
        groups[home].append(unit)
        size[home] += work
        for step in unit.steps:
            for buffer in step.written():
                made[buffer] = home, unit
    return groups


def _is_aligned(maker: Unit, unit: Unit, load: Load | None) -> bool:
    """Whether `unit` reads each element of what `maker` makes in the turn that makes it."""
    return (
        unit.fusible
        and maker.pointwise
        and maker.sizes == unit.sizes
        and load is not None
        and not load.gathers
        and load.offset in offsets(load.buffer.dtype, linear(identity(maker.sizes), maker.sizes))
    )


def _merged(lowering: Lowering, group: Sequence[Unit], outside: set[Buffer]) -> Kernel:
    """Return one kernel for the group; values that go from one unit to the next stay in it."""
    lowering.forget()
    statements: list[Any] = []
    for unit in group:
        (kernel,) = unit.steps
        assert isinstance(kernel, Kernel)
        if unit.pointwise:
            parts = lowering.forward(unit.node)
        else:
            parts = lowering.parts(unit.node.inputs[0], identity(unit.sizes))
        for old, part in zip(kernel.body, parts, strict=True):
            statements.append(replace(old, value=part))
    lowering.forget()
    kept = outside | {load.buffer for s in statements for load in loads_of(s)}
    needed = [s for s in statements if s.buffer.kind == "result" or s.buffer in kept]
    return Kernel(group[0].sizes, tuple(needed))


def _reads(step: Step) -> list[tuple[Buffer, Load | None]]:
    if isinstance(step, Kernel):
        found: list[tuple[Buffer, Load | None]] = []
        for statement in step.body:
            found.extend((load.buffer, load) for load in loads_of(statement))
            if isinstance(statement, Store) and statement.add:
                found.append((statement.buffer, None))
        return found
    return [(b, None) for b in step.buffers()]
