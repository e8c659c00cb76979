"""Kernels as functions: loops over all elements, long sums in blocks, rows several at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np

from pullback.native.code import BOOL, Code, Module, type_of
from pullback.native.emit import BodyWriter, combine, in_register, signature_of, start_of
from pullback.native.fetches import write as write_fetches
from pullback.native.loops import Kernel, Reduce, operations
from pullback.native.turns import (
    GROUP,
    abreast_in_group,
    asks_later,
    split_of,
    strided,
    vectors_abreast,
)

BLOCK = 4096
"""How many numbers of a float32 sum are added up before they join the others (cf. Higham, "The
accuracy of floating point summation", 1993)."""
ROWS, LIGHT, MANY_ELEMENTS = 8, 16, 4096
"""How many rows are added up before their sum joins one in memory, where no more than so many
expressions make an element, and there are so many of them: then it is memory that takes the time,
and enough of it to have LLVM write more instructions."""


class KernelWriter(BodyWriter):
    """Writes one kernel as a function of the pointers to its buffers.

    It falls into `portions` along the loop `split`, and does those from %first to before %last.
    """

    def __init__(self, module: Module, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.split = split_of(kernel)
        self.portions = 1 if self.split is None else kernel.sizes[self.split]
        parameters, pointers = signature_of(kernel)
        # merged with what calls it, all its pointers would have to be told apart again
        code = Code(module, name, parameters, "internal void", inline="noinline")
        super().__init__(code, pointers)
        self.ordered: dict[str, str] = {}  # beside the register of an extreme: whether no NaN came

    def write(self) -> None:
        """Write the whole function."""
        code, sizes = self.code, self.kernel.sizes
        reduces = [s for s in self.kernel.body if isinstance(s, Reduce)]
        for s in reduces:
            if not in_register(s) or 0 in sizes:
                self._fill(s)
        if 0 not in sizes:
            self._level(0, {s: self._register(s) for s in reduces if in_register(s)})
        code.finish()

    def _level(self, depth: int, registers: dict[Reduce, str]) -> None:
        """Write the loops from `depth` on."""
        sizes = self.kernel.sizes
        mine = [s for s in registers if len(s.kept) == depth]
        for s in mine:
            self._start(s, registers[s])
        if depth + 2 == len(sizes) and self._adds_rows():
            self._rows(registers)
        elif depth + 1 == len(sizes):
            self._innermost(registers)
        elif depth < len(sizes):
            with self._loop(depth) as counter:
                self.counters.append(counter)
                self._level(depth + 1, registers)
                self.counters.pop()
        else:
            self._turn(registers)
        for s in mine:
            self.put(s.buffer, self.offset(s.offset), self._total(s, registers[s]))

    def _loop(self, depth: int) -> AbstractContextManager[str]:
        """Write one of the loops; the one that is split between threads turns for a share only."""
        count, last = self.kernel.sizes[depth], depth + 1 == len(self.kernel.sizes)
        abreast = vectors_abreast(self.kernel.body, count) if last else 0
        return self.code.turns(count, depth == self.split, abreast)

    def _fill(self, s: Reduce) -> None:
        """Write the beginning of a reduction all over what this share of the portions makes."""
        if self.split is None:
            self.fill(s)
            return
        code, stride = self.code, s.offset.step(self.split)
        first, last = (code.let(f"mul i64 {end}, {stride}") for end in ("%first", "%last"))
        with code.span(first, last) as i:
            self.put(s.buffer, i, start_of(s))

    def _last_turn(self, counter: str, registers: dict[Reduce, str]) -> None:
        """Write a turn of the last loop."""
        self.counters.append(counter)
        self._level(len(self.kernel.sizes), registers)
        self.counters.pop()

    def _turn(self, registers: dict[Reduce, str]) -> None:
        """Write the body, once."""
        self.known, self.offsets = {}, {}
        for statement in self.kernel.body:
            if isinstance(statement, Reduce) and statement in registers:
                self._accumulate(statement, registers[statement])
            else:
                self.statement(statement)

    def _adds_rows(self) -> bool:
        """Whether rows are combined to one in memory, with so little work that memory is slow."""
        last = len(self.kernel.sizes) - 1
        reduces = [s for s in self.kernel.body if isinstance(s, Reduce)]
        return (
            any(_adds_rows(s, last) for s in reduces)
            and not any(in_register(s) and len(s.kept) >= last for s in reduces)
            and operations(self.kernel.body) <= LIGHT
            and math.prod(self.kernel.sizes) >= MANY_ELEMENTS
        )

    def _rows(self, registers: dict[Reduce, str]) -> None:
        """Write the last two loops, several rows at a time."""
        code, count = self.code, self.kernel.sizes[-2]
        parts = {
            s: self._register(s) for s in self.kernel.body
            if isinstance(s, Reduce) and _adds_rows(s, len(self.kernel.sizes) - 1)
        }  # fmt: skip

        def turns(start: str, rows: int) -> None:
            with self._loop(len(self.kernel.sizes) - 1) as column:
                for s, part in parts.items():
                    self._start(s, part)
                for k in range(rows):
                    self.counters += code.let(f"add nuw nsw i64 {start}, {k}"), column
                    self._turn(registers | parts)
                    del self.counters[-2:]
                self.counters += start, column
                for s, part in parts.items():
                    self.merge(s.combine, s.buffer, self.offset(s.offset), self._total(s, part))
                del self.counters[-2:]

        groups, rest = divmod(count, ROWS)
        if groups:
            with code.loop(groups) as group:
                turns(code.let(f"mul nuw nsw i64 {group}, {ROWS}"), ROWS)
        if rest:
            turns(str(groups * ROWS), rest)

    def _innermost(self, registers: dict[Reduce, str]) -> None:
        """Write the last loop; what it adds to a long sum is summed up apart, in blocks."""
        code, sizes = self.code, self.kernel.sizes
        if self.kernel.ahead:
            if sizes[-1] >= GROUP:
                self._in_groups(registers)
                return
            self._fetch(self.counters, sizes[:-1])
        parts = {
            s: code.variable(s.buffer.part)
            for s in registers
            if s.combine == "sum" and s.buffer.part == np.float32
            and math.prod(sizes[len(s.kept) :]) > BLOCK and len(s.kept) < len(sizes)
        }  # fmt: skip

        def turn(counter: str) -> None:
            self._last_turn(counter, registers | parts)

        def turns(start: str, count: int) -> None:
            for s, part in parts.items():
                self._start(s, part)
            with code.loop(count, vectors_abreast(self.kernel.body, count)) as counter:
                turn(code.let(f"add nuw nsw i64 {start}, {counter}"))
            for s, part in parts.items():
                self._combine(s, registers[s], self._total(s, part))

        if not parts:
            self._all_turns(turn)
            return
        blocks, rest = divmod(sizes[-1], BLOCK)
        if blocks:
            with code.loop(blocks) as block:
                turns(code.let(f"mul nuw nsw i64 {block}, {BLOCK}"), BLOCK)
        if rest:
            turns(str(blocks * BLOCK), rest)

    def _in_groups(self, registers: dict[Reduce, str]) -> None:
        """Write the last loop in groups of turns, before each of which something is fetched.

        What each turn of a group reduces has a place of its own until the end. LLVM makes these
        registers; lanes would be combined after each group otherwise.
        """
        code, (*around, count) = self.code, self.kernel.sizes
        groups, rest = divmod(count, GROUP)
        abreast = abreast_in_group(self.kernel)
        rooms = {s: code.room(s.buffer.part, GROUP) for s in registers}

        def places(turn: str) -> dict[Reduce, str]:
            return {s: code.element(s.buffer.part, room, turn) for s, room in rooms.items()}

        with code.loop(GROUP, abreast) as turn:
            for s, place in places(turn).items():
                self._start(s, place)
        with code.loop(groups) as group:
            self._fetch([*self.counters, group], [*around, groups])
            first = code.times(group, GROUP)
            with code.loop(GROUP, abreast) as turn:
                at = code.let(f"add nuw nsw i64 {first}, {turn}")
                self._last_turn(at, registers | places(turn))
        with code.loop(GROUP, abreast) as turn:
            for s, place in places(turn).items():
                self._combine(s, registers[s], self._total(s, place))
        if rest:
            with code.loop(rest, abreast=1) as turn:
                at = code.let(f"add nuw nsw i64 {turn}, {groups * GROUP}")
                self._last_turn(at, registers)

    def _fetch(self, counters: Sequence[str], sizes: Sequence[int]) -> None:
        """Write what is fetched in one turn of loops of these sizes."""
        fetches = [(fetch, self.pointers[fetch.buffer, 0]) for fetch in self.kernel.ahead]
        write_fetches(self.code, fetches, counters, sizes)

    def _all_turns(self, turn: Callable[[str], None]) -> None:
        """Write the last loop; where there may be arguments that a library is asked about, twice.

        First none is asked, as that takes time even where there are none.
        """
        code, last = self.code, len(self.kernel.sizes) - 1
        if not asks_later(self.kernel):
            with self._loop(last) as counter:
                turn(counter)
            return
        code.known = code.variable(BOOL)
        code.line(f"store i1 true, ptr {code.known}")
        with self._loop(last) as counter:
            turn(counter)
        known, code.known = code.let(f"load i1, ptr {code.known}"), None
        ask, done = code.label("ask"), code.label("done")
        code.line(f"br i1 {known}, label %{done}, label %{ask}")
        code.begin(ask)
        with code.turns(self.kernel.sizes[last], last == self.split, abreast=1) as counter:
            turn(counter)
        code.line(f"br label %{done}")
        code.begin(done)

    def _register(self, s: Reduce) -> str:
        """Return a register for a reduction."""
        register = self.code.variable(s.buffer.part)
        extreme = s.combine in ("max", "min") and s.buffer.part.kind == "f"
        if extreme and not self.kernel.ahead and not strided(self.kernel):
            self.ordered[register] = self.code.variable(BOOL)
        return register

    def _start(self, s: Reduce, register: str) -> None:
        self.code.line(f"store {type_of(s.buffer.part)} {start_of(s)}, ptr {register}")
        if register in self.ordered:
            self.code.line(f"store i1 true, ptr {self.ordered[register]}")

    def _accumulate(self, s: Reduce, register: str) -> None:
        code, dtype = self.code, s.buffer.part
        value = code.cast(self.value(s.value), s.value.dtype, dtype)
        if register not in self.ordered:
            self._combine(s, register, value)
            return
        # two instructions, neither of which waits for the other: NaN is put in at the end
        known = code.let(f"fcmp ord {type_of(dtype)} {value}, {value}")
        flag = self.ordered[register]
        known = code.binary("and", BOOL, code.let(f"load i1, ptr {flag}"), known)
        code.line(f"store i1 {known}, ptr {flag}")
        before = code.let(f"load {type_of(dtype)}, ptr {register}")
        extreme = code.intrinsic(f"{s.combine}num", dtype, [before, value], "nnan nsz ")
        code.line(f"store {type_of(dtype)} {extreme}, ptr {register}")

    def _combine(self, s: Reduce, register: str, value: str) -> None:
        dtype = s.buffer.part
        total = combine(self.code, s.combine, dtype, self._total(s, register), value)
        self.code.line(f"store {type_of(dtype)} {total}, ptr {register}")

    def _total(self, s: Reduce, register: str) -> str:
        code, dtype = self.code, s.buffer.part
        total = code.let(f"load {type_of(dtype)}, ptr {register}")
        if register not in self.ordered:
            return total
        known = code.let(f"load i1, ptr {self.ordered[register]}")
        return code.select(known, dtype, total, code.number(math.nan, dtype))


def _adds_rows(s: Reduce, last: int) -> bool:
    """Whether the loop around the last one is combined, and the last one is not."""
    return last in s.kept and last - 1 not in s.kept
