"""Signals while machine code runs: loops look now and then whether Python has a handler to call.

A loop counts what it has done. After some of it, it looks at the clock, and every tenth of a second
it asks CPython to call the handlers of signals that have come, which happens in the main thread
alone. Where a handler raises, the loop and what it stands in end at once, and the exception is the
one that the call of machine code raises: Python's own error indicator holds it meanwhile. So it may
hold one that a library's loop has left, with which no handler can be called: that ends all as well.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pullback.native import faults
from pullback.native.code import Code
from pullback.native.emit import COUNT
from pullback.native.steps import Loop, Step, Strips
from pullback.native.work import turn_burden, with_turns

MAIN_THREAD = "main thread"
"""What stands in the table of pointers for the place of `hearing`."""
hearing = ctypes.c_size_t(threading.main_thread().ident or 0)
"""The number of the thread that hears of signals."""
AT_ONCE = 1 << 20
"""How much is done between two looks at the clock (see `effort`): about a millisecond."""
UNCOUNTED = 1 << 12
"""How much a loop with a condition may do that one around it counts as a single turn."""
SECONDS = 0.1
"""How long a signal may have to wait, beyond that."""

_LISTEN = """
define internal void @listen(ptr %since_at, ptr %flags, ptr %main) noinline {{
entry:
  %time = alloca {{i64, i64}}
  %here = call ptr @PyThread_get_thread_ident()
  %number = load ptr, ptr %main
  %hears = icmp eq ptr %here, %number
  br i1 %hears, label %look, label %done
look:
  call i32 @clock_gettime(i32 {CLOCK}, ptr %time)
  %whole = load i64, ptr %time
  %rest_at = getelementptr i8, ptr %time, i64 8
  %rest = load i64, ptr %rest_at
  %nanoseconds = mul i64 %whole, 1000000000
  %now = add i64 %nanoseconds, %rest
  %since = load i64, ptr %since_at
  %first = icmp eq i64 %since, 0
  br i1 %first, label %remember, label %compare
compare:
  %waited = sub i64 %now, %since
  %long = icmp ugt i64 %waited, {WAIT}
  br i1 %long, label %ask, label %done
ask:
  %state = call i32 @PyGILState_Ensure()
  %error = call ptr @PyErr_Occurred()
  %none = icmp eq ptr %error, null
  br i1 %none, label %check, label %checked
check:
  %answer = call i32 @PyErr_CheckSignals()
  %raises = icmp ne i32 %answer, 0
  br label %checked
checked:
  %raised = phi i1 [true, %ask], [%raises, %check]
  call void @PyGILState_Release(i32 %state)
  br i1 %raised, label %end, label %remember
end:
  %before = load i32, ptr %flags
  %after = or i32 %before, {INTERRUPTED}
  store atomic i32 %after, ptr %flags monotonic, align 4
  br label %done
remember:
  store i64 %now, ptr %since_at
  br label %done
done:
  ret void
}}
declare ptr @PyThread_get_thread_ident()
declare i32 @clock_gettime(i32, ptr)
declare i32 @PyGILState_Ensure()
declare ptr @PyErr_Occurred()
declare i32 @PyErr_CheckSignals()
declare void @PyGILState_Release(i32)
"""


def _take_over() -> None:
    """Let the thread that has forked hear of signals: in the child it is the main one."""
    hearing.value = threading.get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_take_over)


def listens(step: Step) -> bool:
    """Whether a step may take long: a loop that does much, or that nobody can tell the turns of."""
    if isinstance(step, Loop):
        least = AT_ONCE if step.condition is None else UNCOUNTED
        return step.length is None or step.length * turn_burden(step) > least
    return isinstance(step, Strips) and step.count * turn_burden(step) > AT_ONCE


def hears(steps: Iterable[Step]) -> bool:
    """Whether one of the steps, or of those inside of them, listens."""
    return any(listens(step) for step, _ in with_turns(steps))


class Listener:
    """Writes the looks of one function, all of whose threads take the same turns.

    `flags` is the address of the first thread's errors, `main` that of `hearing`.
    Where a handler has raised, control goes to the label `way_out`.
    """

    def __init__(self, code: Code, flags: str, main: str) -> None:
        self.code, self.flags, self.main, self.way_out = code, flags, main, "interrupted"
        self._left, self._since = code.variable(COUNT, AT_ONCE), code.variable(COUNT, 0)
        clock = _LISTEN.format(
            CLOCK=time.CLOCK_MONOTONIC, WAIT=int(1e9 * SECONDS), INTERRUPTED=faults.INTERRUPTED
        )
        code.module.declare("listen", clock)

    def turn(self, burden: int, meet: Callable[[], None]) -> None:
        """Write the begin of a turn that does so much; in `meet` threads wait for each other."""
        code, look, on = self.code, self.code.label("look"), self.code.label("on")
        left = code.let(f"load i64, ptr {self._left}")
        left = code.let(f"sub i64 {left}, {min(burden, AT_ONCE + 1)}")
        code.line(f"store i64 {left}, ptr {self._left}")
        spent = code.let(f"icmp slt i64 {left}, 0")
        code.line(f"br i1 {spent}, label %{look}, label %{on}")
        code.begin(look)
        code.line(f"call void @listen(ptr {self._since}, ptr {self.flags}, ptr {self.main})")
        meet()
        self.leave(meet)
        code.line(f"br label %{on}")
        code.begin(on)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Write what each thread does by itself; one that has heard goes to the end of it.

        When all have met there, they `leave`.
        """
        outer, self.way_out = self.way_out, self.code.label("ended")
        yield
        self.code.line(f"br label %{self.way_out}")
        self.code.begin(self.way_out)
        self.way_out = outer

    def leave(self, meet: Callable[[], None]) -> None:
        """Write the way out where a handler has raised; all threads take it, or none does."""
        code, on = self.code, self.code.label("on")
        code.line(f"store i64 {AT_ONCE}, ptr {self._left}")
        flags = code.let(f"load atomic i32, ptr {self.flags} monotonic, align 4")
        meet()  # before they are written again
        bit = code.let(f"and i32 {flags}, {faults.INTERRUPTED}")
        code.line(f"br i1 {code.let(f'icmp eq i32 {bit}, 0')}, label %{on}, label %{self.way_out}")
        code.begin(on)
