"""Matrix products in registers: a tile of the result is summed up, then handed to its readers.

The columns of a panel lie in vector registers; each row of the tile adds the products of one
number of the left matrix with them. The panel of the right matrix is copied first where it is
read often, or its rows do not lie together (Goto and van de Geijn, "Anatomy of high-performance
matrix multiplication", 2008).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from pullback.native.code import Code, Module
from pullback.native.emit import signature_of, start_of, start_value
from pullback.native.loops import Reduce, operations
from pullback.native.rounding import PAIR
from pullback.native.steps import Tiles
from pullback.native.tiling import tiling
from pullback.native.vectors import (
    VectorWriter,
    column_masks,
    first_lanes,
    load_vector,
    store_vector,
    transposed,
)

LARGEST_UNROLLED = 160
"""Expressions of a body for all vectors of a tile, up to which each has its own instructions."""

DIRECT_TILES = 20
"""Tiles of rows up to which a panel is read where it lies: a copy would not pay."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Columns of the right matrix: where the first row begins, and how far apart the rows are."""

    start: str
    step: int
    masks: list[str | None]


class TilesWriter(VectorWriter):
    """Writes products, with their body, as a function of the pointers to its buffers.

    The function does the portions `first` to before `last` of its `tiling`.
    """

    def __init__(self, module: Module, step: Tiles, name: str) -> None:
        parameters, pointers = signature_of(step)
        self.tiling = tiling(step)
        lanes = self.tiling.lanes
        code = Code(module, name, parameters, "internal void", lanes, "noinline")
        super().__init__(code, pointers)
        self.step, self.dtype, self.lanes = step, step.product.dtype, lanes
        self.last = len(step.sizes) - 1
        self.reduces = [s for s in step.body if isinstance(s, Reduce)]
        self.portions = self.tiling.portions
        self.in_pairs = step.a.dtype == PAIR
        self.turns = -(-step.k // 2) if self.in_pairs else step.k

    def write(self) -> None:
        """Write the whole function: panels of columns, in each of them tiles of rows."""
        code, step, shape = self.code, self.step, self.tiling
        for s in self.reduces:
            self._begin(s)
        self.copied = not step.rounded and (step.b_transposed or shape.together > DIRECT_TILES)
        if self.copied:
            self.panel = code.room(self.dtype, step.k * shape.width)
        self.unrolled = operations(step.body) * shape.rows * shape.vectors <= LARGEST_UNROLLED
        if not self.unrolled:
            self.tile = code.room(self.dtype, shape.rows * shape.width)
        with ExitStack() as nest:
            self.batch = [
                nest.enter_context(code.turns(n, k == shape.split))
                for k, n in enumerate(step.batch)
            ]
            self.counters, self.offsets = self.batch, {}
            (a, a_at), (b, b_at) = map(self.base, (step.a, step.b), step.offsets)
            self.a = code.element(self.dtype, a, self.offset(a_at))
            self.b = code.element(self.dtype, b, self.offset(b_at))
            with code.loop(-(-shape.tiles // shape.together)) as block:
                first = code.times(block, shape.together)
                last = code.let(f"add nuw nsw i64 {first}, {shape.together}")
                if shape.split == self.last - 1:
                    first, last = code.most(first, "%first"), code.least(last, "%last")
                with code.turns(-(-step.n // shape.width), self.last == shape.split) as j:
                    self._columns(code.times(j, shape.width), first, last)
        code.finish()

    def _begin(self, s: Reduce) -> None:
        """Write the start of a reduction to the part of its buffer that the portions write."""
        code, shape = self.code, self.tiling
        length = {self.last: shape.width, self.last - 1: shape.rows}
        with ExitStack() as nest:
            self.counters, self.offsets = ["0"] * len(self.step.sizes), {}
            for loop in s.kept:
                size = self.step.sizes[loop]
                if loop == shape.split:
                    first, last = (code.times(c, length.get(loop, 1)) for c in ("%first", "%last"))
                    turns = code.span(first, code.least(last, str(size)))
                else:
                    turns = code.loop(size)
                self.counters[loop] = nest.enter_context(turns)
            at = code.element(s.buffer.part, self.pointers[s.buffer, 0], self.offset(s.offset))
            code.store(s.buffer.part, start_of(s), at)

    def _columns(self, column: str, first: str, last: str) -> None:
        """Write the tiles of one panel, from `first` to before `last`."""
        code, step, rows = self.code, self.step, self.tiling.rows
        self.column = column
        self.masks = column_masks(code, step.n, self.tiling.width, column)
        if self.copied:
            panel = self._copy_panel()
        elif step.rounded:
            start = code.element(self.dtype, self.b, code.times(column, self.turns))
            panel = Panel(start, self.tiling.width, [None] * self.tiling.vectors)
        else:
            panel = Panel(code.element(self.dtype, self.b, column), step.b_step, self.masks)
        full, rest = divmod(step.m, rows)
        if full:
            with code.span(first, code.least(last, str(full))) as i:
                self._tile(code.times(i, rows), rows, panel)
        if rest:
            with code.span(code.most(first, str(full)), code.least(last, str(full + 1))):
                self._tile(str(full * rows), rest, panel)

    def _copy_panel(self) -> Panel:
        """Copy the columns of a panel, so that its rows follow each other."""
        code, step, width = self.code, self.step, self.tiling.width
        if step.b_transposed:
            self._copy_transposed()
        else:
            start = code.element(self.dtype, self.b, self.column)
            with code.loop(step.k) as k:
                source = code.element(self.dtype, start, code.times(k, step.b_step))
                target = code.element(self.dtype, self.panel, code.times(k, width))
                for q, mask in enumerate(self.masks):
                    x = load_vector(code, self.dtype, self._moved_by(source, q), mask)
                    store_vector(code, self.dtype, x, self._moved_by(target, q), None)
        return Panel(self.panel, width, [None] * self.tiling.vectors)

    def _copy_transposed(self) -> None:
        """Copy the columns of a panel, which lie together in memory, square by square."""
        code, step, lanes, vectors = self.code, self.step, self.lanes, self.tiling.vectors

        def square(k: str, count: int, q: str) -> None:
            across = code.let(f"add nuw nsw i64 {self.column}, {code.times(q, lanes)}")
            rows = []
            for c in range(lanes):
                j = code.let(f"add nuw nsw i64 {across}, {c}")
                j = j if step.n % self.tiling.width == 0 else code.least(j, str(step.n - 1))
                at = code.let(f"add nuw nsw i64 {code.times(j, step.b_step)}, {k}")
                at = code.element(self.dtype, self.b, at)
                rows.append(load_vector(code, self.dtype, at, first_lanes(code, count)))
            at = code.let(f"add nuw nsw i64 {code.times(k, vectors)}, {q}")
            target = code.element(self.dtype, self.panel, code.times(at, lanes))
            for c, x in enumerate(transposed(code, self.dtype, rows)[:count]):
                store_vector(code, self.dtype, x, self._moved_by(target, c * vectors), None)

        full, rest = divmod(step.k, lanes)
        with code.loop(vectors) as q:
            if full:
                with code.loop(full) as k:
                    square(code.times(k, lanes), lanes, q)
            if rest:
                square(str(full * lanes), rest, q)

    def _moved_by(self, pointer: str, vectors: int) -> str:
        """Return the address so many vectors further on."""
        if not vectors:
            return pointer
        return self.code.element(self.dtype, pointer, str(vectors * self.lanes))

    def _tile(self, row: str, rows: int, panel: Panel) -> None:
        """Write one tile: its sums, and the body for each of its vectors."""
        code, step, vectors = self.code, self.step, self.tiling.vectors
        if step.packed:
            between, row_step, k_step = self.turns, 1, rows
        else:
            row_step, k_step = (1, step.a_step) if step.a_transposed else (step.a_step, 1)
            between = row_step
        left = code.element(self.dtype, self.a, code.times(row, between))

        def turn(k: str, sums: list[str]) -> list[str]:
            at = code.element(self.dtype, panel.start, code.times(k, panel.step))
            right = [
                load_vector(code, self.dtype, self._moved_by(at, q), mask)
                for q, mask in enumerate(panel.masks)
            ]
            at = code.element(self.dtype, left, code.times(k, k_step))
            new = []
            for r in range(rows):
                one = code.load(self.dtype, code.element(self.dtype, at, str(r * row_step)))
                x = code.splat(self.dtype, one)
                for y, total in zip(right, sums[r * vectors : (r + 1) * vectors], strict=True):
                    new.append(self._with_product(x, y, total))
            return new

        zero = ["zeroinitializer"] * (rows * vectors)
        self._finish(row, rows, code.fold(self.turns, code.type(self.dtype), zero, turn))

    def _with_product(self, x: str, y: str, total: str) -> str:
        """Return `total` with the products of two vectors, or those of their pairs, added to it."""
        code = self.code
        if not self.in_pairs:
            return code.intrinsic("fmuladd", self.dtype, [x, y, total])
        t, pairs = code.type(self.dtype), f"<{2 * self.lanes} x bfloat>"
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        code.module.declare(name, f"declare {t} @{name}({t}, {pairs}, {pairs})")
        x, y = (code.let(f"bitcast {t} {z} to {pairs}") for z in (x, y))
        return code.let(f"call {t} @{name}({t} {total}, {pairs} {x}, {pairs} {y})")

    def _finish(self, row: str, rows: int, sums: list[str]) -> None:
        """Write the body for the vectors of a tile, and what it adds up."""
        code, vectors = self.code, self.tiling.vectors
        above = [s for s in self.reduces if self.last - 1 not in s.kept]
        within = [s for s in self.reduces if self.last - 1 in s.kept]
        registers = {s: self._registers(s) for s in self.reduces}

        def one_row(i: str, values: list[str]) -> None:
            self._start(within, registers)
            for q, value in enumerate(values):
                self._place(i, q)
                self.known = {self.step.product: value}
                for s in self.step.body:
                    if isinstance(s, Reduce):
                        self.accumulate(s, registers[s][q])
                    else:
                        self.statement(s)
            self._merge(within, registers, i)

        apart = any(self.masks)  # a masked store keeps loads waiting that begin in its other lanes
        self._start(above, registers)
        if self.unrolled:
            for down in (*range(0, rows, 2), *range(1, rows, 2)) if apart else range(rows):
                i = code.let(f"add nuw nsw i64 {row}, {down}")
                one_row(i, sums[down * vectors : (down + 1) * vectors])
        else:
            for k, total in enumerate(sums):
                store_vector(code, self.dtype, total, self._moved_by(self.tile, k), None)
            with code.loop(rows) as r:
                r = self._every_other(r, rows) if apart else r
                at = code.element(self.dtype, self.tile, code.times(r, self.tiling.width))
                values = [
                    load_vector(code, self.dtype, self._moved_by(at, q), None)
                    for q in range(vectors)
                ]
                one_row(code.let(f"add nuw nsw i64 {row}, {r}"), values)
        self._merge(above, registers, row)

    def _every_other(self, turn: str, rows: int) -> str:
        """Return the row of a turn: even rows come first, then the odd ones."""
        code = self.code
        even = code.times(turn, 2)
        odd = code.let(f"sub nsw i64 {even}, {(rows - 1) | 1}")
        is_even = code.let(f"icmp ult i64 {even}, {rows}")
        return code.let(f"select i1 {is_even}, i64 {even}, i64 {odd}")

    def _place(self, row: str, q: int) -> None:
        """Go to a vector of the result."""
        column = self.code.let(f"add nuw nsw i64 {self.column}, {q * self.lanes}")
        self.counters, self.offsets = [*self.batch, row, column], {}
        self.mask = self.masks[q]

    def _registers(self, s: Reduce) -> list[str]:
        """Return where each vector of a row is added to: columns apart, or all together."""
        if self.last in s.kept:
            return [self.code.variable(s.buffer.part) for _ in self.masks]
        return [self.code.variable(s.buffer.part)] * len(self.masks)

    def _start(self, reduces: list[Reduce], registers: dict[Reduce, list[str]]) -> None:
        code = self.code
        for s in reduces:
            t, start = code.type(s.buffer.part), code.number(start_value(s), s.buffer.part)
            for register in dict.fromkeys(registers[s]):
                code.line(f"store {t} {start}, ptr {register}")

    def _merge(self, reduces: list[Reduce], registers: dict[Reduce, list[str]], row: str) -> None:
        """Combine what was added up with the numbers in memory."""
        for s in reduces:
            for q, register in enumerate(dict.fromkeys(registers[s])):
                total = self.code.let(f"load {self.code.type(s.buffer.part)}, ptr {register}")
                self._place(row, q)
                if self.last in s.kept:
                    self.merge(s.combine, s.buffer, self.offset(s.offset), total)
                else:
                    self.merge_lanes(s, total)
