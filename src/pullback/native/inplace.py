"""Results in the memory of arguments: where nothing reads the old value once the new is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pullback.native.loops import Buffer, Kernel, Load, Statement, Store, identity, linear, loads_of
from pullback.native.simplify_loops import rebuilt
from pullback.native.steps import (
    Block,
    Call,
    Choice,
    Contraction,
    Matmul,
    Python,
    Step,
    Strips,
    Tiles,
)

Pairs = Sequence[tuple[Buffer, Buffer]]
"""Arguments and the results that might take their places."""


def reused(steps: Sequence[Step], pairs: Pairs) -> tuple[list[Step], dict[Buffer, Buffer]]:
    """Return the steps with results in the memory of arguments, and which result is where."""
    touched = [set(step.buffers()) for step in steps]
    same = {r: a for a, r in pairs if a.size == r.size and _may_share(steps, touched, a, r)}
    if not same:
        return list(steps), {}
    moved = [
        _without_copies(renamed(step, same)) if buffers & same.keys() else step
        for step, buffers in zip(steps, touched, strict=True)
    ]
    return [step for step in moved if step is not None], same


def _may_share(
    steps: Sequence[Step], touched: Sequence[set[Buffer]], argument: Buffer, result: Buffer
) -> bool:
    """Whether `argument` is read before `result` is written, or in its turn, and never after."""
    first = next((k for k, buffers in enumerate(touched) if result in buffers), None)
    if first is None or any(argument in buffers for buffers in touched[first + 1 :]):
        return False
    return argument not in touched[first] or _in_its_turn(steps[first], argument, result)


def _in_its_turn(step: Step, argument: Buffer, result: Buffer) -> bool:
    """Whether each element of `argument` is read only where that of `result` is then written."""
    if not isinstance(step, (Kernel, Tiles, Contraction)):
        return False
    if isinstance(step, (Tiles, Contraction)) and argument in (step.a, step.b):
        return False
    here = linear(identity(step.sizes), step.sizes)
    at = max(k for k, s in enumerate(step.body) if s.buffer is result)
    writes = [s for s in step.body if s.buffer is result]
    if len(writes) > 1 or not isinstance(writes[0], Store):
        return False
    if writes[0].offset != here or writes[0].gathers or writes[0].add:
        return False
    reads = [_reads(s, argument) for s in step.body]
    if any(load.offset != here or load.gathers for group in reads for load in group):
        return False
    before = {load for group in reads[: at + 1] for load in group}  # loaded once, kept in registers
    return all(load in before for group in reads[at + 1 :] for load in group)


def _reads(statement: Statement, buffer: Buffer) -> list[Load]:
    return [load for load in loads_of(statement) if load.buffer is buffer]


def renamed(step: Step, names: Mapping[Buffer, Buffer]) -> Step:
    """Return the step on other buffers."""

    def name(buffer: Buffer) -> Buffer:
        return names.get(buffer, buffer)

    if isinstance(step, (Kernel, Tiles, Contraction)):
        body = rebuilt(step.body, of_buffer=name)
        if isinstance(step, Kernel):
            return replace(step, body=body)
        return replace(step, a=name(step.a), b=name(step.b), body=body)
    if isinstance(step, Matmul):
        return replace(step, out=name(step.out), a=name(step.a), b=name(step.b))
    if isinstance(step, Call):
        return replace(step, operands=tuple(map(name, step.operands)))
    if isinstance(step, Python):
        inputs = tuple((name(buffer), shape) for buffer, shape in step.inputs)
        return replace(step, out=tuple(map(name, step.out)), inputs=inputs)
    if isinstance(step, Choice):
        branches = tuple(_renamed_block(b, names) for b in step.branches)
        results = tuple(map(name, step.results))
        return replace(step, index=name(step.index), branches=branches, results=results)
    xs, ys = (
        tuple([replace(x, buffer=name(x.buffer)) for x in group]) for group in (step.xs, step.ys)
    )
    if isinstance(step, Strips):
        return replace(step, body=_renamed_block(step.body, names), xs=xs, ys=ys)
    return replace(
        step,
        body=_renamed_block(step.body, names),
        carries=tuple((name(a), name(b)) for a, b in step.carries),
        xs=xs,
        ys=ys,
        condition=step.condition and _renamed_block(step.condition, names),
        count=step.count and name(step.count),
    )


def _renamed_block(block: Block, names: Mapping[Buffer, Buffer]) -> Block:
    return replace(block, steps=tuple(renamed(s, names) for s in block.steps))


def _without_copies(step: Step) -> Step | None:
    """Return the step without copies of elements to where they are; None if nothing is left."""
    if not isinstance(step, (Kernel, Tiles, Contraction)):
        return step
    body = tuple(s for s in step.body if not _is_copy_to_itself(s))
    if len(body) == len(step.body):
        return step
    return replace(step, body=body) if body else None


def _is_copy_to_itself(s: Statement) -> bool:
    return (
        isinstance(s, Store)
        and isinstance(s.value, Load)
        and (s.value.buffer, s.value.offset, s.value.gathers) == (s.buffer, s.offset, s.gathers)
        and not s.gathers
        and not s.add
    )
