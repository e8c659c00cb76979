"""Matrix products in registers: a tile of the result is summed up, then handed to its readers.

The columns of a panel lie in vector registers; each row of the tile adds the products of one
number of the left matrix with them. The panel of the right matrix is copied first where its rows
do not lie together or are no whole vectors (Goto and van de Geijn, "Anatomy of high-performance
matrix multiplication", 2008).
"""

from __future__ import annotations

import functools
from contextlib import ExitStack

from pullback.native.code import Code, Module, number, type_of
from pullback.native.emit import BodyWriter, signature_of
from pullback.native.engine import vector_bytes
from pullback.native.loops import Reduce
from pullback.native.steps import Tiles


class TilesWriter(BodyWriter):
    """Writes products, with their body, as a function of the pointers to its buffers."""

    def __init__(self, module: Module, step: Tiles, name: str) -> None:
        parameters, pointers = signature_of(step)
        super().__init__(Code(module, name, parameters, "internal void", apart=True), pointers)
        self.step = step
        self.dtype = step.product.dtype
        self.lanes = vector_bytes() // self.dtype.itemsize
        self.vector = f"<{self.lanes} x {type_of(self.dtype)}>"
        # half of the registers would leave the adders waiting; all but a few hold sums
        registers = 24 if vector_bytes() == 64 else 12
        self.vectors = min(2, -(-step.n // self.lanes))
        self.rows = _even_share(step.m, registers // self.vectors)
        self.width = self.vectors * self.lanes
        self.portions = 1

    def write(self) -> None:
        """Write the whole function: panels of columns, in each of them tiles of rows."""
        code, step = self.code, self.step
        for s in step.body:
            if isinstance(s, Reduce):
                self.fill(s)
        self.panel = code.room(self.dtype, step.k * self.width)
        self.tile = code.room(self.dtype, self.rows * self.width)
        with ExitStack() as nest:
            self.batch = [nest.enter_context(code.loop(n)) for n in step.batch]
            self.counters, self.offsets = self.batch, {}
            (a, a_at), (b, b_at) = map(self.base, (step.a, step.b), step.offsets)
            self.a = code.element(self.dtype, a, self.offset(a_at))
            self.b = code.element(self.dtype, b, self.offset(b_at))
            self._product()
        code.finish()

    def _product(self) -> None:
        code, step = self.code, self.step
        full, rest = divmod(step.n, self.width)
        if full:
            with code.loop(full) as j:
                self._panel(code.let(f"mul nuw nsw i64 {j}, {self.width}"), self.width)
        if rest:
            self._panel(str(full * self.width), rest)

    def _panel(self, column: str, width: int) -> None:
        code, step = self.code, self.step
        direct = not step.b_transposed and width % self.lanes == 0 and step.m <= 4 * self.rows
        if not direct:
            self._copy_panel(column, width)
        full, rest = divmod(step.m, self.rows)
        if full:
            with code.loop(full) as i:
                row = code.let(f"mul nuw nsw i64 {i}, {self.rows}")
                self._tile(row, self.rows, column, width, direct)
        if rest:
            self._tile(str(full * self.rows), rest, column, width, direct)

    def _copy_panel(self, column: str, width: int) -> None:
        """Copy the columns of a panel, so that each row lies together, filled up with zeros."""
        code, step = self.code, self.step
        padded = -(-width // self.lanes) * self.lanes

        def copy(k: str, c: str) -> None:
            j = code.let(f"add nuw nsw i64 {column}, {c}")
            source = self._place(j, step.k, k) if step.b_transposed else self._place(k, step.n, j)
            value = code.load(self.dtype, code.element(self.dtype, self.b, source))
            at = code.element(self.dtype, self.panel, self._place(k, self.width, c))
            code.store(self.dtype, value, at)

        if step.b_transposed:  # what is read lies together
            with code.loop(width) as c, code.loop(step.k) as k:
                copy(k, c)
        else:
            with code.loop(step.k) as k, code.loop(width) as c:
                copy(k, c)
        if padded > width:
            with code.loop(step.k) as k, code.loop(padded - width) as missing:
                c = code.let(f"add nuw nsw i64 {missing}, {width}")
                at = code.element(self.dtype, self.panel, self._place(k, self.width, c))
                code.store(self.dtype, number(0, self.dtype), at)

    def _place(self, major: str, length: int, minor: str) -> str:
        start = self.code.let(f"mul nuw nsw i64 {major}, {length}")
        return self.code.let(f"add nuw nsw i64 {start}, {minor}")

    def _tile(self, row: str, rows: int, column: str, width: int, direct: bool) -> None:
        code, step = self.code, self.step
        vectors = -(-width // self.lanes)

        def turn(k: str, sums: list[str]) -> list[str]:
            base, length = (self.b, step.n) if direct else (self.panel, self.width)
            start = self._place(k, length, column if direct else "0")
            at = code.element(self.dtype, base, start)
            right = [self._vector(at, q * self.lanes) for q in range(vectors)]
            new = []
            for r in range(rows):
                i = code.let(f"add nuw nsw i64 {row}, {r}")
                place = (
                    self._place(k, step.m, i) if step.a_transposed else self._place(i, step.k, k)
                )
                left = self._splat(code.load(self.dtype, code.element(self.dtype, self.a, place)))
                for q in range(vectors):
                    new.append(self._fused(left, right[q], sums[r * vectors + q]))
            return new

        zero = ["zeroinitializer"] * (rows * vectors)
        sums = code.fold(step.k, self.vector, zero, turn)
        for r in range(rows):
            for q in range(vectors):
                at = code.element(self.dtype, self.tile, str(r * self.width + q * self.lanes))
                code.line(
                    f"store {self.vector} {sums[r * vectors + q]}, ptr {at}, "
                    f"align {self.dtype.itemsize}"
                )
        with code.loop(rows) as down, code.loop(width) as along:
            self.known, self.offsets = {}, {}
            self.counters = [
                *self.batch,
                code.let(f"add nuw nsw i64 {row}, {down}"),
                code.let(f"add nuw nsw i64 {column}, {along}"),
            ]
            at = code.element(self.dtype, self.tile, self._place(down, self.width, along))
            self.known[step.product] = code.load(self.dtype, at)
            for s in step.body:
                self.statement(s)

    def _vector(self, base: str, offset: int) -> str:
        at = self.code.element(self.dtype, base, str(offset)) if offset else base
        return self.code.let(f"load {self.vector}, ptr {at}, align {self.dtype.itemsize}")

    def _splat(self, x: str) -> str:
        code, t = self.code, type_of(self.dtype)
        one = code.let(f"insertelement {self.vector} poison, {t} {x}, i32 0")
        order = f"<{self.lanes} x i32> zeroinitializer"
        return code.let(f"shufflevector {self.vector} {one}, {self.vector} poison, {order}")

    def _fused(self, x: str, y: str, z: str) -> str:
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.dtype.itemsize}"
        v = self.vector
        self.code.module.declare(name, f"declare {v} @{name}({v}, {v}, {v})")
        return self.code.let(f"call {v} @{name}({v} {x}, {v} {y}, {v} {z})")


@functools.cache
def _even_share(n: int, most: int) -> int:
    """Return the rows of a tile, at most `most`, so that the last tile is about as high."""
    return -(-n // -(-n // most))
