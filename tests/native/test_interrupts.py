"""Signals during a call of machine code: loops hear of them, and what is cut short stays whole."""

import os
import subprocess
import sys

import numpy as np
import pytest
from endless import grown

import pullback as pb
from pullback.native import threads

pytestmark = pytest.mark.skipif(not threads.supported(), reason="needs POSIX signals and threads")

START = """
import atexit, signal, sys, threading
import numpy as np, pullback as pb
from pullback.native import assembly, interrupts, team
from pullback.native.program import NativeProgram
from endless import FOR_EVER, FUNCTIONS, SMALL, argument, count_to, grown
from endless import scanned, scanned_in_strips

threads = int(sys.argv[1])
team.SHARED_EFFORT = team.LEAST_EFFORT = 1
atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)

class Enough(Exception):
    pass

def is_interrupted(call):
    enough = Enough()
    def handler(*_):
        raise enough
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        call()
    except Enough as error:
        return error is enough and error.__traceback__ is not None

def same(a, b):
    return all(map(np.array_equal, pb.tree.leaves(a), pb.tree.leaves(b)))
"""


def check(script, *args):
    """Run a script, which says at its end that all is well; one that hangs is ended."""
    subprocess.run(
        [sys.executable, "-c", START + script, *map(str, args)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
        check=True,
    )


CUT = """
if sys.argv[2] == "often":  # and with functions of few steps
    interrupts.AT_ONCE, interrupts.SECONDS, assembly.MOST_STEPS = 1, 0.0, 2
for name, f in FUNCTIONS.items():
    compiled, x = pb.compile(f, threads=threads), argument(name)
    wanted = compiled(x, np.int64(3))
    assert is_interrupted(lambda: compiled(x, FOR_EVER)), name
    assert same(compiled(x, np.int64(3)), wanted), name
    for a, b in zip(pb.tree.leaves(wanted), pb.tree.leaves(f(x, np.int64(3)))):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
"""


@pytest.mark.parametrize("looks", ["rarely", "often"])
@pytest.mark.parametrize("count", [1, 2])
def test_what_a_handler_raises_ends_the_call_and_the_function_may_be_called_again(count, looks):
    check(CUT, count, looks)


SCANS = """
x = argument("strips")
for f, x in ((scanned, x), (scanned_in_strips, x), (scanned_in_strips, x[:300, :300].copy())):
    program = NativeProgram(pb.trace(f, x), threads=threads)
    for _ in range(2):
        assert is_interrupted(lambda: program([x]))
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_scan_of_known_length_is_interrupted(count):
    check(SCANS, count)


GOES_ON = """
heard = []
signal.signal(signal.SIGALRM, lambda *_: heard.append(compiled(np.int64(10))))
compiled, n = pb.compile(count_to, threads=threads), np.int64(1 << 20)
compiled(n)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
while len(heard) < 3:
    n *= 2
    assert compiled(n) == n * (n - 1) // 2
assert set(heard) == {45}
"""


def test_a_handler_that_raises_nothing_lets_the_call_go_on_and_may_call_compiled_functions():
    check(GOES_ON, 1)


OTHER_THREADS = """
compiled, n = pb.compile(count_to, threads=threads), np.int64(1 << 27)
compiled(np.int64(3))
heard, found = [], []
signal.signal(signal.SIGALRM, lambda *_: heard.append(threading.current_thread()))
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
others = [threading.Thread(target=lambda: found.append(compiled(n))) for _ in range(2)]
for other in others:
    other.start()
for other in others:
    other.join()
while not heard:
    pass
assert found == [n * (n - 1) // 2] * 2
assert set(heard) == {threading.main_thread()}
"""


def test_threads_other_than_the_main_one_hear_of_no_signal():
    check(OTHER_THREADS, 1)


GOES_ON_ELSEWHERE = """
compiled = pb.compile(FUNCTIONS["turns"], threads=threads)
compiled(argument("turns"), np.int64(3))
def beg():
    for _ in range(1000):
        pass
    signal.raise_signal(signal.SIGINT)
threading.Timer(0.2, beg).start()
try:
    compiled(argument("turns"), FOR_EVER)
except KeyboardInterrupt:
    sys.exit(0)
sys.exit(1)
"""


@pytest.mark.parametrize("count", [1, 2])
def test_another_thread_of_python_runs_meanwhile_and_may_interrupt(count):
    check(GOES_ON_ELSEWHERE, count)


FORKED = """
import os
compiled = pb.compile(FUNCTIONS["turns"], threads=threads)
wanted = compiled(SMALL, np.int64(3))
def fork():
    child = os.fork()
    if not child:
        cut = is_interrupted(lambda: compiled(SMALL, FOR_EVER))
        os._exit(0 if cut and same(compiled(SMALL, np.int64(3)), wanted) else 1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
codes = []
fork()
other = threading.Thread(target=fork)
other.start()
other.join()
assert codes == [0, 0], codes
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_child_process_hears_of_signals_whichever_thread_forked_it(count):
    check(FORKED, count)


FAILED = """
@pb.compile(threads=threads)
def summed(x, power, n):
    return pb.while_loop(
        lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + (x + c[0]) ** power), (np.int64(0), x)
    )[1]

summed(SMALL.astype(int), np.int64(2), np.int64(3))
heard = []
signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    summed(np.arange(1600).reshape(40, 40) + 2, np.int64(-1), FOR_EVER)
except ValueError as error:
    sys.exit("negative integer powers" not in str(error) or heard != [1])
sys.exit(1)
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_loop_in_which_a_library_has_failed_ends_with_that_error_and_signals_are_heard(count):
    check(FAILED, count)


DONATED = """
compiled, n = pb.compile(grown, donate_argnums=0, threads=threads), np.int64(1 << 26)
compiled(np.zeros(5), np.int64(3))
x = np.zeros(5)
is_interrupted(lambda: compiled(x, n))
assert x[0] in (0, n) and np.all(x == x[0]), x
"""


def test_donated_arrays_are_whole_after_an_interrupt():
    check(DONATED, 1)


def listens(function, *args, **options):
    """Whether the machine code of a function hears of signals."""
    compiled = pb.compile(function, **options)
    compiled(*args)
    return "PyErr_CheckSignals" in compiled.llvm


def test_long_loops_alone_listen_and_none_that_changes_donated_arrays():
    x, n = np.zeros(5), np.int64(3)
    assert listens(grown, x, n)
    assert not listens(grown, x, n, donate_argnums=0)
    for length, is_long in ((100, False), (1_000_000, True)):
        assert is_long == listens(
            lambda x, k=length: pb.scan(lambda c, _: (np.sin(c), None), x, None, length=k)[0], x[0]
        )


@pytest.mark.parametrize(("most", "listening"), [(100, 1), (10_000, 2)])
def test_a_loop_of_many_turns_at_most_listens_since_one_around_counts_a_single_turn(
    most, listening
):
    def inner(x):
        return pb.while_loop(lambda x: x < 1, lambda x: x + 0.5, x, max_iterations=most)

    compiled = pb.compile(lambda x: pb.while_loop(lambda x: x < 9, lambda x: 2 * inner(x), x))
    assert compiled(np.float64(0)) == 16
    assert compiled.llvm.count("call void @listen(") == listening
