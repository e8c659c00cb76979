"""Pausing Python's garbage collector while many nodes are made."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()  # a signal's handler may trace, too
_paused: dict[int, int] = {}  # by thread, how many pauses it is in
_was_running = True


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector, which would look again and again at all nodes of a graph.

    It finds nothing there, and takes two thirds of the time where they are very many. It runs again
    when the last of all threads leaves its pause.
    """
    global _was_running
    thread = threading.get_ident()
    with _lock:
        if not _paused:
            _was_running = gc.isenabled()
            gc.disable()
        _paused[thread] = _paused.get(thread, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _paused[thread] -= 1
            if not _paused[thread]:
                _end(thread)


def _end(thread: int) -> None:
    """Forget the pauses of a thread; after the last one the collector runs."""
    del _paused[thread]
    if not _paused and _was_running:
        gc.enable()


def _in_child() -> None:
    """Leave the pauses of threads that a child process does not have."""
    for thread in set(_paused) - {threading.get_ident()}:
        _end(thread)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child
    )
