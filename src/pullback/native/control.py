"""Loops and choices of a graph as steps that contain steps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.graph import Node
from pullback.native import places
from pullback.native.kinds import is_expression
from pullback.native.loops import Affine, Buffer, Kernel, Load, Store, affine, offsets
from pullback.native.prepare import prepare
from pullback.native.steps import Block, Choice, Loop, Series
from pullback.passes import optimise

if TYPE_CHECKING:
    from pullback.core.graph import Graph
    from pullback.native.lower import Lowering, Unit

BYTES = np.dtype(np.uint8)


def _scan(lowering: Lowering, node: Node, unit: Unit) -> bool:
    step, length = node.params["step"], node.params["length"]
    given, starts, series = step.split(node.inputs)
    fixed, carry = _memories(lowering, given), _memories(lowering, starts)
    body = _body(lowering, step.graph, fixed, step.carries, repeated=True)
    if body is None:
        return False
    moving, stacked = body.arguments[step.carries :], body.results[step.carries :]
    xs = [_series(lowering, *each) for each in zip(series, moving, strict=True)]
    outs = lowering.make_rooms(node)
    stacks = zip(outs[step.carries :], stacked, strict=True)
    ys = [Series(y, 0, part.numbers) for y, part in stacks]
    pairs = []
    for k, out in enumerate(outs[: step.carries]):
        pair = out, _other(body, k, out)
        pairs.append(pair if length % 2 == 0 else (pair[1], pair[0]))  # so that it ends in `out`
    unit.steps = [_copy(pair[0], start) for pair, start in zip(pairs, carry, strict=True)]
    if length:
        loop = Loop(
            body, length, tuple(pairs), tuple(xs), tuple(ys), _scratch(body),
            reverse=node.params["reverse"],
        )  # fmt: skip
        unit.steps.append(loop)
    return True


def _while(lowering: Lowering, node: Node, unit: Unit) -> bool:
    step, condition = node.params["step"], node.params["condition"]
    fixed, carry, _ = step.split(_memories(lowering, node.inputs))
    body = _body(lowering, step.graph, fixed, step.carries)
    holds = _body(lowering, condition, fixed, 0)
    if body is None or holds is None:
        return False
    count, *outs = lowering.make_rooms(node)
    pairs = tuple((out, _other(body, k, out)) for k, out in enumerate(outs))
    unit.steps = [_copy(out, start) for out, start in zip(outs, carry, strict=True)]
    loop = Loop(
        body, node.params["limit"], pairs, (), (), _scratch(body, holds), condition=holds,
        holds=Buffer("holds", holds.results[0].dtype, 1, "arena"), count=count,
    )  # fmt: skip
    unit.steps.append(loop)
    return True


def _switch(lowering: Lowering, node: Node, unit: Unit) -> bool:
    index, *args = _memories(lowering, node.inputs)
    branches = [_body(lowering, graph, args, 0) for graph in node.params["branches"]]
    found = [b for b in branches if b is not None]
    if len(found) < len(branches):
        return False
    unit.steps = [Choice(index, tuple(found), tuple(lowering.make_rooms(node)), _scratch(*found))]
    return True


def sources(scan: Node, stored: Collection[Node]) -> list[Node]:
    """Return what must lie in memory for a scan, given what does already."""
    fixed, carries, xs = scan.params["step"].split(scan.inputs)
    return [*fixed, *carries, *[_whole(x, stored)[0] for x in xs]]


def _whole(node: Node, stored: Collection[Node]) -> tuple[Node, int]:
    """Return in what memory `node` lies in one piece, and which of its elements comes first."""
    whole, first = places.piece(node)
    computed = is_expression(whole) and whole not in stored  # of which the piece may be enough
    return (node, 0) if computed else (whole, first)


def _series(lowering: Lowering, node: Node, part: Buffer) -> Series:
    """Return where the parts of `node` follow each other."""
    whole, first = _whole(node, lowering.stored)
    (buffer,) = _memories(lowering, [whole])
    return Series(buffer, offsets(buffer.dtype, Affine(first))[0].const, part.numbers)


def _memories(lowering: Lowering, nodes: Any) -> list[Buffer]:
    found = [lowering.memory(node) for node in nodes]
    assert all(b is not None for b in found)
    return [b for b in found if b is not None]


def _body(
    lowering: Lowering, graph: Graph, fixed: list[Buffer], carries: int, repeated: bool = False
) -> Block | None:
    """Return a graph as a block, its first arguments known; None if NumPy would have to help."""
    graph = optimise(graph)
    lowered = lowering.inner(graph, dict(zip(graph.arguments, fixed, strict=False)))
    if lowered.fallbacks:
        return None
    moving = lowered.arguments[len(fixed) :]
    in_place = list(zip(moving, lowered.results, strict=False))[:carries]
    return prepare(lowered.steps, moving, lowered.results, in_place, set(fixed), repeated)


def _other(body: Block, k: int, out: Buffer) -> Buffer:
    """Return where carry `k` alternates to; `out` itself if the body changes it in place."""
    if body.results[k] is body.arguments[k]:
        return out
    return Buffer(f"{out}*", out.dtype, out.size, "arena")


def _scratch(*blocks: Block) -> Buffer:
    return Buffer("scratch", BYTES, max(b.plan.size for b in blocks), "arena")


def _copy(out: Buffer, source: Buffer) -> Kernel:
    at: Affine = affine(0, {0: 1})
    return Kernel((out.numbers,), (Store(out, at, Load(source, at)),))


LOWERINGS: dict[str, Callable[[Any, Node, Any], bool]] = {
    "scan": _scan,
    "while_loop": _while,
    "switch": _switch,
}
"""How control flow is lowered; False where NumPy has to run it."""
