"""Writing steps one after the other: calls of their functions, loops and choices around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import numpy as np

from pullback.native import blas, interrupts, library, strip_places, team, team_code
from pullback.native.code import Code, Module
from pullback.native.contraction_writer import ContractionWriter
from pullback.native.emit import COUNT, has_gathers, operands
from pullback.native.kernel_writer import KernelWriter
from pullback.native.loops import Buffer, Kernel
from pullback.native.memory import Plan
from pullback.native.pointers import ERROR, Pointers
from pullback.native.steps import (
    Block,
    Call,
    Choice,
    Contraction,
    Loop,
    Matmul,
    Series,
    Step,
    Strips,
    Tiles,
)
from pullback.native.tiles import TilesWriter
from pullback.native.work import effort, turn_burden, with_turns

BYTES = np.dtype(np.uint8)
_WRITERS: dict[type, Any] = {
    Kernel: KernelWriter, Tiles: TilesWriter, Contraction: ContractionWriter,
}  # fmt: skip

MOST_STEPS = 50
"""So many steps stand in one function: what LLVM does with it takes longer than it is long."""

ERROR_STRIDE = 64
"""Bytes from the error flag of one thread to that of the next: a cache line each."""


class Assembly:
    """The functions of a program, whose steps find their buffers through a table of pointers.

    `slots` says which entry is whose; `slot_of(x)` gives one to the name of a library's routine.
    With several `threads`, each of them runs every function: they share the work of large steps,
    the first does all of the others, and they meet before what one has made is read by another.
    Where it is `interruptible`, long loops hear of signals.
    """

    def __init__(
        self,
        module: Module,
        slots: Mapping[Buffer, int],
        slot_of: Callable[[Any], int],
        threads: int,
        interruptible: bool,
    ) -> None:
        self.module, self.slots, self.slot_of, self.threads = module, slots, slot_of, threads
        self.interruptible = interruptible
        self._listener: interrupts.Listener | None = None
        self._names: dict[str, str] = {}
        self._room = ""  # where a strip's temporaries lie on the stack
        self._apart = False  # whether the first thread has worked since they last met
        if threads > 1:
            module.declare("barrier", team_code.BARRIER)

    def function(self, name: str, steps: Sequence[Step], plan: Plan) -> None:
        """Write the function that runs `steps`: name(table), or one of a team's threads."""
        if len(steps) <= MOST_STEPS:
            self._part(name, steps, plan)
        else:
            starts = range(0, len(steps), MOST_STEPS)
            for k, start in enumerate(starts):
                self._part(f"{name}_{k}", steps[start : start + MOST_STEPS], plan, "i1")
            code = Code(self.module, name, self._parameters)
            given = self._parameters.replace("noalias ", "")
            for k in range(len(starts)):
                on = code.label("on")
                cut = code.let(f"call i1 @{name}_{k}({given})")
                code.line(f"br i1 {cut}, label %interrupted, label %{on}")
                code.begin(on)
            code.line("br label %interrupted")
            code.begin("interrupted")
            code.finish()
        self._apart = False  # all meet at the end

    @property
    def _parameters(self) -> str:
        team = ", i64 %number, i64 %count, ptr %team" if self.threads > 1 else ""
        return f"ptr noalias %table{team}"

    def _part(
        self, name: str, steps: Sequence[Step], plan: Plan, result: Literal["void", "i1"] = "void"
    ) -> None:
        """Write a function; one with a result tells whether it was cut short."""
        code = Code(self.module, name, self._parameters, result)
        pointers = Pointers(code, self.slots, plan)
        if self.interruptible and interrupts.hears(steps):
            main = pointers.slot(self.slot_of(interrupts.MAIN_THREAD))
            self._listener = interrupts.Listener(code, pointers.slot(ERROR), main)
        if self.threads > 1:
            offset = code.let(f"mul i64 %number, {ERROR_STRIDE}")
            base = pointers.slot(ERROR)
            pointers.known[ERROR] = code.let(f"getelementptr i8, ptr {base}, i64 {offset}")
        rooms = [s.room for s, _ in with_turns(steps) if isinstance(s, Strips)]
        self._room = code.room(BYTES, max(rooms)) if rooms else ""
        self._steps(steps, pointers)
        whole, cut = ("ret i1 false", "ret i1 true") if result == "i1" else ("ret void",) * 2
        if self._listener is None:
            code.finish(whole)
            return
        code.line(whole)
        code.begin("interrupted")
        code.finish(cut)
        self._listener = None

    def _meet(self, code: Code, always: bool = False) -> None:
        """Let all threads wait for each other, if one has worked alone."""
        if self.threads > 1 and (self._apart or always):
            code.line("call void @barrier(ptr %team, i64 %number, i64 %count)")
        self._apart = False

    @contextmanager
    def _alone(self, code: Code) -> Iterator[None]:
        """Write what the first thread does alone."""
        if self.threads == 1:
            yield
            return
        mine, others = code.label("first"), code.label("all")
        first = code.let("icmp eq i64 %number, 0")
        code.line(f"br i1 {first}, label %{mine}, label %{others}")
        code.begin(mine)
        listener, self._listener = self._listener, None  # it would not come to where the others are
        yield
        self._listener = listener
        code.line(f"br label %{others}")
        code.begin(others)
        self._apart = True

    def _steps(self, steps: Sequence[Step], pointers: Pointers) -> None:
        for step in steps:
            if isinstance(step, (Kernel, Tiles, Contraction)):
                self._call(step, pointers)
            elif isinstance(step, Matmul):
                self._matmul(step, pointers)
            elif isinstance(step, Call):
                self._library(step, pointers)
            elif isinstance(step, Loop):
                self._loop(step, pointers)
            elif isinstance(step, Strips):
                self._strips(step, pointers)
            else:
                assert isinstance(step, Choice)
                self._choice(step, pointers)

    def _call(self, step: Kernel | Tiles | Contraction, pointers: Pointers) -> None:
        args = [f"ptr {pointers.at(*operand)}" for operand in operands(step)]
        if has_gathers(step.body):
            args.append(f"ptr {pointers.slot(ERROR)}")
        name, portions = self._function_of(step)
        code = pointers.code
        if self.threads == 1 or portions == 1 or effort(step) < team.SHARED_EFFORT:
            with self._alone(code):
                code.line(f"call void @{name}({', '.join([*args, 'i64 0', f'i64 {portions}'])})")
            return
        self._meet(code)
        share = [f"i64 {end}" for end in self._share(code, portions)]
        code.line(f"call void @{name}({', '.join([*args, *share])})")
        self._meet(code, always=True)

    def _share(self, code: Code, portions: int) -> tuple[str, str]:
        """Return where this thread's share of the portions begins and ends."""
        unit = 16 if portions >= 64 * self.threads else 1  # whole cache lines
        each = code.let(f"add i64 %count, {-(-portions // unit) - 1}")
        each = code.let(f"udiv i64 {each}, %count")
        first = code.let(f"mul i64 {each}, %number")
        last = code.let(f"add i64 {first}, {each}")
        ends = [code.let(f"mul i64 {end}, {unit}") for end in (first, last)]
        first, last = (code.intrinsic("umin", COUNT, [end, str(portions)]) for end in ends)
        return first, last

    def _function_of(self, step: Kernel | Tiles | Contraction) -> tuple[str, int]:
        """Write the function of a step; one that was written before serves steps like it too.

        Return its name, and into how many portions its work falls.
        """
        writer = _WRITERS[type(step)](self.module, step, "step")
        writer.write()
        text = self.module.functions.pop()
        known = self._names.get(text)
        if known is None:
            known = self._names[text] = f"step{len(self._names)}"
            self.module.functions.append(text.replace("@step(", f"@{known}(", 1))
        return known, writer.portions

    def _matmul(self, step: Matmul, pointers: Pointers) -> None:
        code = pointers.code
        bases = [pointers.of(b) for b in (step.out, step.a, step.b)]
        routine = pointers.slot(self.slot_of(blas.routine(step.out.dtype)))
        with self._alone(code), ExitStack() as nest:
            counters = [nest.enter_context(code.loop(n)) for n in step.batch]
            moved = []
            for base, place in zip(bases, step.offsets, strict=True):
                offset = str(place.const)
                for loop, stride in place.terms:
                    term = code.let(f"mul i64 {counters[loop]}, {stride}")
                    offset = code.let(f"add i64 {offset}, {term}")
                moved.append(code.element(step.out.dtype, base, offset))
            blas.write_call(code, step, routine, *moved)

    def _library(self, step: Call, pointers: Pointers) -> None:
        code = pointers.code
        loop, data = (pointers.slot(self.slot_of((step.routine, w))) for w in ("loop", "data"))
        operands = [pointers.of(b) for b in step.operands]
        error = pointers.slot(ERROR)
        with self._alone(code):
            library.write_call(code, step, loop, data, operands, error)

    def _strips(self, step: Strips, pointers: Pointers) -> None:
        """Write the loop over strips; each thread takes a share of them, and meets nobody."""
        code, body = pointers.code, step.body
        for buffer in step.buffers():
            pointers.of(buffer)
        for x in step.xs:
            pointers.at(x.buffer, x.first)
        shared = self.threads > 1 and effort(step) >= team.SHARED_EFFORT
        if shared:
            self._meet(code)
        listener = self._listener if shared and interrupts.hears([step]) else None
        with (
            nullcontext() if shared else self._alone(code),
            listener.apart() if listener else nullcontext(),
        ):
            first, last = self._share(code, step.count) if shared else ("0", str(step.count))
            threads, self.threads = self.threads, 1
            with code.span(first, strip_places.end(step, code, first, last)) as at:
                self._listen(code, step)
                bound = strip_places.addresses(step, pointers, self._room, (first, at, last))
                self._steps(body.steps, pointers.inside(body.plan, self._room, bound))
            self.threads = threads
        if shared:
            self._meet(code, always=True)
            if listener is not None:
                listener.leave(lambda: self._meet(code, always=True))

    def _listen(self, code: Code, step: Loop | Strips) -> None:
        """Let signals be heard now and then at the begin of a turn."""
        if self._listener is not None and interrupts.listens(step):
            self._listener.turn(turn_burden(step), lambda: self._meet(code, always=True))

    def _loop(self, step: Loop, pointers: Pointers) -> None:
        code, body = pointers.code, step.body
        for buffer in step.buffers():
            pointers.of(buffer)  # found once, before the loop
        for x in step.xs:
            pointers.at(x.buffer, x.first)
        pointers.slot(ERROR)
        self._meet(code)
        turning = [k for k, (a, b) in enumerate(step.carries) if a is not b]
        start = [pointers.of(step.carries[k][side]) for side in (0, 1) for k in turning]

        def where(values: Sequence[str], side: int) -> list[str]:
            """The addresses of the carries on one side of this turn."""
            found = [pointers.of(a) for a, _ in step.carries]
            for k, value in zip(turning, values[side * len(turning) :], strict=False):
                found[k] = value
            return found

        def turn(counter: str, values: list[str]) -> list[str]:
            self._listen(code, step)
            at = code.let(f"sub i64 {step.length}, {counter}") if step.reverse else counter
            at = code.let(f"sub i64 {at}, 1") if step.reverse else at
            ins = [*where(values, 0), *_parts(pointers, step.xs, at)]
            outs = [*where(values, 1), *_parts(pointers, step.ys, at)]
            self._block(body, pointers, pointers.of(step.scratch), ins, outs)
            self._meet(code)
            half = len(turning)
            return [*values[half:], *values[:half]]

        if step.condition is None:
            assert step.length is not None
            code.fold(step.length, "ptr", start, turn)
            return
        holds, condition = step.holds, step.condition
        assert holds is not None
        assert step.count is not None

        def goes_on(values: list[str]) -> str:
            self._block(condition, pointers, pointers.of(step.scratch), where(values[1:], 0),
                        [pointers.of(holds)])  # fmt: skip
            self._meet(code)
            answer = code.truth(holds.dtype, code.load(holds.dtype, pointers.of(holds)))
            # after an index out of range the loop might not end
            answer = code.let(f"and i1 {answer}, {self._no_error(code)}")
            self._meet(code, always=True)  # before it is written again
            if step.length is None:
                return answer
            few = code.let(f"icmp slt i64 {values[0]}, {step.length}")
            return code.let(f"and i1 {answer}, {few}")

        def next_turn(values: list[str]) -> list[str]:
            return [code.let(f"add i64 {values[0]}, 1"), *turn(values[0], values[1:])]

        types = ["i64", *["ptr"] * len(start)]
        count, *ends = code.repeat(types, ["0", *start], goes_on, next_turn)
        targets = [(step.carries[k][0], pointers.of(step.carries[k][0])) for k in turning]
        counted = pointers.of(step.count)
        with self._alone(code):
            code.store(step.count.dtype, count, counted)
            for (buffer, target), end in zip(targets, ends, strict=False):
                self._move(code, buffer.nbytes, target, end)

    def _no_error(self, code: Code) -> str:
        """Return whether no thread has met an index out of range."""
        at = code.let(f"getelementptr inbounds ptr, ptr %table, i64 {ERROR}")
        base, found = code.let(f"load ptr, ptr {at}"), "0"
        for k in range(self.threads):
            flag = code.let(f"getelementptr i8, ptr {base}, i64 {k * ERROR_STRIDE}")
            found = code.let(f"or i32 {found}, {code.let(f'load i32, ptr {flag}')}")
        return code.let(f"icmp eq i32 {found}, 0")

    def _block(
        self, block: Block, pointers: Pointers, scratch: str, ins: Sequence[str],
        outs: Sequence[str],
    ) -> None:  # fmt: skip
        bound = dict(zip(block.arguments, ins, strict=True))
        for buffer, where in zip(block.results, outs, strict=True):
            bound.setdefault(buffer, where)  # a result in an argument's place is there already
        self._steps(block.steps, pointers.inside(block.plan, scratch, bound))

    def _move(self, code: Code, nbytes: int, target: str, source: str) -> None:
        """Copy a whole buffer, unless it is there already."""
        name = self.module.declare(
            "llvm.memmove.p0.p0.i64", "declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)"
        )
        code.line(f"call void @{name}(ptr {target}, ptr {source}, i64 {nbytes}, i1 false)")

    def _choice(self, step: Choice, pointers: Pointers) -> None:
        code = pointers.code
        for buffer in step.buffers():
            pointers.of(buffer)
        pointers.slot(ERROR)
        self._meet(code)
        index = code.load(step.index.dtype, pointers.of(step.index))
        self._meet(code, always=True)  # before its memory serves something else
        if step.index.dtype.kind == "b":
            index = code.let(f"zext i1 {index} to i64")
        elif step.index.dtype.itemsize < 8:
            index = code.let(
                f"{'sext' if step.index.dtype.kind == 'i' else 'zext'} "
                f"i{8 * step.index.dtype.itemsize} {index} to i64"
            )
        if step.index.dtype.kind == "i":
            index = code.intrinsic("smax", COUNT, [index, "0"])
        outs = [pointers.of(b) for b in step.results]

        def branch(block: Block) -> Callable[[], None]:
            def write() -> None:
                self._block(block, pointers, pointers.of(step.scratch), [], outs)
                self._meet(code)

            return write

        code.choose(index, [branch(block) for block in step.branches])


def _parts(pointers: Pointers, series: Sequence[Series], at: str) -> list[str]:
    """Return where part `at` of each series is."""
    code, found = pointers.code, []
    for x in series:
        offset = code.let(f"mul i64 {at}, {x.step}")
        found.append(code.element(x.buffer.part, pointers.at(x.buffer, x.first), offset))
    return found
