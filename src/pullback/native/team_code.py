"""The machine code by which the threads of a team wait for each other and run what they are given.

A thread that waits spins for a while, then sleeps: at once, if one that it waits for was last seen
on the same core, where that one cannot run meanwhile. None yields, which on a busy core some
schedulers take for giving up the turns to come as well.
(Mellor-Crummey and Scott, "Algorithms for scalable synchronization on shared-memory
multiprocessors", 1991: a barrier whose generation is what the waiting threads look at.)
"""

from __future__ import annotations

import sys

from pullback.native.engine import target

SEQUENCE, ARRIVED, GENERATION, STOP, SLEEPERS, WORK, MUTEX, CONDITION, BUSY, CORES = (
    0, 64, 128, 192, 256, 320, 384, 512, 640, 704,
)  # fmt: skip
"""Where in a team's memory things are, each in cache lines of its own. WORK: function, argument,
number of threads, and at MEET what lets them meet. The mutex and condition of POSIX threads have
128 bytes each. BUSY: whether a call has the team, or it has ended; Python would not give a lock
back where a signal's handler raises just after it was taken. CORES: the core that each thread was
on lately."""
MEET = WORK + 24
SPINS, LOOKS = 10_000, 256
"""How often a thread looks before it sleeps, and before it asks for cores: some 200 and 5 us. To
wake one that sleeps takes 50 us, or until a core is free."""

BARRIER = f"""
define internal void @barrier(ptr %team, i64 %number, i64 %count) {{
entry:
  %alone = icmp eq i64 %count, 1
  br i1 %alone, label %done, label %several
several:
  %at = getelementptr i8, ptr %team, i64 {MEET}
  %meet = load ptr, ptr %at
  call void %meet(ptr %team, i64 %number, i64 %count)
  br label %done
done:
  ret void
}}
"""
"""Waits until all threads of a team have come here; a thread that is alone does not wait."""

_WAITING = """
define void @meet(ptr %team, i64 %number, i64 %count) {{
  call void @appear(ptr %team, i64 %number)
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
  atomicrmw add ptr %at, i32 1 seq_cst
  call void @wake(ptr %team)
  br label %done
wait:
  call void @wait(ptr %team, ptr %at, i32 %generation, i64 %number, i64 %count)
  br label %done
done:
  ret void
}}

define internal void @appear(ptr %team, i64 %number) {{
  %core = {CORE}
  %offset = mul i64 %number, 64
  %cores = getelementptr i8, ptr %team, i64 {CORES}
  %at = getelementptr i8, ptr %cores, i64 %offset
  store atomic i32 %core, ptr %at monotonic, align 4
  ret void
}}

define internal i1 @shares_core(ptr %team, i64 %number, i64 %count) {{
entry:
  %core = {CORE}
  %cores = getelementptr i8, ptr %team, i64 {CORES}
  br label %next
next:
  %k = phi i64 [0, %entry], [%k1, %other]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %one, label %none
one:
  %k1 = add i64 %k, 1
  %offset = mul i64 %k, 64
  %at = getelementptr i8, ptr %cores, i64 %offset
  %its = load atomic i32, ptr %at monotonic, align 4
  %same = icmp eq i32 %its, %core
  %apart = icmp ne i64 %k, %number
  %found = and i1 %same, %apart
  br i1 %found, label %some, label %other
other:
  br label %next
some:
  ret i1 true
none:
  ret i1 false
}}

define internal void @wait(ptr %team, ptr %at, i32 %seen, i64 %number, i64 %count) {{
entry:
  br label %spin
spin:
  %turn = phi i32 [0, %entry], [%turned, %pause], [%turned, %ask]
  %now = load atomic i32, ptr %at acquire, align 4
  %same = icmp eq i32 %now, %seen
  br i1 %same, label %pause, label %done
pause:
  {PAUSE}
  %turned = add i32 %turn, 1
  %rest = and i32 %turned, {LAST_LOOK}
  %asks = icmp eq i32 %rest, 0
  br i1 %asks, label %ask, label %spin
ask:
  %long = icmp ugt i32 %turn, {SPINS}
  %shares = call i1 @shares_core(ptr %team, i64 %number, i64 %count)
  %ends = or i1 %long, %shares
  br i1 %ends, label %sleep, label %spin
sleep:
  %sleepers = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  call i32 @pthread_mutex_lock(ptr %mutex)
  atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %asleep
asleep:
  %later = load atomic i32, ptr %at seq_cst, align 4
  %still = icmp eq i32 %later, %seen
  br i1 %still, label %doze, label %awake
doze:
  call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %asleep
awake:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr %mutex)
  call void @appear(ptr %team, i64 %number)
  br label %done
done:
  ret void
}}

define internal void @wake(ptr %team) {{
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
"""

_RUNNING = """
define ptr @work(ptr %record) {{
entry:
  %team = load ptr, ptr %record
  %number_at = getelementptr i8, ptr %record, i64 8
  %number = load i64, ptr %number_at
  %sequence = getelementptr i8, ptr %team, i64 {SEQUENCE}
  %stop = getelementptr i8, ptr %team, i64 {STOP}
  %work = getelementptr i8, ptr %team, i64 {WORK}
  %argument_at = getelementptr i8, ptr %work, i64 8
  %count_at = getelementptr i8, ptr %work, i64 16
  call void @appear(ptr %team, i64 %number)
  br label %idle
idle:
  %seen = phi i32 [0, %entry], [%new, %run]
  call void @wait(ptr %team, ptr %sequence, i32 %seen, i64 %number, i64 1)
  %new = load atomic i32, ptr %sequence acquire, align 4
  %stopped = load atomic i32, ptr %stop acquire, align 4
  %ends = icmp ne i32 %stopped, 0
  br i1 %ends, label %end, label %run
run:
  %function = load ptr, ptr %work
  %argument = load ptr, ptr %argument_at
  %count = load i64, ptr %count_at
  call void %function(ptr %argument, i64 %number, i64 %count, ptr %team)
  call void @meet(ptr %team, i64 %number, i64 %count)
  br label %idle
end:
  ret ptr null
}}

define void @call(ptr %team) {{
  %sequence = getelementptr i8, ptr %team, i64 {SEQUENCE}
  atomicrmw add ptr %sequence, i32 1 seq_cst
  call void @wake(ptr %team)
  ret void
}}

define internal i1 @takes(ptr %team) {{
  %busy = getelementptr i8, ptr %team, i64 {BUSY}
  %taken = cmpxchg ptr %busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{i32, i1}} %taken, 1
  ret i1 %free
}}

define zeroext i1 @launch(ptr %team, ptr %function, ptr %argument, i64 %count) {{
  %free = call i1 @takes(ptr %team)
  br i1 %free, label %run, label %refuse
run:
  %state = call ptr @PyEval_SaveThread()
  call void @appear(ptr %team, i64 0)
  %work = getelementptr i8, ptr %team, i64 {WORK}
  %argument_at = getelementptr i8, ptr %work, i64 8
  %count_at = getelementptr i8, ptr %work, i64 16
  store ptr %function, ptr %work
  store ptr %argument, ptr %argument_at
  store i64 %count, ptr %count_at
  call void @call(ptr %team)
  call void %function(ptr %argument, i64 0, i64 %count, ptr %team)
  call void @meet(ptr %team, i64 0, i64 %count)
  %busy = getelementptr i8, ptr %team, i64 {BUSY}
  store atomic i32 0, ptr %busy release, align 4
  call void @PyEval_RestoreThread(ptr %state)
  ret i1 true
refuse:
  ret i1 false
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
  call void @stop(ptr %team, ptr %threads, i64 %k)
  ret i32 %failed
done:
  ret i32 0
}}

define void @stop(ptr %team, ptr %threads, i64 %count) {{
entry:
  %free = call i1 @takes(ptr %team)
  br i1 %free, label %end, label %done
end:
  %stop = getelementptr i8, ptr %team, i64 {STOP}
  store atomic i32 1, ptr %stop release, align 4
  call void @call(ptr %team)
  br label %next
next:
  %k = phi i64 [0, %end], [%k1, %one]
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
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
{DECLARATIONS}
"""


def size(count: int) -> int:
    """Return how many bytes the memory of a team of `count` threads has."""
    return CORES + 64 * count


def text() -> str:
    """Return LLVM's text of `launch`, `start`, `stop` and `meet`."""
    declarations = []
    # a thread that spins leaves its core to the other hardware thread for a moment
    pause = "; no pause is known here"
    if target().triple.startswith(("x86_64", "i686")):
        pause = "call void @llvm.x86.sse2.pause()"
        declarations.append("declare void @llvm.x86.sse2.pause()")
    core = "trunc i64 %number to i32"  # as if each thread had a core of its own
    if sys.platform == "linux":
        core = "call i32 @sched_getcpu()"
        declarations.append("declare i32 @sched_getcpu()")
    return (_WAITING + _RUNNING).format(
        SEQUENCE=SEQUENCE, ARRIVED=ARRIVED, GENERATION=GENERATION, STOP=STOP, SLEEPERS=SLEEPERS,
        WORK=WORK, MUTEX=MUTEX, CONDITION=CONDITION, BUSY=BUSY, CORES=CORES, SPINS=SPINS,
        LAST_LOOK=LOOKS - 1, PAUSE=pause, CORE=core, DECLARATIONS="\n".join(declarations),
    )  # fmt: skip
