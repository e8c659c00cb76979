"""Sums of products in registers: tiles of rows by vectors, and loops over what is summed up."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from contextlib import ExitStack

from pullback.native.code import Code, Module
from pullback.native.contraction import cut
from pullback.native.emit import signature_of
from pullback.native.loops import Affine, Buffer
from pullback.native.steps import Contraction
from pullback.native.vectors import VectorWriter, column_masks, load_vector

Span = tuple[str, int]
"""Where the turns of a loop that a tile covers begin, and how many these are."""


class ContractionWriter(VectorWriter):
    """Writes a contraction as a function of the pointers to its buffers.

    The function does the portions `first` to before `last` of its `cut`.
    """

    def __init__(self, module: Module, step: Contraction, name: str) -> None:
        parameters, pointers = signature_of(step)
        self.cut = cut(step)
        lanes = self.cut.lanes
        code = Code(module, name, parameters, "internal void", lanes, "noinline")
        super().__init__(code, pointers)
        self.step, self.dtype, self.last = step, step.product.dtype, len(step.sizes) - 1
        self.portions = self.cut.portions
        self.counters = ["0"] * len(step.sizes)

    def write(self) -> None:
        """Write the whole function: the loops around the tiles, and these."""
        code, step, rows = self.code, self.step, dict(self.cut.rows)
        with ExitStack() as nest:
            if step.adds:
                self.counters.append(nest.enter_context(code.loop(step.summed[0])))
            for loop in range(self.last):
                if loop not in rows:
                    turns = code.turns(step.sizes[loop], loop == self.cut.split)
                    self.counters[loop] = nest.enter_context(turns)
            panels = -(-step.sizes[self.last] // self.cut.width)
            panel = nest.enter_context(code.turns(panels, self.last == self.cut.split))
            self.column = code.times(panel, self.cut.width)
            self.masks = column_masks(code, step.sizes[self.last], self.cut.width, self.column)
            self._tiles([])
        code.finish()

    def _tiles(self, spans: list[Span]) -> None:
        """Write the loops over the tiles, of which some loops of rows are fixed."""
        if len(spans) == len(self.cut.rows):
            self._tile(spans)
            return
        code, (loop, length) = self.code, self.cut.rows[len(spans)]
        full, rest = divmod(self.step.sizes[loop], length)
        mine = loop == self.cut.split
        if full:
            ends = "%first", code.least("%last", str(full))
            with code.span(*ends) if mine else code.loop(full) as tile:
                self._tiles([*spans, (code.times(tile, length), length)])
        if rest and mine:
            with code.span(code.most("%first", str(full)), "%last"):  # a share of nothing, too
                self._tiles([*spans, (str(full * length), rest)])
        elif rest:
            self._tiles([*spans, (str(full * length), rest)])

    def _tile(self, spans: Sequence[Span]) -> None:
        """Write one tile: its sums, and the body for each of its vectors."""
        step, loops = self.step, [loop for loop, _ in self.cut.rows]
        turns = list(itertools.product(*(range(count) for _, count in spans)))
        for loop, (start, _) in zip(loops, spans, strict=True):
            self.counters[loop] = start
        self.counters[self.last], self.offsets = self.column, {}
        a, b = map(self._start, (step.a, step.b), step.offsets)
        steps = [step.offsets[0].step(loop) for loop in loops]
        self.rows = [sum(map(operator.mul, turn, steps)) for turn in turns]
        zeros = ["zeroinitializer"] * (len(turns) * self.cut.vectors)
        sums = iter(self._summed(int(step.adds), zeros, a, b))
        for turn in turns:
            for loop, (start, _), k in zip(loops, spans, turn, strict=True):
                self.counters[loop] = self._further(start, k)
            for q, mask in enumerate(self.masks):
                self.counters[self.last] = self._further(self.column, q * self.cut.lanes)
                self.offsets, self.known, self.mask = {}, {step.product: next(sums)}, mask
                for s in step.body:
                    self.statement(s)

    def _start(self, buffer: Buffer, place: Affine) -> str:
        """Return the address of what the first turn of all inner loops reads."""
        base, place = self.base(buffer, place)
        outer = tuple(term for term in place.terms if term[0] < len(self.counters))
        return self.code.element(self.dtype, base, self.offset(Affine(place.const, outer)))

    def _further(self, start: str, count: int) -> str:
        return self.code.let(f"add nuw nsw i64 {start}, {count}") if count else start

    def _summed(self, depth: int, sums: list[str], a: str, b: str) -> list[str]:
        """Write the summed loops from `depth` on, which add to `sums`; return these."""
        code, step = self.code, self.step
        if depth == len(step.summed):
            return self._turn(sums, a, b)
        moves = [place.step(len(step.sizes) + depth) for place in step.offsets]

        def turn(k: str, carried: list[str]) -> list[str]:
            at = [
                code.element(self.dtype, start, code.let(f"mul nsw i64 {k}, {move}"))
                for start, move in zip((a, b), moves, strict=True)
            ]
            return self._summed(depth + 1, carried, *at)

        return code.fold(step.summed[depth], code.type(self.dtype), sums, turn)

    def _turn(self, sums: list[str], a: str, b: str) -> list[str]:
        """Add the products of one number for each row with the vectors of `b`."""
        code, vectors = self.code, self.cut.vectors
        right = [
            load_vector(code, self.dtype, self._vector(b, q), mask)
            for q, mask in enumerate(self.masks)
        ]
        new = []
        for r, offset in enumerate(self.rows):
            one = code.load(self.dtype, code.element(self.dtype, a, str(offset)))
            x = code.splat(self.dtype, one)
            for y, total in zip(right, sums[r * vectors : (r + 1) * vectors], strict=True):
                new.append(code.intrinsic("fmuladd", self.dtype, [x, y, total]))
        return new

    def _vector(self, pointer: str, q: int) -> str:
        return self.code.element(self.dtype, pointer, str(q * self.cut.lanes)) if q else pointer
