"""Timing one computation by several libraries: the results compared first, the rounds interleaved.

A noisy machine is so noisy for all; the fastest round tells most, the median is there to compare.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.bench import ceilings
from pullback.core import pytree
from pullback.core.errors import ComparisonError, PullbackError

OURS = "pullback"
CALLS = 3
"""How many calls are compared: a training step has to continue like ours, too."""

Run = Callable[[], Any]
Builder = Callable[[], Run]


@dataclass(frozen=True, slots=True)
class Task:
    """One computation, by us and by peers.

    `peers` leads from a name to what builds the function to be timed; OURS is among them. Results
    are pytrees of arrays and are to agree to the relative `tolerance`. `value` builds what a
    gradient is compared with: the same function, compiled but not differentiated. `flops` counts
    the multiplications and additions in float32 products of matrices, `moved` the bytes that have
    to be read and written at least; where both are 0, no ceiling is known.
    """

    name: str
    summary: str
    peers: Mapping[str, Builder]
    tolerance: float = 1e-3
    value: Builder | None = None
    flops: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a call: the fastest round and the median one."""

    minimum: float
    median: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a task's peers took, why some were left out, and the time of the value alone.

    `ceiling` is the time in seconds of the products or copies alone, at the machine's best rate.
    """

    task: str
    timings: dict[str, Timing]
    left_out: dict[str, str] = field(default_factory=dict)
    value: Timing | None = None
    ceiling: float | None = None

    def ratio(self, peer: str) -> float:
        """Return the peer's fastest round over ours."""
        return self.timings[peer].minimum / self.timings[OURS].minimum

    def share(self, peer: str) -> float | None:
        """Return which share of the machine's best rate a peer reaches."""
        return None if self.ceiling is None else self.ceiling / self.timings[peer].minimum

    @property
    def cost(self) -> float | None:
        """The time of our gradient over that of the value alone."""
        if self.value is None:
            return None
        return self.timings[OURS].minimum / self.value.minimum


def compare(task: Task, rounds: int = 10, seconds: float = 0.05, limit: float = 15.0) -> Comparison:
    """Return the times of all peers that are there, in rounds of at least `seconds` each.

    After `limit` seconds no round is begun, but one is always made.
    Raises ComparisonError if a peer computes something else than we do.

    >>> sums = {"pullback": lambda: lambda: 3.0, "other": lambda: lambda: sum([1.0, 2.0])}
    >>> sorted(compare(Task("sum", "1 + 2", sums), rounds=1, seconds=0.0).timings)
    ['other', 'pullback']
    """
    runs, left_out = {OURS: task.peers[OURS]()}, {}
    expected = [runs[OURS]() for _ in range(CALLS)]
    for peer, build in task.peers.items():
        if peer == OURS:
            continue
        try:
            run = build()
            found = [run() for _ in range(CALLS)]
        except PullbackError:
            raise
        except Exception as error:  # whatever a library does that is not there, or not complete
            left_out[peer] = reason(error)
            continue
        check_agreement(task, peer, found, expected)
        runs[peer] = run
    beside = {"value": task.value()} if task.value is not None else {}
    limited = task.flops or task.moved
    beside |= ceilings.references() if limited else {}
    for run in beside.values():
        run()
    runs |= beside
    times: dict[str, list[float]] = {name: [] for name in runs}
    start = time.perf_counter()
    for turn in range(rounds):
        if turn and time.perf_counter() - start > limit:
            break
        for name, run in runs.items():
            times[name].append(seconds_of(run, seconds))
    timings = {name: Timing(min(t), statistics.median(t)) for name, t in times.items()}
    others = {name: timings.pop(name) for name in beside}
    best = {name: timing.minimum for name, timing in others.items()}
    ceiling = ceilings.seconds(task.flops, task.moved, best) if limited else None
    return Comparison(task.name, timings, left_out, others.get("value"), ceiling)


def seconds_of(run: Run, at_least: float) -> float:
    """Return the mean time of a call, over calls that take `at_least` seconds together."""
    count, start = 0, time.perf_counter()
    while True:
        run()
        count += 1
        taken = time.perf_counter() - start
        if taken >= at_least:
            return taken / count


def reason(error: Exception) -> str:
    """Return why a peer is left out, in a line.

    >>> reason(ModuleNotFoundError("No module named 'jax'", name="jax"))
    'jax is not installed'
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name} is not installed"
    said = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {said[0][:100]}"


def check_agreement(task: Task, peer: str, found: Any, expected: Any) -> None:
    """Raise ComparisonError where a result is farther from ours than the task allows."""
    theirs, ours = (pytree.leaves(tree) for tree in (found, expected))
    if len(theirs) != len(ours):
        raise ComparisonError(
            f"{task.name}: {peer}: expected {len(ours)} arrays in {CALLS} calls, got {len(theirs)}"
        )
    for a, b in zip(theirs, ours, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        far = np.max(np.abs(a - b), initial=0.0) if a.shape == b.shape else np.inf
        if not far <= task.tolerance * np.max(np.abs(b), initial=0.0):
            raise ComparisonError(
                f"{task.name}: {peer} computes something else: expected {_short(b)} to a relative "
                f"{task.tolerance:g}, got {_short(a)}"
            )


def _short(array: Any) -> str:
    return np.array2string(array, threshold=4, edgeitems=2, precision=6).replace("\n", "")
