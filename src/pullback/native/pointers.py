"""Where a program's buffers are: the table of pointers, and what code has found in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pullback.native.code import Code
from pullback.native.loops import Buffer
from pullback.native.memory import Plan

ERROR, ARENA, FIRST = 0, 1, 2
"""Entries of the table of pointers; from FIRST on, those of the buffers."""


class Pointers:
    """The addresses of buffers where code is being written, each found once."""

    def __init__(
        self,
        code: Code,
        slots: Mapping[Buffer, int],
        plan: Plan,
        outer: Pointers | None = None,
        arena: str = "",
        bound: Mapping[Buffer, str] | None = None,
    ) -> None:
        self.code, self.slots, self.plan, self.outer, self.arena = code, slots, plan, outer, arena
        self.known: dict[Any, str] = dict(bound or {})

    def inside(self, plan: Plan, arena: str, bound: Mapping[Buffer, str]) -> Pointers:
        """Return the addresses for a block, whose temporaries are planned from `arena` on."""
        return Pointers(self.code, self.slots, plan, self, arena, bound)

    def slot(self, k: int) -> str:
        """Return entry `k` of the table."""
        return self._once(k, self._find)

    def of(self, buffer: Buffer) -> str:
        """Return the address of a buffer."""
        return self._once(buffer, self._find)

    def at(self, buffer: Buffer, place: int) -> str:
        """Return the address of an element of a buffer."""
        if not place:
            return self.of(buffer)
        return self._once(
            (buffer, place), lambda _: self.code.element(buffer.part, self.of(buffer), str(place))
        )

    def _once(self, key: Any, find: Callable[[Any], str]) -> str:
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = find(key)
        return found

    def _find(self, x: Any) -> str:
        """Return what is known here or outside; else compute it here, where alone it is valid."""
        if x in self.known:
            return self.known[x]
        if isinstance(x, Buffer) and x in self.plan.offsets:
            arena = self.arena or self.slot(ARENA)
            offset = self.plan.offsets[x]
            return self.code.let(f"getelementptr inbounds i8, ptr {arena}, i64 {offset}")
        if self.outer is not None:
            return self.outer._find(x)
        k = self.slots[x] if isinstance(x, Buffer) else x
        at = self.code.let(f"getelementptr inbounds ptr, ptr %table, i64 {k}")
        return self.code.let(f"load ptr, ptr {at}")
