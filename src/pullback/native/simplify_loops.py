"""Tidying kernels: loops of one turn go, and loops that follow each other in memory become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pullback.native.loops import (
    Affine,
    Apply,
    Buffer,
    Count,
    Expr,
    Gather,
    Kernel,
    Load,
    Reduce,
    Statement,
    Store,
    affine,
    expressions,
)

Map = Callable[[Affine], Affine]


def tidy(kernel: Kernel) -> Kernel:
    """Return the kernel with as few loops as do the same."""
    kernel = without_single_turns(kernel)
    at = len(kernel.sizes) - 2
    while at >= 0:
        if _follow(kernel, at):
            kernel = _joined(kernel, at)
        at -= 1
    return kernel


def over(kernel: Kernel, sizes: tuple[int, ...]) -> Kernel | None:
    """Return the kernel with loops of these sizes, into which some of its own are joined."""
    for at, size in enumerate(sizes):
        while at < len(kernel.sizes) and kernel.sizes[at] != size:
            if at + 1 == len(kernel.sizes) or not _follow(kernel, at):
                return None
            kernel = _joined(kernel, at)
    return kernel if kernel.sizes == sizes else None


def without_single_turns(kernel: Kernel) -> Kernel:
    """Return the kernel without the loops of one turn."""
    kept = [k for k, n in enumerate(kernel.sizes) if n != 1]
    number = {old: new for new, old in enumerate(kept)}

    def renumber(place: Affine) -> Affine:
        return affine(place.const, {number[k]: step for k, step in place.terms if k in number})

    def loops(group: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(number[k] for k in group if k in number)

    body = rebuilt(kernel.body, change=renumber, loops=loops)
    return Kernel(tuple(kernel.sizes[k] for k in kept), body)


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

    def loops(group: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(k - (k > at) for k in group if k != at)

    return Kernel(tuple(sizes), rebuilt(kernel.body, change=join, loops=loops))


def _places(statement: Statement) -> Iterator[Affine]:
    yield statement.offset
    for expr in expressions(statement):
        if isinstance(expr, (Load, Count)):
            yield expr.offset


def _same(x: Any) -> Any:
    return x


def rebuilt(
    body: Sequence[Statement],
    change: Map = _same,
    loops: Callable[[tuple[int, ...]], tuple[int, ...]] = _same,
    of_load: Callable[[Load], Expr] = _same,
    of_buffer: Callable[[Buffer], Buffer] = _same,
) -> tuple[Statement, ...]:
    """Return statements with other places, loops, buffers, or expressions for what they load.

    What several of them share they share afterwards.
    """
    values = _Rebuilt(change, of_load, of_buffer)
    made: list[Statement] = []
    for s in body:
        buffer, offset, value = of_buffer(s.buffer), change(s.offset), values.of(s.value)
        if isinstance(s, Reduce):
            made.append(Reduce(buffer, offset, value, s.combine, loops(s.kept)))
        else:
            made.append(Store(buffer, offset, value, values.gathers(s.gathers), s.add))
    return tuple(made)


class _Rebuilt:
    """Expressions of several statements rebuilt, each once; see `rebuilt`."""

    def __init__(
        self, change: Map, of_load: Callable[[Load], Expr], of_buffer: Callable[[Buffer], Buffer]
    ) -> None:
        self._change, self._of_load, self._of_buffer = change, of_load, of_buffer
        self._known: dict[Expr, Expr] = {}

    def gathers(self, group: tuple[Gather, ...]) -> tuple[Gather, ...]:
        return tuple([Gather(self.of(g.index), g.length, g.stride) for g in group])

    def of(self, e: Expr) -> Expr:
        found = self._known.get(e)
        if found is None:
            found = e
            if isinstance(e, Load):
                other = self._of_load(e)
                if other is e:
                    buffer, offset = self._of_buffer(e.buffer), self._change(e.offset)
                    other = Load(buffer, offset, self.gathers(e.gathers))
                found = other
            elif isinstance(e, Count):
                found = Count(self._change(e.offset))
            elif isinstance(e, Apply):
                found = Apply(e.name, tuple([self.of(a) for a in e.args]), e.working, e.dtype)
            self._known[e] = found
        return found
