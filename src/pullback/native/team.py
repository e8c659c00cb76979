"""Threads that run one function together, each its share: they spin for a while, then sleep.

All of it is machine code, from the barrier between two steps to the threads' own loop: a step may
last few microseconds, and Python's threads take longer than that to hand over. A team is made when
it is first needed, belongs to one call at a time, and is made anew in a child process.
(Mellor-Crummey and Scott, "Algorithms for scalable synchronization on shared-memory
multiprocessors", 1991: a barrier whose generation is what the waiting threads look at.)
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Sequence

import numpy as np

from pullback.core.errors import ConfigError
from pullback.native import cache
from pullback.native.engine import Loaded, target
from pullback.native.steps import Step
from pullback.native.threads import checked, default_threads
from pullback.native.work import effort, with_turns

SHARED_EFFORT, LEAST_EFFORT = 1 << 14, 1 << 18
"""What a step must have to do for sharing it, and a program for waking threads (see `effort`)."""
SEQUENCE, ARRIVED, GENERATION, STOP, SLEEPERS, WORK, MUTEX, CONDITION, SIZE = (
    0, 64, 128, 192, 256, 320, 384, 512, 640,
)  # fmt: skip
"""Where in a team's memory things are, each in cache lines of its own. WORK: function, argument
and number of threads. The mutex and condition of POSIX threads have 128 bytes each."""

_ALONE = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)

BARRIER = """
define void @barrier(ptr %team, i64 %count) {{
entry:
  %alone = icmp eq i64 %count, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %at = getelementptr i8, ptr %team, i64 {GENERATION}
  %generation = load atomic i32, ptr %at acquire, align 4
  %arrived = getelementptr i8, ptr %team, i64 {ARRIVED}
  %before = atomicrmw add ptr %arrived, i32 1 acq_rel
  %before64 = zext i32 %before to i64
  %mine = add i64 %before64, 1
  %last = icmp eq i64 %mine, %count
  br i1 %last, label %release, label %wait
release:
  store atomic i32 0, ptr %arrived monotonic, align 4
  %next = add i32 %generation, 1
  store atomic i32 %next, ptr %at release, align 4
  br label %done
wait:
  %turn = phi i32 [0, %arrive], [%turned, %again]
  %now = load atomic i32, ptr %at acquire, align 4
  %same = icmp eq i32 %now, %generation
  br i1 %same, label %stay, label %done
stay:
  %turned = add i32 %turn, 1
  %long = icmp ugt i32 %turn, {SPINS}
  br i1 %long, label %yield, label %pause
yield:
  call i32 @sched_yield()
  br label %again
pause:
  {PAUSE}
  br label %again
again:
  br label %wait
done:
  ret void
}}
declare i32 @sched_yield()
{DECLARATION}
"""
"""Waits until all threads of a team have come here; a thread that is alone does not wait."""

_RUNTIME = """
define ptr @work(ptr %record) {{
entry:
  %team = load ptr, ptr %record
  %number_at = getelementptr i8, ptr %record, i64 8
  %number = load i64, ptr %number_at
  %sequence = getelementptr i8, ptr %team, i64 {SEQUENCE}
  %sleepers = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  %stop = getelementptr i8, ptr %team, i64 {STOP}
  %work = getelementptr i8, ptr %team, i64 {WORK}
  %argument_at = getelementptr i8, ptr %work, i64 8
  %count_at = getelementptr i8, ptr %work, i64 16
  br label %idle
idle:
  %seen = phi i32 [0, %entry], [%new, %run]
  br label %spin
spin:
  %turn = phi i32 [0, %idle], [%turned, %pause]
  %new1 = load atomic i32, ptr %sequence acquire, align 4
  %called1 = icmp ne i32 %new1, %seen
  br i1 %called1, label %called, label %pause
pause:
  {PAUSE}
  %turned = add i32 %turn, 1
  %long = icmp ugt i32 %turn, {SPINS}
  br i1 %long, label %sleep, label %spin
sleep:
  call i32 @pthread_mutex_lock(ptr %mutex)
  atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %asleep
asleep:
  %new2 = load atomic i32, ptr %sequence seq_cst, align 4
  %called2 = icmp ne i32 %new2, %seen
  br i1 %called2, label %wake, label %wait
wait:
  call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %asleep
wake:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %called
called:
  %new = load atomic i32, ptr %sequence acquire, align 4
  %stopped = load atomic i32, ptr %stop acquire, align 4
  %ends = icmp ne i32 %stopped, 0
  br i1 %ends, label %end, label %run
run:
  %function = load ptr, ptr %work
  %argument = load ptr, ptr %argument_at
  %count = load i64, ptr %count_at
  call void %function(ptr %argument, i64 %number, i64 %count, ptr %team)
  call void @barrier(ptr %team, i64 %count)
  br label %idle
end:
  ret ptr null
}}

define void @call(ptr %team) {{
  %sequence = getelementptr i8, ptr %team, i64 {SEQUENCE}
  atomicrmw add ptr %sequence, i32 1 seq_cst
  %sleepers = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %some = icmp ne i32 %asleep, 0
  br i1 %some, label %wake, label %done
wake:
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  call i32 @pthread_mutex_lock(ptr %mutex)
  call i32 @pthread_cond_broadcast(ptr %condition)
  call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}

define void @launch(ptr %team, ptr %function, ptr %argument, i64 %count) {{
  %state = call ptr @PyEval_SaveThread()
  %work = getelementptr i8, ptr %team, i64 {WORK}
  %argument_at = getelementptr i8, ptr %work, i64 8
  %count_at = getelementptr i8, ptr %work, i64 16
  store ptr %function, ptr %work
  store ptr %argument, ptr %argument_at
  store i64 %count, ptr %count_at
  call void @call(ptr %team)
  call void %function(ptr %argument, i64 0, i64 %count, ptr %team)
  call void @barrier(ptr %team, i64 %count)
  call void @PyEval_RestoreThread(ptr %state)
  ret void
}}

define i32 @start(ptr %team, ptr %records, ptr %threads, i64 %count) {{
entry:
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  call i32 @pthread_cond_init(ptr %condition, ptr null)
  br label %next
next:
  %k = phi i64 [0, %entry], [%k1, %started]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %one, label %done
one:
  %record_offset = mul i64 %k, 16
  %record = getelementptr i8, ptr %records, i64 %record_offset
  %thread_offset = mul i64 %k, 8
  %thread = getelementptr i8, ptr %threads, i64 %thread_offset
  %failed = call i32 @pthread_create(ptr %thread, ptr null, ptr @work, ptr %record)
  %k1 = add i64 %k, 1
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %refused, label %started
started:
  br label %next
refused:
  ret i32 %failed
done:
  ret i32 0
}}

define void @stop(ptr %team, ptr %threads, i64 %count) {{
entry:
  %stop = getelementptr i8, ptr %team, i64 {STOP}
  store atomic i32 1, ptr %stop release, align 4
  call void @call(ptr %team)
  br label %next
next:
  %k = phi i64 [0, %entry], [%k1, %one]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %one, label %done
one:
  %offset = mul i64 %k, 8
  %at = getelementptr i8, ptr %threads, i64 %offset
  %thread = load ptr, ptr %at
  call i32 @pthread_join(ptr %thread, ptr null)
  %k1 = add i64 %k, 1
  br label %next
done:
  ret void
}}

declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
"""


def barrier_text() -> str:
    """Return LLVM's text of the function `barrier(team, count)`."""
    return _filled(BARRIER)


def _filled(text: str) -> str:
    # a thread that spins leaves its core to the other hardware thread for a moment
    pause = "call void @llvm.x86.sse2.pause()" if _is_x86() else "; no pause is known here"
    # some 50 us, about what it takes to wake a thread that sleeps
    return text.format(
        SEQUENCE=SEQUENCE, ARRIVED=ARRIVED, GENERATION=GENERATION, STOP=STOP, SLEEPERS=SLEEPERS,
        WORK=WORK, MUTEX=MUTEX, CONDITION=CONDITION, SPINS=3000, PAUSE=pause,
        DECLARATION="declare void @llvm.x86.sse2.pause()" if _is_x86() else "",
    )  # fmt: skip


def worthwhile(steps: Sequence[Step], threads: int | None) -> int:
    """Return how many threads a program gets: one where there is little to do."""
    count = default_threads() if threads is None else checked(threads)
    found = [turns * effort(s) for s, turns in with_turns(steps) if effort(s) >= SHARED_EFFORT]
    return count if sum(found) >= LEAST_EFFORT else 1


def function(address: int, enter: int, threads: int) -> Callable[[int], None]:
    """Return the function of a program at `address`.

    Where a team is busy, one thread runs it, by what `binding.write_enter` has written.
    """
    alone = _ALONE(enter)
    if threads == 1:
        return alone

    def run(table: int) -> None:
        team = team_of(threads)
        if not team.lock.acquire(blocking=False):
            alone(table)
            return
        try:
            team.run(address, table)
        finally:
            team.lock.release()

    return run


@functools.cache
def _runtime() -> Loaded:
    return Loaded(cache.object_file(_filled(BARRIER + _RUNTIME)))


def _is_x86() -> bool:
    return target().triple.startswith(("x86_64", "i686"))


class Team:
    """This thread and `count` - 1 others."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.lock = threading.Lock()
        room = np.zeros(SIZE + 64, np.uint8)
        self._room = room
        self.pointer = -(-room.ctypes.data // 64) * 64
        others = count - 1
        self._records = np.array([[self.pointer, k] for k in range(1, count)], np.uint64)
        self._threads = np.zeros(others, np.uint64)
        code = _runtime()
        p, n = ctypes.c_void_p, ctypes.c_int64
        self._launch = ctypes.PYFUNCTYPE(None, p, p, p, n)(code.address("launch"))
        self._stop = ctypes.CFUNCTYPE(None, p, p, n)(code.address("stop"))
        start = ctypes.CFUNCTYPE(ctypes.c_int, p, p, p, n)(code.address("start"))
        records, threads = self._records.ctypes.data, self._threads.ctypes.data
        if start(self.pointer, records, threads, others):
            raise ConfigError(f"threads: the system refuses {count} threads; ask for fewer")

    def run(self, function: int, argument: int) -> None:
        """Let all threads call function(argument, number, count, team), and wait for them."""
        self._launch(self.pointer, function, argument, self.count)

    def stop(self) -> None:
        """End the other threads."""
        with self.lock:
            self._stop(self.pointer, self._threads.ctypes.data, self.count - 1)


_teams: dict[int, Team] = {}
_making = threading.Lock()


def team_of(count: int) -> Team:
    """Return the team of `count` threads of this process."""
    team = _teams.get(count)
    if team is None:
        with _making:
            team = _teams.get(count)
            if team is None:
                team = _teams[count] = Team(count)
    return team


def _forget() -> None:
    """Begin anew in a child process, where the other threads are not."""
    global _making
    _teams.clear()
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop_all() -> None:
    for team in _teams.values():
        team.stop()
