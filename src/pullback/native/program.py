"""A compiled graph: its stages, its machine code, and the memory it runs in."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.graph import Graph
from pullback.native import binding, blas, cache, memory
from pullback.native.code import Code, Module
from pullback.native.emit import KernelWriter, has_gathers, operands
from pullback.native.engine import Compilation, Loaded
from pullback.native.join import join_products
from pullback.native.loops import Buffer, Kernel
from pullback.native.lower import Lowered, lower
from pullback.native.simplify_loops import tidy
from pullback.native.steps import Matmul, Python, Step, Tiles
from pullback.native.tiles import TilesWriter
from pullback.native.vectormath import define_used

ERROR, ARENA, FIRST = 0, 1, 2
"""Entries of the table of pointers; from FIRST on, those of the buffers."""


class NativeProgram:
    """Runs a graph as machine code; safe to call from several threads at once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lowered: Lowered = lower(graph)
        joined = join_products(self.lowered.steps)
        self.steps = [tidy(s) if isinstance(s, Kernel) else s for s in joined]
        self.plan = memory.plan(self.steps)
        own = [(n, b) for n, b in self._results() if b.kind == "result"]
        self.made = [(node.shape, node.dtype) for node, _ in own]
        self.slots = self._number_slots([b for _, b in own])
        self.constants = {
            b: np.ascontiguousarray(b.value) for b in self.slots if b.kind == "constant"
        }
        self._names: dict[str, str] = {}
        self.addresses: dict[Any, int] = {}  # entries after the buffers' for what lies elsewhere
        names, self.llvm = self._assemble()
        self._code = Loaded(_object_file(self.llvm))
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.segments = [call(self._code.address(s)) if isinstance(s, str) else s for s in names]
        alone = len(own) == len(self.lowered.results) and all(isinstance(s, str) for s in names)
        self.whole = (self.segments or [lambda table: None])[0] if alone else None
        self.bind = binding.function(self._code.address("bind")) if binding.supported() else None
        self._pool: list[_Frame] = []

    def __call__(self, leaves: Sequence[Any]) -> list[Any]:
        results = self.exactly(tuple(leaves), converted=True)
        assert results is not None
        return results

    def exactly(self, leaves: tuple[Any, ...], converted: bool = False) -> list[Any] | None:
        """Run on arrays of the very signature; for others return None, or convert them."""
        if len(leaves) != len(self.lowered.arguments):
            return None
        try:
            frame = self._pool.pop()  # atomic, so that no two threads get the same memory
        except IndexError:
            frame = _Frame(self)
        results = frame.run(leaves, converted)
        self._pool.append(frame)
        return results

    def _results(self) -> list[tuple[Any, Buffer]]:
        return list(zip(self.graph.results, self.lowered.results, strict=True))

    def _number_slots(self, made: list[Buffer]) -> dict[Buffer, int]:
        """Give each buffer outside of the arena its place in the table of pointers."""
        outside = dict.fromkeys([*self.lowered.arguments, *made])
        for step in self.steps:
            outside.update(dict.fromkeys(b for b in step.buffers() if b.kind != "arena"))
        return {b: k for k, b in enumerate(outside, FIRST)}

    def _assemble(self) -> tuple[list[Any], str]:
        module = Module()
        segments: list[Any] = []
        pending: list[tuple[int, Step]] = []
        for k, step in enumerate(self.steps):
            if isinstance(step, Python):
                self._segment(module, segments, pending)
                segments.append(step)
            else:
                pending.append((k, step))
        self._segment(module, segments, pending)
        signature = [node.aval for node in self.graph.arguments]
        signature += [Aval(shape, dtype) for shape, dtype in self.made]
        binding.write(module, "bind", signature, FIRST, self._slot_of)
        define_used(module)
        module.declarations["attributes"] = (
            'attributes #0 = { nounwind "prefer-vector-width"="512" }\n'
            "attributes #1 = { nounwind memory(none) }"
        )
        return segments, str(module)

    def _slot_of(self, x: Any) -> int:
        """Return the entry of the table for the address of a Python object or a routine's name."""
        return self.addresses.setdefault(x, FIRST + len(self.slots) + len(self.addresses))

    def _segment(self, module: Module, segments: list[Any], steps: list[Any]) -> None:
        if not steps:
            return
        name = f"run{len(segments)}"
        code = Code(module, name, "ptr noalias %table")
        pointers = _Pointers(self, code)
        for k, step in steps:
            if isinstance(step, (Kernel, Tiles)):
                name_of_step = self._function(module, step, f"step{k}")
                args = [f"ptr {pointers.at(*operand)}" for operand in operands(step)]
                if has_gathers(step.body):
                    args.append(f"ptr {pointers.slot(ERROR)}")
                code.line(f"call void @{name_of_step}({', '.join(args)})")
            else:
                self._matmul(code, step, pointers)
        code.finish()
        segments.append(name)
        steps.clear()

    def _function(self, module: Module, step: Kernel | Tiles, name: str) -> str:
        """Write the function of a step; one that was written before serves steps like it too."""
        kind = KernelWriter if isinstance(step, Kernel) else TilesWriter
        kind(module, step, "step").write()  # type: ignore[arg-type]  # the kind of this step
        text = module.functions.pop()
        known = self._names.setdefault(text, name)
        if known == name:
            module.functions.append(text.replace("@step(", f"@{name}(", 1))
        return known

    def _matmul(self, code: Code, step: Matmul, pointers: _Pointers) -> None:
        bases = [pointers.of(b) for b in (step.out, step.a, step.b)]
        routine = pointers.slot(self._slot_of(blas.routine(step.out.dtype)))
        counters: list[str] = []

        def nest(depth: int) -> None:
            if depth < len(step.batch):
                with code.loop(step.batch[depth]) as counter:
                    counters.append(counter)
                    nest(depth + 1)
                    counters.pop()
                return
            moved = []
            for base, place in zip(bases, step.offsets, strict=True):
                offset = str(place.const)
                for loop, stride in place.terms:
                    term = code.let(f"mul i64 {counters[loop]}, {stride}")
                    offset = code.let(f"add i64 {offset}, {term}")
                moved.append(code.element(step.out.dtype, base, offset))
            blas.write_call(code, step, routine, *moved)

        nest(0)


def _object_file(assembly: str) -> bytes:
    """Return the machine code of `assembly`, from the disk cache if it is there."""
    name = cache.name_of(assembly)
    code = cache.read(name)
    if code is None:
        code = Compilation(assembly).object_file()
        cache.write(name, code)
    return code


class _Pointers:
    """The addresses of buffers, read from the table once per function."""

    def __init__(self, program: NativeProgram, code: Code) -> None:
        self.program, self.code = program, code
        self.known: dict[Any, str] = {}

    def slot(self, k: int) -> str:
        """Return entry `k` of the table."""
        if k not in self.known:
            at = self.code.let(f"getelementptr inbounds ptr, ptr %table, i64 {k}")
            self.known[k] = self.code.let(f"load ptr, ptr {at}")
        return self.known[k]

    def at(self, buffer: Buffer, place: int) -> str:
        """Return the address of an element of a buffer."""
        if not place:
            return self.of(buffer)
        if (buffer, place) not in self.known:
            start = self.of(buffer)
            self.known[buffer, place] = self.code.element(buffer.dtype, start, str(place))
        return self.known[buffer, place]

    def of(self, buffer: Buffer) -> str:
        """Return the address of a buffer."""
        if buffer.kind != "arena":
            return self.slot(self.program.slots[buffer])
        if buffer not in self.known:
            offset = self.program.plan.offsets[buffer]
            arena = self.slot(ARENA)
            self.known[buffer] = self.code.let(
                f"getelementptr inbounds i8, ptr {arena}, i64 {offset}"
            )
        return self.known[buffer]


class _Frame:
    """The memory of one call: its arena and its table of pointers."""

    def __init__(self, program: NativeProgram) -> None:
        self.program = program
        self.arena = np.empty(program.plan.size + memory.ALIGNMENT, np.uint8)
        self.error = np.zeros(1, np.int32)
        self.table = np.zeros(FIRST + len(program.slots) + len(program.addresses), np.uintp)
        base = self.arena.ctypes.data
        self.start = -base % memory.ALIGNMENT
        self.table[ERROR], self.table[ARENA] = self.error.ctypes.data, base + self.start
        for buffer, array in program.constants.items():
            self.table[program.slots[buffer]] = array.ctypes.data
        for x, k in program.addresses.items():
            self.table[k] = blas.pointer(x) if isinstance(x, str) else id(x)
        self.pointer = int(self.table.ctypes.data)

    def run(self, leaves: tuple[Any, ...], converted: bool) -> list[Any] | None:
        """Run the program; None where an array does not fit exactly and shall not be converted."""
        program = self.program
        made = tuple([np.empty(shape, dtype) for shape, dtype in program.made])
        arrays = leaves + made
        if program.bind is None or program.bind(arrays, self.pointer):
            if not converted:
                return None
            avals = [node.aval for node in program.graph.arguments]
            arrays = (
                tuple(
                    np.require(x, a.dtype, ["C", "A"]) for x, a in zip(leaves, avals, strict=True)
                )
                + made
            )
            for k, array in enumerate(arrays, FIRST):
                self.table[k] = array.ctypes.data
        if program.whole is not None:
            program.whole(self.pointer)
            results = list(made)
        else:
            held = dict(zip(program.slots, arrays, strict=False))
            for segment in program.segments:
                if isinstance(segment, Python):
                    self._interpret(segment, held)
                else:
                    segment(self.pointer)
            results = [held[buffer] for buffer in program.lowered.results]
        if self.error[0]:
            self.error[0] = 0
            raise IndexError(
                f"{program.graph.name}: an index is out of range; run the function without "
                "pb.compile to see where"
            )
        return [x if x.shape else x[()] for x in results]

    def _interpret(self, step: Python, held: dict[Buffer, Any]) -> None:
        args = [self._view(b, held).reshape(shape)[()] for b, shape in step.inputs]
        out = step.node.op.forward(*args, **step.node.params)
        several = isinstance(step.node.aval, tuple)
        outs, avals = (out, step.node.aval) if several else ((out,), (step.node.aval,))
        for buffer, value, aval in zip(step.out, outs, avals, strict=True):
            array = held[buffer] = np.array(value, aval.dtype, order="C").reshape(aval.shape)
            if buffer in self.program.slots:
                self.table[self.program.slots[buffer]] = array.ctypes.data

    def _view(self, buffer: Buffer, held: dict[Buffer, Any]) -> Any:
        if buffer in held:
            return held[buffer]
        if buffer.kind == "constant":
            return np.asarray(buffer.value)
        start = self.start + self.program.plan.offsets[buffer]
        return self.arena[start : start + buffer.nbytes].view(buffer.dtype)
