"""Teams of threads whose calls are interrupted, refused by the system, or cut off by the exit."""

import os
import subprocess
import sys

import pytest

from pullback.native import threads

pytestmark = pytest.mark.skipif(not threads.supported(), reason="there are no POSIX threads here")

START = """
import atexit, ctypes, os, resource, signal, sys, threading
import numpy as np

def late():
    if "compiled" in globals():
        assert np.array_equal(compiled(x, np.int64(3)), wanted)
        print("late")

atexit.register(late)  # after what pullback does at the end
import pullback as pb
from pullback.core.errors import ConfigError
from pullback.native import team, team_code
from endless import FOR_EVER, SMALL as x, turns

team.SHARED_EFFORT = team.LEAST_EFFORT = 1
"""
COMPILED = """
compiled = pb.compile(turns, threads=2)
wanted = compiled(x, np.int64(3))
"""


def output(script):
    """Run a script in a process of its own, which is ended if it hangs; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", START + script],
        env=environment, stdout=subprocess.PIPE, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout.split()


INTERRUPTED = """
signal.signal(signal.SIGALRM, signal.default_int_handler)
atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
for k in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 2e-4 + 1e-6 * k)
        while True:
            compiled(x, np.int64(3))
    except KeyboardInterrupt:
        pass
busy = ctypes.c_int32.from_address(team.team_of(2).pointer + team_code.BUSY)
print(busy.value)
"""


def test_a_team_is_free_after_an_interrupt_at_whatever_moment():
    assert output(COMPILED + INTERRUPTED) == ["0", "late"]


def test_one_may_call_at_exit_when_teams_have_ended():
    assert output(COMPILED) == ["late"]


CUT_OFF = """
threading.Thread(target=compiled, args=(x, FOR_EVER), daemon=True).start()
busy = ctypes.c_int32.from_address(team.team_of(2).pointer + team_code.BUSY)
while not busy.value:
    pass
print("end")
"""


def test_the_exit_does_not_wait_for_a_daemon_that_is_in_a_call():
    assert output(COMPILED + CUT_OFF) == ["end", "late"]


REFUSED = """
def count():
    return len(os.listdir("/proc/self/task"))
before = count()
pages = int(open("/proc/self/statm").read().split()[0])
limits = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 28), limits[1]))
try:
    team.team_of(256)
except ConfigError as error:
    print("refused" if "256 threads" in str(error) else error)
assert count() == before
resource.setrlimit(resource.RLIMIT_AS, limits)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited otherwise here")
def test_threads_of_a_team_that_the_system_refuses_are_ended():
    assert output(REFUSED) == ["refused"]
