"""What all functions of loops share: the body of a loop, its operands, reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.aval import DType
from pullback.native.code import Code, number
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
)
from pullback.native.narrow import is_narrow
from pullback.native.scalar import INSTRUCTIONS, SCALARS
from pullback.native.steps import Contraction, Tiles

Operand = tuple[Buffer, int]
COUNT = np.dtype(np.int64)
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
    if isinstance(step, Kernel):
        found.update({(fetch.buffer, 0): None for fetch in step.ahead})
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


def in_register(s: Reduce) -> bool:
    """Whether all loops that count in the result are outside of those that are combined."""
    return s.kept == tuple(range(len(s.kept)))


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
