"""Tidying kernels: loops of one turn go, and loops that follow each other in memory become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pullback.native.loops import (
    Affine,
    Apply,
    Expr,
    Gather,
    Kernel,
    Load,
    Reduce,
    Statement,
    Store,
    affine,
    loads_of,
)

Map = Callable[[Affine], Affine]


def tidy(kernel: Kernel) -> Kernel:
    """Return the kernel with as few loops as do the same."""
    kernel = _without_single_turns(kernel)
    at = len(kernel.sizes) - 2
    while at >= 0:
        if _follow(kernel, at):
            kernel = _joined(kernel, at)
        at -= 1
    return kernel


def _without_single_turns(kernel: Kernel) -> Kernel:
    kept = [k for k, n in enumerate(kernel.sizes) if n != 1]
    number = {old: new for new, old in enumerate(kept)}

    def renumber(place: Affine) -> Affine:
        return affine(place.const, {number[k]: step for k, step in place.terms if k in number})

    body = [
        _mapped(s, renumber, tuple(number[k] for k in s.kept if k in number))
        if isinstance(s, Reduce)
        else _mapped(s, renumber)
        for s in kernel.body
    ]
    return Kernel(tuple(kernel.sizes[k] for k in kept), tuple(body))


def _follow(kernel: Kernel, at: int) -> bool:
    """Whether each turn of loop `at` goes on where all turns of the next one ended."""
    inner = kernel.sizes[at + 1]
    for statement in kernel.body:
        if isinstance(statement, Reduce) and (at in statement.kept) != (at + 1 in statement.kept):
            return False
        if any(p.step(at) != p.step(at + 1) * inner for p in _places(statement)):
            return False
    return True


def _joined(kernel: Kernel, at: int) -> Kernel:
    sizes = list(kernel.sizes)
    sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]

    def join(place: Affine) -> Affine:
        steps = {k - (k > at): step for k, step in place.terms if k != at}
        return affine(place.const, steps)

    body = [
        _mapped(s, join, tuple(k - (k > at) for k in s.kept if k != at))
        if isinstance(s, Reduce)
        else _mapped(s, join)
        for s in kernel.body
    ]
    return Kernel(tuple(sizes), tuple(body))


def _places(statement: Statement) -> Iterator[Affine]:
    yield statement.offset
    for load in loads_of(statement):
        yield load.offset


def replaced(statement: Any, of_load: Callable[[Load], Expr]) -> Any:
    """Return the statement with other expressions in place of what it loads."""
    return _rebuilt(statement, lambda place: place, of_load, getattr(statement, "kept", None))


def _mapped(statement: Any, change: Map, kept: tuple[int, ...] | None = None) -> Any:
    return _rebuilt(statement, change, lambda load: load, kept)


def _rebuilt(
    statement: Any, change: Map, of_load: Callable[[Load], Expr], kept: tuple[int, ...] | None
) -> Any:
    known: dict[Expr, Expr] = {}

    def gathers(group: tuple[Gather, ...]) -> tuple[Gather, ...]:
        return tuple(Gather(expr(g.index), g.length, g.stride) for g in group)

    def expr(e: Expr) -> Expr:
        found = known.get(e)
        if found is None:
            if isinstance(e, Load):
                other = of_load(e)
                moved = Load(e.buffer, change(e.offset), gathers(e.gathers))
                found = moved if other is e else other
            elif isinstance(e, Apply):
                found = Apply(e.name, tuple(map(expr, e.args)), e.working, e.dtype)
            else:
                found = e
            known[e] = found
        return found

    offset, value = change(statement.offset), expr(statement.value)
    if isinstance(statement, Reduce):
        assert kept is not None
        return Reduce(statement.buffer, offset, value, statement.combine, kept)
    return Store(statement.buffer, offset, value, gathers(statement.gathers), statement.add)
