"""Where the parts of strips lie in a turn of the loop over them."""

from __future__ import annotations

from pullback.native.code import Code
from pullback.native.loops import Buffer
from pullback.native.pointers import Pointers
from pullback.native.steps import Strips


def end(step: Strips, code: Code, first: str, last: str) -> str:
    """Return where the loop over the strips from `first` to before `last` ends.

    Where some loops are late, there is one turn more, if there is any.
    """
    if not step.late:
        return last
    some = code.let(f"icmp slt i64 {first}, {last}")
    return code.let(f"add i64 {last}, {code.let(f'zext i1 {some} to i64')}")


def addresses(
    step: Strips, pointers: Pointers, room: str, turn: tuple[str, str, str]
) -> dict[Buffer, str]:
    """Return where all parts lie in a turn, which is told by the first one, itself, and the end.

    In the first turn nothing is late yet, in the turn more everything is. The other loops read the
    first strip then, and what they write goes to spare room.
    """
    code, body = pointers.code, step.body
    first, at, last = turn
    before = code.let(f"sub i64 {at}, 1")
    rooms = [code.let(f"and i64 {strip}, 1") if step.late else "0" for strip in (at, before)]
    there, near = ["true", "true"], [at, before]
    if step.late:
        there = [code.let(f"icmp slt i64 {at}, {last}"), code.let(f"icmp sgt i64 {at}, {first}")]
        near = [
            code.let(f"select i1 {is_one}, i64 {strip}, i64 {first}")
            for is_one, strip in zip(there, near, strict=True)
        ]

    def inside(offset: str | int) -> str:
        return code.let(f"getelementptr inbounds i8, ptr {room}, i64 {offset}")

    bound: dict[Buffer, str] = {}
    for part, begin in body.plan.offsets.items():
        which = code.let(f"mul i64 {rooms[part in step.late]}, {body.plan.size}")
        bound[part] = inside(code.let(f"add i64 {which}, {begin}"))
    parts, series = (*body.arguments, *body.results), (*step.xs, *step.ys)
    for part, x in zip(parts, series, strict=True):
        offset = code.let(f"mul i64 {near[part in step.late]}, {x.step}")
        bound[part] = code.element(x.buffer.part, pointers.at(x.buffer, x.first), offset)
    for part, begin in step.spare.items():
        is_one = there[part in step.late]
        bound[part] = code.let(f"select i1 {is_one}, ptr {bound[part]}, ptr {inside(begin)}")
    return bound
