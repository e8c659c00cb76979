"""From loops to LLVM: one function per kernel, and one that calls them in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from pullback.core.aval import DType
from pullback.native.code import Code, Module, number, type_of
from pullback.native.loops import (
    Affine,
    Apply,
    Buffer,
    Count,
    Expr,
    Gather,
    Kernel,
    Load,
    Number,
    Reduce,
    Store,
    loads_of,
    operations,
)
from pullback.native.narrow import is_narrow
from pullback.native.scalar import INSTRUCTIONS, SCALARS
from pullback.native.steps import Contraction, Tiles

Operand = tuple[Buffer, int]
COUNT = np.dtype(np.int64)
BLOCK = 4096
"""How many numbers of a float32 sum are added up before they join the others (cf. Higham, "The
accuracy of floating point summation", 1993)."""
ROWS, LIGHT = 8, 16
"""How many rows are added up before their sum joins one in memory, where no more than so many
expressions make an element: then it is memory that takes the time."""
START: dict[str, Any] = {
    "sum": 0, "prod": 1, "any": False, "all": True, "max": -np.inf, "min": np.inf,
}  # fmt: skip


class BodyWriter:
    """Writes the body of loops, whose counters are given."""

    def __init__(self, code: Code, pointers: dict[Operand, str]) -> None:
        self.code, self.pointers = code, pointers
        self.counters: list[str] = []
        self.known: dict[Expr, str] = {}
        self.offsets: dict[Affine, str] = {}

    def fill(self, s: Reduce) -> None:
        """Write the beginning of a reduction all over its buffer."""
        if s.buffer.size:
            with self.code.loop(s.buffer.numbers) as i:
                self.put(s.buffer, i, start_of(s))

    def get(self, buffer: Buffer, place: str) -> str:
        """Read one number of a buffer that is written too."""
        pointer = self.code.element(buffer.part, self.pointers[buffer, 0], place)
        return self.code.load(buffer.part, pointer)

    def put(self, buffer: Buffer, place: str, value: str) -> None:
        """Write one number of a buffer."""
        pointer = self.code.element(buffer.part, self.pointers[buffer, 0], place)
        self.code.store(buffer.part, value, pointer)

    def statement(self, s: Store | Reduce) -> None:
        """Write a statement that works in memory."""
        code, dtype = self.code, s.buffer.part
        value = code.cast(self.value(s.value), s.value.dtype, dtype)
        gathers = s.gathers if isinstance(s, Store) else ()
        place = self._moved(self.offset(s.offset), gathers)
        if isinstance(s, Reduce):
            self.merge(s.combine, s.buffer, place, value)
        elif s.add:
            self.merge("sum", s.buffer, place, value)
        else:
            self.put(s.buffer, place, value)

    def merge(self, kind: str, buffer: Buffer, place: str, value: str) -> None:
        """Combine a value with an element of a buffer."""
        before = self.get(buffer, place)
        self.put(buffer, place, combine(self.code, kind, buffer.part, before, value))

    def base(self, buffer: Buffer, place: Affine) -> tuple[str, Affine]:
        """Return the pointer that a place counts from, and what is left to count."""
        if (buffer, place.const) in self.pointers:
            return self.pointers[buffer, place.const], Affine(0, place.terms)
        return self.pointers[buffer, 0], place

    def offset(self, place: Affine) -> str:
        """Return the number of a place, computed where it is first needed."""
        found = self.offsets.get(place)
        if found is None:
            total = str(place.const)
            for loop, step in place.terms:
                term = self.counters[loop]
                if step != 1:
                    term = self.code.let(f"mul nsw i64 {term}, {step}")
                total = term if total == "0" else self.code.let(f"add nsw i64 {total}, {term}")
            found = self.offsets[place] = total
        return found

    def _moved(self, offset: str, gathers: Sequence[Gather]) -> str:
        """Return the offset moved by computed indices, which are checked."""
        code = self.code
        for g in gathers:
            index = code.cast(self.value(g.index), g.index.dtype, COUNT)
            if g.index.dtype.kind == "i":
                wrapped = code.let(f"add i64 {index}, {g.length}")
                below = code.let(f"icmp slt i64 {index}, 0")
                index = code.select(below, COUNT, wrapped, index)
            inside = code.let(f"icmp ult i64 {index}, {g.length}")
            # outside, the first element stands in, and the error is told after the call
            index = code.select(inside, COUNT, index, "0")
            flag = code.let(f"zext i1 {inside} to i32")
            before = code.let("load i32, ptr %error")
            flag = code.let(f"xor i32 {flag}, 1")
            code.line(f"store i32 {code.let(f'or i32 {before}, {flag}')}, ptr %error")
            if g.stride != 1:
                index = code.let(f"mul nsw i64 {index}, {g.stride}")
            offset = code.let(f"add nsw i64 {offset}, {index}")
        return offset

    def load(self, expr: Load) -> str:
        """Write a load."""
        base, offset = self.base(expr.buffer, expr.offset)
        place = self._moved(self.offset(offset), expr.gathers)
        return self.code.load(expr.dtype, self.code.element(expr.dtype, base, place))

    def count(self, expr: Count) -> str:
        """Return the number of a place."""
        return self.offset(expr.offset)

    def value(self, expr: Expr) -> str:
        """Return the value of an expression, computed once."""
        found = self.known.get(expr)
        if found is None:
            found = self.known[expr] = self._value(expr)
        return found

    def _value(self, expr: Expr) -> str:
        code = self.code
        if isinstance(expr, Number):
            return code.number(expr.value, expr.dtype)
        if isinstance(expr, Load):
            return self.load(expr)
        if isinstance(expr, Count):
            return self.count(expr)
        assert isinstance(expr, Apply)
        values = []
        for k, arg in enumerate(expr.args):
            working = np.dtype(bool) if expr.name == "where" and k == 0 else expr.working
            if isinstance(arg, Number):
                values.append(code.number(working.type(arg.value), working))
            else:
                values.append(code.cast(self.value(arg), arg.dtype, working))
        result = INSTRUCTIONS[expr.name](code, expr.working, values)
        if expr.name in ("astype", "discrete_astype") or is_narrow(expr.dtype):
            return code.cast(result, expr.working, expr.dtype)
        return result


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

    def write(self) -> None:
        """Write the whole function."""
        code, sizes = self.code, self.kernel.sizes
        reduces = [s for s in self.kernel.body if isinstance(s, Reduce)]
        for s in reduces:
            if not in_register(s) or 0 in sizes:
                self._fill(s)
        if 0 not in sizes:
            self._level(0, {s: code.variable(s.buffer.part) for s in reduces if in_register(s)})
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
        if depth == self.split:
            return self.code.span("%first", "%last")
        return self.code.loop(self.kernel.sizes[depth])

    def _fill(self, s: Reduce) -> None:
        """Write the beginning of a reduction all over what this share of the portions makes."""
        if self.split is None:
            self.fill(s)
            return
        code, stride = self.code, s.offset.step(self.split)
        ends = [code.let(f"mul i64 {end}, {stride}") for end in ("%first", "%last")]
        with code.span(*ends) as i:
            self.put(s.buffer, i, start_of(s))

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
        )

    def _rows(self, registers: dict[Reduce, str]) -> None:
        """Write the last two loops, several rows at a time."""
        code, count = self.code, self.kernel.sizes[-2]
        parts = {
            s: code.variable(s.buffer.part) for s in self.kernel.body
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
        parts = {
            s: code.variable(s.buffer.part)
            for s in registers
            if s.combine == "sum" and s.buffer.part == np.float32
            and math.prod(sizes[len(s.kept) :]) > BLOCK and len(s.kept) < len(sizes)
        }  # fmt: skip

        def turn(counter: str) -> None:
            self.counters.append(counter)
            self._level(len(sizes), registers | parts)
            self.counters.pop()

        def turns(start: str, count: int) -> None:
            for s, part in parts.items():
                self._start(s, part)
            with code.loop(count) as counter:
                turn(code.let(f"add nuw nsw i64 {start}, {counter}"))
            for s, part in parts.items():
                self._combine(s, registers[s], self._total(s, part))

        if not parts:
            with self._loop(len(sizes) - 1) as counter:
                turn(counter)
            return
        blocks, rest = divmod(sizes[-1], BLOCK)
        if blocks:
            with code.loop(blocks) as block:
                turns(code.let(f"mul nuw nsw i64 {block}, {BLOCK}"), BLOCK)
        if rest:
            turns(str(blocks * BLOCK), rest)

    def _accumulate(self, s: Reduce, register: str) -> None:
        value = self.code.cast(self.value(s.value), s.value.dtype, s.buffer.part)
        self._combine(s, register, value)

    def _combine(self, s: Reduce, register: str, value: str) -> None:
        dtype = s.buffer.part
        total = combine(self.code, s.combine, dtype, self._total(s, register), value)
        self.code.line(f"store {type_of(dtype)} {total}, ptr {register}")

    def _start(self, s: Reduce, register: str) -> None:
        self.code.line(f"store {type_of(s.buffer.part)} {start_of(s)}, ptr {register}")

    def _total(self, s: Reduce, register: str) -> str:
        return self.code.let(f"load {type_of(s.buffer.part)}, ptr {register}")


def has_gathers(body: Sequence[Store | Reduce]) -> bool:
    """Whether any place in the statements is computed, and so checked."""
    return any(getattr(s, "gathers", ()) or any(load.gathers for load in loads_of(s)) for s in body)


def operands(step: Kernel | Tiles | Contraction) -> list[Operand]:
    """Return what a step works on: buffers, and the constant places in them that it starts at.

    So steps that do the same at other places have the same function.
    """
    written = set(step.written())
    found: dict[Operand, None] = {}
    if isinstance(step, (Tiles, Contraction)):
        for buffer, place in zip((step.a, step.b), step.offsets, strict=True):
            found[buffer, place.const] = None
    for s in step.body:
        found[s.buffer, 0] = None
        for load in loads_of(s):
            found[load.buffer, 0 if load.buffer in written else load.offset.const] = None
    return list(found)


def signature_of(step: Kernel | Tiles | Contraction) -> tuple[str, dict[Operand, str]]:
    """Return the parameters of the function of a step, and the pointer of each operand."""
    pointers = {operand: f"%p{k}" for k, operand in enumerate(operands(step))}
    checked = has_gathers(step.body)
    parameters = [f"ptr noalias nocapture {p}" for p in pointers.values()]
    if checked:
        parameters.append("ptr noalias nocapture %error")
    parameters += ["i64 %first", "i64 %last"]
    return ", ".join(parameters), pointers


def split_of(kernel: Kernel) -> int | None:
    """Return the outermost loop whose turns are independent of each other, if there is one."""
    if 0 in kernel.sizes:
        return None  # results may still have to be filled
    for loop, count in enumerate(kernel.sizes):
        if count > 1 and all(_is_split(s, loop) for s in kernel.body) and _apart(kernel, loop):
            return loop
    return None


def _apart(kernel: Kernel, loop: int) -> bool:
    """Whether no turn of `loop` reads what another one writes."""
    for buffer in kernel.written():
        here = [load for s in kernel.body for load in loads_of(s) if load.buffer is buffer]
        places = {x.offset for x in [*here, *kernel.body] if x.buffer is buffer}
        if any(load.gathers for load in here):
            return False
        steps = {p.step(loop) for p in places}
        ends = [e for p in places for e in _range(p, kernel.sizes, loop)]
        if here and len(places) > 1 and (len(steps) > 1 or max(ends) - min(ends) >= min(steps)):
            return False
    return True


def _range(place: Affine, sizes: Sequence[int], fixed: int) -> tuple[int, int]:
    """Return the first and the last number of a place while the loop `fixed` is at 0."""
    ways = [step * (sizes[loop] - 1) for loop, step in place.terms if loop != fixed]
    return place.const + sum(min(w, 0) for w in ways), place.const + sum(max(w, 0) for w in ways)


def _is_split(s: Store | Reduce, loop: int) -> bool:
    if not s.offset.step(loop):
        return False
    if isinstance(s, Store):
        return not s.add and not s.gathers
    return in_register(s) or s.kept[0] == loop  # so that a share of it lies together


def in_register(s: Reduce) -> bool:
    """Whether all loops that count in the result are outside of those that are combined."""
    return s.kept == tuple(range(len(s.kept)))


def _adds_rows(s: Reduce, last: int) -> bool:
    """Whether the loop around the last one is combined, and the last one is not."""
    return last in s.kept and last - 1 not in s.kept


def start_of(s: Reduce) -> str:
    """Return the literal that a reduction begins with."""
    return number(start_value(s), s.buffer.part)


def start_value(s: Reduce) -> Any:
    """Return what a reduction begins with."""
    dtype, value = s.buffer.part, START[s.combine]
    if s.combine in ("max", "min") and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        value = limits.min if s.combine == "max" else limits.max
    elif dtype.kind == "b" and s.combine in ("max", "min"):
        value = s.combine == "min"
    return value


def combine(code: Code, name: str, dtype: DType, x: str, y: str) -> str:
    """Write one step of a reduction; sums and products of floats may be taken in any order."""
    t = code.type(dtype)
    if dtype.kind == "b":
        return code.let(f"{'or' if name in ('any', 'sum', 'max') else 'and'} {t} {x}, {y}")
    if name in ("max", "min") and dtype.kind == "f":
        return code.intrinsic(f"{name}imum", dtype, [x, y], "nsz ")
    if name in ("max", "min"):
        return SCALARS[f"{name}imum"](code, dtype, [x, y])
    if dtype.kind == "f":
        operation = "fadd" if name == "sum" else "fmul"
        return code.let(f"{operation} reassoc contract nsz {t} {x}, {y}")
    return code.let(f"{'add' if name == 'sum' else 'mul'} {t} {x}, {y}")
