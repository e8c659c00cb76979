"""How many threads a program may have."""

from __future__ import annotations

import os
import sys

import numpy as np

from pullback.core.errors import ConfigError

MOST = 256


def default_threads() -> int:
    """Return how many threads a program gets: PULLBACK_THREADS, OMP_NUM_THREADS, or all cores.

    Raises ConfigError where one of these is no whole number of 1 or more.
    """
    for name in ("PULLBACK_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text:
            return checked(int(text) if text.isdigit() else text, name)
    affinity = getattr(os, "sched_getaffinity", None)
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, MOST)


def checked(threads: object, name: str = "threads") -> int:
    """Return `threads` as a number, at most what a team can have."""
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
        raise ConfigError(f"{name}: expected a whole number of 1 or more, got {threads!r}")
    return min(int(threads), MOST) if supported() else 1


def supported() -> bool:
    """Whether there are POSIX threads."""
    return sys.platform != "win32"
