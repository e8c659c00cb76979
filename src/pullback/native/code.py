"""Writing LLVM's assembly: one function at a time, as text, with typed helpers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import numpy as np

from pullback.core.aval import DType
from pullback.native.narrow import SINGLE, is_narrow, narrowed, widened

_FLOATS = {4: "float", 8: "double"}
BOOL = np.dtype(bool)


def type_of(dtype: DType) -> str:
    """Return LLVM's type of a value of `dtype` in a register.

    >>> import numpy as np
    >>> type_of(np.dtype("f4")), type_of(np.dtype(bool)), type_of(np.dtype("u2"))
    ('float', 'i1', 'i16')
    """
    if dtype.kind == "f" and dtype.itemsize in _FLOATS:
        return _FLOATS[dtype.itemsize]
    # what there is no arithmetic for, complex numbers say, is copied as bits
    return "i1" if dtype.kind == "b" else f"i{8 * dtype.itemsize}"


def memory_type(dtype: DType) -> str:
    """Return LLVM's type of a value of `dtype` in memory: booleans are bytes."""
    return "i8" if dtype.kind == "b" else type_of(dtype)


def number(value: Any, dtype: DType) -> str:
    """Return the literal `value`, exactly.

    >>> import numpy as np
    >>> number(1.5, np.dtype("f8")), number(7, np.dtype("i4")), number(True, np.dtype(bool))
    ('0x3FF8000000000000', '7', 'true')
    """
    if is_narrow(dtype):
        return str(np.asarray(value, dtype).view(np.uint16))
    if dtype.kind == "f":
        bits = struct.unpack("<Q", struct.pack("<d", float(dtype.type(value))))[0]
        return f"0x{bits:016X}"
    if dtype.kind == "b":
        return "true" if value else "false"
    return str(int(value))


def vector_type(type_: str, lanes: int) -> str:
    """Return LLVM's type of `lanes` values side by side; of one value, its own type."""
    return f"<{lanes} x {type_}>" if lanes > 1 else type_


class Module:
    """The functions of a module, and what they need declared or defined."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.declarations: dict[str, str] = {}
        self.math: dict[tuple[str, DType, int, bool], None] = {}

    def declare(self, name: str, text: str) -> str:
        """Declare the function `name` once; return it."""
        self.declarations.setdefault(name, text)
        return name

    def __str__(self) -> str:
        return "\n\n".join([*self.functions, "\n".join(self.declarations.values())]) + "\n"


class Code:
    """The instructions of one function under construction.

    Where `lanes` is more than 1, values are vectors: that many elements are computed at once.
    """

    def __init__(
        self, module: Module, name: str, parameters: str, result: str = "void", lanes: int = 1,
        inline: Literal["", "noinline", "alwaysinline"] = "",
    ) -> None:  # fmt: skip
        self.module, self.lanes = module, lanes
        self._head = f"define {result} @{name}({parameters}) #0 {inline} {{"
        self._lines = ["entry:"]
        self._entry: list[str] = []
        self._count = 0
        self.block = "entry"
        self.known: str | None = None  # where to tell whether no library has to be asked

    def finish(self, result: str = "ret void") -> None:
        """Add the function to its module."""
        self.line(result)
        body = [self._lines[0], *self._entry, *self._lines[1:]]
        self.module.functions.append("\n".join([self._head, *body, "}"]))

    def line(self, text: str) -> None:
        """Write one instruction that has no result."""
        self._lines.append(f"  {text}")

    def let(self, text: str) -> str:
        """Write one instruction and return the name of its result."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {text}")
        return name

    def label(self, stem: str) -> str:
        """Return a new label."""
        self._count += 1
        return f"{stem}{self._count}"

    def begin(self, label: str) -> None:
        """Begin the block `label`."""
        self._lines.append(f"{label}:")
        self.block = label

    @contextmanager
    def loop(self, count: int, abreast: int = 0) -> Iterator[str]:
        """Write a loop of a known count of 1 or more; the name of its counter is given.

        LLVM's vectoriser takes so many vectors `abreast` in a turn; 0 leaves that to it.
        """
        before, head, done = self.block, self.label("loop"), self.label("done")
        counter, following = f"%i.{head}", f"%n.{head}"
        self.line(f"br label %{head}")
        self.begin(head)
        at = len(self._lines)
        yield counter
        end = self.block
        self._lines.insert(at, f"  {counter} = phi i64 [0, %{before}], [{following}, %{end}]")
        self.line(f"{following} = add nuw nsw i64 {counter}, 1")
        again = self.let(f"icmp ult i64 {following}, {count}")
        self.line(f"br i1 {again}, label %{head}, label %{done}{self._hint(abreast)}")
        self.begin(done)

    def _hint(self, abreast: int) -> str:
        """Return the mark of a loop whose vectors go side by side."""
        if not abreast:
            return ""
        loop, property_ = 2 * abreast, 2 * abreast + 1
        self.module.declare(f"!{loop}", f"!{loop} = distinct !{{!{loop}, !{property_}}}")
        text = f'!{property_} = !{{!"llvm.loop.interleave.count", i32 {abreast}}}'
        self.module.declare(f"!{property_}", text)
        return f", !llvm.loop !{loop}"

    @contextmanager
    def span(self, first: str, last: str, abreast: int = 0) -> Iterator[str]:
        """Write a loop from `first` to before `last`, which are known when it runs, if at all."""
        before, head, inside, done = self.block, *map(self.label, ("span", "turn", "done"))
        counter, following = f"%i.{head}", f"%n.{head}"
        self.line(f"br label %{head}")
        self.begin(head)
        at = len(self._lines)
        goes_on = self.let(f"icmp slt i64 {counter}, {last}")
        self.line(f"br i1 {goes_on}, label %{inside}, label %{done}")
        self.begin(inside)
        yield counter
        end = self.block
        self._lines.insert(at, f"  {counter} = phi i64 [{first}, %{before}], [{following}, %{end}]")
        self.line(f"{following} = add nsw i64 {counter}, 1")
        self.line(f"br label %{head}{self._hint(abreast)}")
        self.begin(done)

    def turns(self, count: int, shared: bool, abreast: int = 0) -> AbstractContextManager[str]:
        """Write a loop over all its turns, or where it is `shared`, over %first to before %last."""
        return self.span("%first", "%last", abreast) if shared else self.loop(count, abreast)

    def fold(
        self, count: int, type_: str, start: Sequence[str],
        body: Callable[[str, list[str]], list[str]],
    ) -> list[str]:  # fmt: skip
        """Write a loop that carries values of one type: `body(counter, values)` gives the next."""
        before = self.block
        with self.loop(count) as counter:
            at, carried = len(self._lines), [f"%c{k}.{self.block}" for k in range(len(start))]
            new = body(counter, carried)
            self._lines[at:at] = [
                f"  {name} = phi {type_} [{a}, %{before}], [{b}, %{self.block}]"
                for name, a, b in zip(carried, start, new, strict=True)
            ]
        return new

    def repeat(
        self, types: Sequence[str], start: Sequence[str],
        holds: Callable[[list[str]], str], body: Callable[[list[str]], list[str]],
    ) -> list[str]:  # fmt: skip
        """Write a loop that runs as long as `holds(values)`; return its last values."""
        before, head, inside, done = self.block, *map(self.label, ("while", "do", "done"))
        self.line(f"br label %{head}")
        self.begin(head)
        at, carried = len(self._lines), [f"%c{k}.{head}" for k in range(len(start))]
        goes_on = holds(carried)
        self.line(f"br i1 {goes_on}, label %{inside}, label %{done}")
        self.begin(inside)
        new = body(carried)
        self._lines[at:at] = [
            f"  {name} = phi {t} [{a}, %{before}], [{b}, %{self.block}]"
            for name, t, a, b in zip(carried, types, start, new, strict=True)
        ]
        self.line(f"br label %{head}")
        self.begin(done)
        return carried

    def choose(self, index: str, branches: Sequence[Callable[[], None]]) -> None:
        """Write a choice by an i64; the last branch is for all that no other is for."""
        labels, done = [self.label("case") for _ in branches], self.label("chosen")
        cases = " ".join(f"i64 {k}, label %{name}" for k, name in enumerate(labels[:-1]))
        self.line(f"switch i64 {index}, label %{labels[-1]} [{cases}]")
        for name, branch in zip(labels, branches, strict=True):
            self.begin(name)
            branch()
            self.line(f"br label %{done}")
        self.begin(done)

    def room(self, dtype: DType, size: int) -> str:
        """Return the address of `size` elements on the stack, aligned for vectors."""
        self._count += 1
        name = f"%s{self._count}"
        self._entry.append(f"  {name} = alloca [{size} x {memory_type(dtype)}], align 64")
        return name

    def variable(self, dtype: DType, start: Any = None) -> str:
        """Return a place on the stack, which LLVM turns into a register; it may hold a number."""
        self._count += 1
        name = f"%s{self._count}"
        self._entry.append(f"  {name} = alloca {self.type(dtype)}")
        if start is not None:
            value = self.number(start, dtype)
            self._entry.append(f"  store {self.type(dtype)} {value}, ptr {name}")
        return name

    # values

    def type(self, dtype: DType) -> str:
        """Return LLVM's type of a value of `dtype`."""
        return vector_type(type_of(dtype), self.lanes)

    def number(self, value: Any, dtype: DType) -> str:
        """Return a literal, in every lane."""
        one = number(value, dtype)
        if self.lanes == 1:
            return one
        return f"<{', '.join([f'{type_of(dtype)} {one}'] * self.lanes)}>"

    def binary(self, name: str, dtype: DType, x: str, y: str) -> str:
        """Write a binary instruction; products and sums of floats may become one."""
        flags = " contract" if name in ("fadd", "fsub", "fmul") else ""
        return self.let(f"{name}{flags} {self.type(dtype)} {x}, {y}")

    def select(self, condition: str, dtype: DType, x: str, y: str) -> str:
        """Write a choice without a branch."""
        t = self.type(dtype)
        return self.let(f"select {self.type(BOOL)} {condition}, {t} {x}, {t} {y}")

    def truth(self, dtype: DType, x: str) -> str:
        """Return whether `x` is not zero."""
        if dtype.kind == "b":
            return x
        if dtype.kind == "f":
            return self.let(f"fcmp une {self.type(dtype)} {x}, {self.number(0, dtype)}")
        return self.let(f"icmp ne {self.type(dtype)} {x}, {self.number(0, dtype)}")

    def intrinsic(self, name: str, dtype: DType, args: list[str], flags: str = "") -> str:
        """Call LLVM's own function `name`; the flags end in a space."""
        t, full = self.type(dtype), f"llvm.{name}.{self._suffix(dtype)}"
        self.module.declare(full, f"declare {t} @{full}({', '.join([t] * len(args))})")
        return self.let(f"call {flags}{t} @{full}({', '.join(f'{t} {a}' for a in args)})")

    def _suffix(self, dtype: DType) -> str:
        """Return how LLVM's own functions of values of `dtype` end."""
        one = f"f{8 * dtype.itemsize}" if dtype.kind == "f" else type_of(dtype)
        return f"v{self.lanes}{one}" if self.lanes > 1 else one

    def ldexp(self, dtype: DType, x: str, exponent: str) -> str:
        """Write x * 2**exponent, which is rounded once; the exponent is an integer as wide."""
        whole = np.dtype(f"i{dtype.itemsize}")
        t, u = self.type(dtype), self.type(whole)
        full = f"llvm.ldexp.{self._suffix(dtype)}.{self._suffix(whole)}"
        self.module.declare(full, f"declare {t} @{full}({t}, {u})")
        return self.let(f"call {t} @{full}({t} {x}, {u} {exponent})")

    def cast(self, x: str, source: DType, target: DType) -> str:
        """Cast `x` as NumPy's astype does."""
        if source == target:
            return x
        if is_narrow(source):
            return self.cast(widened(self, x, source), SINGLE, target)
        if is_narrow(target):
            return narrowed(self, self.cast(x, source, SINGLE), target)
        if target.kind == "b":
            return self.truth(source, x)
        t, u = self.type(source), self.type(target)
        if source.kind == "b":
            if target.kind == "f":
                return self.let(f"uitofp {t} {x} to {u}")
            return self.let(f"zext {t} {x} to {u}")
        if source.kind == "f" and target.kind == "f":
            return self.let(
                f"{'fpext' if target.itemsize > source.itemsize else 'fptrunc'} {t} {x} to {u}"
            )
        if source.kind == "f":
            return self._whole(x, source, target)
        if target.kind == "f":
            return self.let(f"{'sitofp' if source.kind == 'i' else 'uitofp'} {t} {x} to {u}")
        if target.itemsize == source.itemsize:
            return x
        if target.itemsize < source.itemsize:
            return self.let(f"trunc {t} {x} to {u}")
        return self.let(f"{'sext' if source.kind == 'i' else 'zext'} {t} {x} to {u}")

    def _whole(self, x: str, source: DType, target: DType) -> str:
        """Cast a float to an integer, by way of a wider one, so that negative numbers wrap.

        One that the wider one cannot hold becomes some number: LLVM itself would not promise that.
        """
        t, u = self.type(source), self.type(target)
        wide = {1: "i32", 2: "i32", 4: "i32" if target.kind == "i" else "i64", 8: "i64"}
        between = vector_type(wide[target.itemsize], self.lanes)
        whole = self.let(f"freeze {between} {self.let(f'fptosi {t} {x} to {between}')}")
        if target.itemsize == 8 and target.kind == "u":
            large = self.let(f"freeze {u} {self.let(f'fptoui {t} {x} to {u}')}")
            below = self.let(f"fcmp olt {t} {x}, {self.number(0, source)}")
            return self.select(below, target, whole, large)
        return whole if between == u else self.let(f"trunc {between} {whole} to {u}")

    def load(self, dtype: DType, pointer: str) -> str:
        """Load one element."""
        t = memory_type(dtype)
        value = self.let(f"load {t}, ptr {pointer}, align {dtype.alignment}")
        return self.let(f"icmp ne i8 {value}, 0") if dtype.kind == "b" else value

    def store(self, dtype: DType, value: str, pointer: str) -> None:
        """Store one element."""
        if dtype.kind == "b":
            value = self.let(f"zext i1 {value} to i8")
        self.line(f"store {memory_type(dtype)} {value}, ptr {pointer}, align {dtype.alignment}")

    def times(self, count: str, factor: int) -> str:
        """Return a count multiplied."""
        return count if factor == 1 else self.let(f"mul nuw nsw i64 {count}, {factor}")

    def least(self, x: str, y: str) -> str:
        """Return the smaller one of two counts."""
        return self.let(f"select i1 {self.let(f'icmp ult i64 {x}, {y}')}, i64 {x}, i64 {y}")

    def most(self, x: str, y: str) -> str:
        """Return the larger one of two counts."""
        return self.let(f"select i1 {self.let(f'icmp ugt i64 {x}, {y}')}, i64 {x}, i64 {y}")

    def splat(self, dtype: DType, x: str) -> str:
        """Return one number in every lane."""
        t = self.type(dtype)
        one = self.let(f"insertelement {t} poison, {type_of(dtype)} {x}, i32 0")
        order = f"<{self.lanes} x i32> zeroinitializer"
        return self.let(f"shufflevector {t} {one}, {t} poison, {order}")

    def shuffle(self, dtype: DType, x: str, y: str, order: Sequence[int]) -> str:
        """Return the lanes of `x`, and after them those of `y`, in another order."""
        t = self.type(dtype)
        lanes = ", ".join(f"i32 {k}" for k in order)
        return self.let(f"shufflevector {t} {x}, {t} {y}, <{len(order)} x i32> <{lanes}>")

    def element(self, dtype: DType, pointer: str, offset: str) -> str:
        """Return the address of an element."""
        return self.let(f"getelementptr inbounds {memory_type(dtype)}, ptr {pointer}, i64 {offset}")
