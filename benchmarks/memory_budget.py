"""Gradient of a chain of 64 layers, tanh(x @ w): peak memory and time against the budget.

Run with OMP_NUM_THREADS=1. Peaks are those of NumPy's allocations as tracemalloc reports them, of
the first call with all that it prepares; times are the minimum over interleaved rounds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
import tracemalloc

import numpy as np

import pullback as pb

LAYERS, ROWS, WIDTH = 64, 4096, 64
SHARES = (1.0, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.08)


def chain(weights, x):
    """Return the sum of the last layer's outputs."""
    for w in weights:
        x = np.tanh(x @ w)
    return np.sum(x)


def peak(function, *args) -> int:
    """Return the bytes that a call allocates at most."""
    tracemalloc.start()
    function(*args)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def main(rounds: int = 5) -> None:
    """Measure each budget, check the gradient, print the table."""
    rng = np.random.default_rng(0)
    problem = (
        [rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5 for _ in range(LAYERS)],
        rng.normal(size=(ROWS, WIDTH)),
    )
    plain = pb.grad(chain)
    most = peak(plain, *problem)
    expected = plain(*problem)
    functions = {"no budget": plain, "traced": pb.trace(plain, *problem)}
    for share in SHARES:
        functions[f"{share:.2f}"] = pb.grad(chain, memory_budget=int(share * most))
    peaks = {name: peak(function, *problem) for name, function in functions.items()}
    for function in functions.values():
        for a, b in zip(function(*problem), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    times = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function(*problem)
            times[name] = min(times[name], time.perf_counter() - start)
    print(f"gradient of {LAYERS} layers tanh(x @ w), x {ROWS} x {WIDTH}, float64, 1 thread")
    print("budget       peak MB  of plain   time ms  of plain  of traced")
    for name in functions:
        print(
            f"{name:10s} {peaks[name] / 1e6:9.1f} {peaks[name] / most:9.3f} "
            f"{times[name] * 1e3:9.1f} {times[name] / times['no budget']:9.2f} "
            f"{times[name] / times['traced']:9.2f}"
        )


if __name__ == "__main__":
    main()
