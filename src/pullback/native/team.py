"""Threads that run one function together, each its share: they spin for a while, then sleep.

All of it is machine code, from the barrier between two steps to the threads' own loop: a step may
last few microseconds, and Python's threads take longer than that to hand over. A team is made when
it is first needed, belongs to one call at a time, and is made anew in a child process.
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
from pullback.native import cache, team_code
from pullback.native.engine import Loaded
from pullback.native.steps import Step
from pullback.native.threads import checked, default_threads
from pullback.native.work import effort, with_turns

SHARED_EFFORT, LEAST_EFFORT = 1 << 14, 1 << 18
"""What a step must have to do for sharing it, and a program for waking threads (see `effort`)."""

_ALONE = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


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
        if not team_of(threads).run(address, table):
            alone(table)

    return run


@functools.cache
def _runtime() -> Loaded:
    return Loaded(cache.object_file(team_code.text()))


class Team:
    """This thread and `count` - 1 others."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._room = np.zeros(team_code.size(count) + 64, np.uint8)
        self.pointer = -(-self._room.ctypes.data // 64) * 64
        others = count - 1
        self._records = np.array([[self.pointer, k] for k in range(1, count)], np.uint64)
        self._threads = np.zeros(others, np.uint64)
        self._code = code = _runtime()
        meet = ctypes.c_size_t.from_address(self.pointer + team_code.MEET)
        meet.value = code.address("meet")
        p, n = ctypes.c_void_p, ctypes.c_int64
        self._launch = ctypes.PYFUNCTYPE(ctypes.c_bool, p, p, p, n)(code.address("launch"))
        self._stop = ctypes.CFUNCTYPE(None, p, p, n)(code.address("stop"))
        start = ctypes.CFUNCTYPE(ctypes.c_int, p, p, p, n)(code.address("start"))
        records, threads = self._records.ctypes.data, self._threads.ctypes.data
        _made.append(self)  # its threads stay, even if this is interrupted now
        if start(self.pointer, records, threads, others):
            raise ConfigError(f"threads: the system refuses {count} threads; ask for fewer")

    def run(self, function: int, argument: int) -> bool:
        """Let all threads call function(argument, number, count, team), and wait for them.

        Return whether they did: not where another call has the team.
        """
        done: bool = self._launch(self.pointer, function, argument, self.count)
        return done

    def stop(self) -> None:
        """End the other threads for good, unless a call that is still going on has them."""
        self._stop(self.pointer, self._threads.ctypes.data, self.count - 1)


_teams: dict[int, Team] = {}
_made: list[Team] = []
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
    _made.clear()
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop_all() -> None:
    for team in _made:
        team.stop()
