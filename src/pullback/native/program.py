"""A compiled graph: its stages, its machine code, and the memory it runs in."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.errors import ConfigError
from pullback.core.graph import Graph
from pullback.native import binding, blas, cache, interrupts, library, memory, team
from pullback.native.assembly import ERROR_STRIDE, Assembly
from pullback.native.code import Module
from pullback.native.engine import Loaded
from pullback.native.faults import error_of
from pullback.native.functions import define_used
from pullback.native.loops import Buffer
from pullback.native.lower import Lowered, lower
from pullback.native.pointers import ARENA, ERROR, FIRST
from pullback.native.prepare import prepare
from pullback.native.rooms import keeps, room
from pullback.native.steps import Python
from pullback.native.threads import supported


class NativeProgram:
    """Runs a graph as machine code; safe to call from several threads at once.

    Of the arguments at the positions `donated`, the memory becomes that of results of the same
    shape and dtype, where no step needs the old value after the new one is written. Programs with
    enough to do run on `threads` threads, by default as many as there are.
    """

    def __init__(
        self,
        graph: Graph,
        donated: Sequence[int] = (),
        threads: int | None = None,
        in_bfloat16: bool = False,
    ) -> None:
        self.graph = graph
        self.lowered: Lowered = lower(graph, in_bfloat16)
        pairs = self._pairs(donated)
        block = prepare(self.lowered.steps, self.lowered.arguments, self.lowered.results, pairs)
        self.steps, self.plan, self.results = block.steps, block.plan, block.results
        self.threads = team.worthwhile(self.steps, threads)
        own = [
            (node, b) for node, b in zip(graph.results, self.results, strict=True)
            if b.kind == "result"
        ]  # fmt: skip
        made = [(node.shape, node.dtype) for node, _ in own]
        self.made = [(room if keeps(*each) else np.empty, *each) for each in made]
        self.numbers = [k for k, node in enumerate(graph.results) if not node.shape]
        self.slots = self._number_slots([b for _, b in own])
        self.donated = [k for k, b in enumerate(self.lowered.arguments) if b in self.results]
        self.constants = {
            b: np.ascontiguousarray(b.value) for b in self.slots if b.kind == "constant"
        }
        self.addresses: dict[Any, int] = {}  # entries after the buffers' for what lies elsewhere
        names, assembly = self._assemble()
        self._code = Loaded(cache.object_file(assembly))
        at = self._code.address
        self.segments = [
            team.function(at(s), at(binding.ENTER + s), self.threads) if isinstance(s, str) else s
            for s in names
        ]
        native = all(isinstance(s, str) for s in names)
        self.whole = (self.segments or [lambda table: None])[0] if native else None
        self.places = [self.slots[b] - FIRST for b in self.results] if native else []
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
        results = frame.run(self, leaves, converted)
        self._pool.append(frame)
        return results

    @property
    def llvm(self) -> str:
        """LLVM's assembly, written anew: it is longer than all the rest."""
        return self._assemble()[1]

    def release(self) -> None:
        """Let go of the memory that is kept from call to call; the next one takes it anew."""
        self._pool.clear()

    def converted(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Return arrays as the program needs them; those that fit are the very same."""
        arguments = self.graph.arguments
        wanted = [["C", "A", *"W" * (k in self.donated)] for k in range(len(arguments))]
        return tuple(
            np.require(x, node.aval.dtype, flags)
            for x, node, flags in zip(leaves, arguments, wanted, strict=True)
        )

    def refuse_overlaps(self, arrays: Sequence[Any]) -> None:
        """Raise ConfigError where a donated array lies in the memory of another argument."""
        arguments = self.graph.arguments
        for k in self.donated:
            for j in range(len(arguments)):
                if j != k and np.may_share_memory(arrays[k], arrays[j]):
                    names = arguments[k].name, arguments[j].name
                    raise ConfigError(
                        f"{self.graph.name}: argument {names[0]!r} is donated, so that it "
                        f"is overwritten, but {names[1]!r} lies in the same memory; pass a copy"
                    )

    def _pairs(self, donated: Sequence[int]) -> list[tuple[Buffer, Buffer]]:
        """Pair donated arguments with results of their kind, in order."""
        free = {b: node for b, node in zip(self.lowered.results, self.graph.results, strict=True)
                if b.kind == "result"}  # fmt: skip
        pairs = []
        for k in donated:
            argument, aval = self.lowered.arguments[k], self.graph.arguments[k].aval
            kind = aval.shape, aval.dtype
            fitting = (b for b, node in free.items() if (node.shape, node.dtype) == kind)
            result = next(fitting, None) if aval.ndim else None
            if result is not None:
                del free[result]
                pairs.append((argument, result))
        return pairs

    def _number_slots(self, made: list[Buffer]) -> dict[Buffer, int]:
        """Give each buffer outside of the arena its place in the table of pointers."""
        outside = dict.fromkeys([*self.lowered.arguments, *made])
        for step in self.steps:
            outside.update(dict.fromkeys(b for b in step.buffers() if b.kind != "arena"))
        return {b: k for k, b in enumerate(outside, FIRST)}

    def _assemble(self) -> tuple[list[Any], str]:
        module = Module()
        interruptible = not self.donated and supported()  # no donated array is left half written
        assembly = Assembly(module, self.slots, self._slot_of, self.threads, interruptible)
        segments: list[Any] = []
        for by_numpy, steps in itertools.groupby(self.steps, lambda s: isinstance(s, Python)):
            if by_numpy:
                segments.extend(steps)
            else:
                segments.append(f"run{len(segments)}")
                assembly.function(segments[-1], list(steps), self.plan)
                binding.write_enter(module, segments[-1], self.threads)
        signature = [node.aval for node in self.graph.arguments]
        arguments = len(signature)
        signature += [Aval(shape, dtype) for _, shape, dtype in self.made]
        binding.write(module, "bind", signature, FIRST, self._slot_of, arguments, self.donated)
        define_used(module)
        module.declarations["attributes"] = (
            'attributes #0 = { nounwind "prefer-vector-width"="512" }\n'
            "attributes #1 = { nounwind memory(none) }"
        )
        return segments, str(module)

    def _slot_of(self, x: Any) -> int:
        """Return the entry of the table for the address of a Python object or a routine's name."""
        return self.addresses.setdefault(x, FIRST + len(self.slots) + len(self.addresses))


def _address(x: Any) -> int:
    """Return where a routine of BLAS, a part of a library's loop, or a Python object is.

    Of the main thread return where its number is.
    """
    if x is interrupts.MAIN_THREAD:
        return ctypes.addressof(interrupts.hearing)
    if isinstance(x, str):
        return blas.pointer(x)
    return library.address(*x) if isinstance(x, tuple) else id(x)


class _Frame:
    """The memory of one call: its arena and its table of pointers.

    It does not hold its program, or neither would be freed before Python's collector finds them.
    """

    def __init__(self, program: NativeProgram) -> None:
        self.arena = np.empty(program.plan.size + memory.ALIGNMENT, np.uint8)
        self.error = np.zeros(program.threads * ERROR_STRIDE // 4, np.int32)
        self.table = np.zeros(FIRST + len(program.slots) + len(program.addresses), np.uintp)
        base = self.arena.ctypes.data
        self.start = -base % memory.ALIGNMENT
        self.table[ERROR], self.table[ARENA] = self.error.ctypes.data, base + self.start
        for buffer, array in program.constants.items():
            self.table[program.slots[buffer]] = array.ctypes.data
        for x, k in program.addresses.items():
            self.table[k] = _address(x)
        self.pointer = int(self.table.ctypes.data)

    def run(
        self, program: NativeProgram, leaves: tuple[Any, ...], converted: bool
    ) -> list[Any] | None:
        """Run the program; None where an array does not fit exactly and shall not be converted."""
        made = tuple([make(shape, dtype) for make, shape, dtype in program.made])
        arrays = leaves + made
        misfit = program.bind is None or program.bind(arrays, self.pointer)
        if misfit:
            if not converted and misfit != binding.OVERLAP:
                return None
            arrays = program.converted(leaves) + made
            if program.bind is None or program.bind(arrays, self.pointer):
                program.refuse_overlaps(arrays)
                for k, array in enumerate(arrays, FIRST):
                    self.table[k] = array.ctypes.data
        if program.whole is not None:
            program.whole(self.pointer)
            results = [arrays[k] for k in program.places]
        else:
            held = dict(zip(program.slots, arrays, strict=False))
            for segment in program.segments:
                if isinstance(segment, Python):
                    self._interpret(program, segment, held)
                else:
                    segment(self.pointer)
            results = [held[buffer] for buffer in program.results]
        self._check(program)
        for k in program.numbers:
            results[k] = results[k][()]
        return results

    def _check(self, program: NativeProgram) -> None:
        """Raise what a thread has found wrong."""
        if not self.error[0] and (program.threads == 1 or not self.error.any()):
            return
        flags = int(np.bitwise_or.reduce(self.error))
        self.error[:] = 0
        raise error_of(flags, program.graph.name)

    def _interpret(self, program: NativeProgram, step: Python, held: dict[Buffer, Any]) -> None:
        self._check(program)  # what NumPy would be given is not what was asked for
        args = [self._view(program, b, held).reshape(shape)[()] for b, shape in step.inputs]
        out = step.node.op.forward(*args, **step.node.params)
        several = isinstance(step.node.aval, tuple)
        outs, avals = (out, step.node.aval) if several else ((out,), (step.node.aval,))
        for buffer, value, aval in zip(step.out, outs, avals, strict=True):
            array = held[buffer] = np.array(value, aval.dtype, order="C").reshape(aval.shape)
            if buffer in program.slots:
                self.table[program.slots[buffer]] = array.ctypes.data

    def _view(self, program: NativeProgram, buffer: Buffer, held: dict[Buffer, Any]) -> Any:
        if buffer in held:
            return held[buffer]
        if buffer.kind == "constant":
            return np.asarray(buffer.value)
        start = self.start + program.plan.offsets[buffer]
        return self.arena[start : start + buffer.nbytes].view(buffer.dtype)
