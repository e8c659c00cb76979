"""What compiling costs besides the work: first calls, cold and from the disk cache; every call.

OMP_NUM_THREADS=1 python benchmarks/compile_latency.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PULLBACK_CACHE"] = tempfile.mkdtemp()

import numpy as np

import pullback as pb

RNG = np.random.default_rng(0)


def training_step() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a step of [784, 30, 10] by SGD and its arguments."""
    optimizer = pb.optim.sgd(0.1)
    model = pb.nn.mlp(pb.random.key(0), [784, 30, 10])

    def step(model: Any, state: Any, x: Any, t: Any) -> Any:
        loss, slopes = pb.value_and_grad(
            lambda m: pb.nn.losses.softmax_cross_entropy(m(x), t)
        )(model)  # fmt: skip
        return *optimizer.update(slopes, state, model), loss

    x, t = RNG.random((10, 784), np.float32), RNG.integers(0, 10, 10)
    return step, (model, optimizer.init(model), x, t)


def recurrent(w: Any, x: Any) -> Any:
    """Return the loss of a recurrent network, its loop written in Python."""
    h = x[0] @ w
    for row in x[1:]:
        h = np.tanh(h @ w + row)
    return np.sum(h * h)


def predators(p: Any, steps: int = 1000) -> Any:
    """Return a number of prey and predators after Euler steps written in Python."""
    a, b = 1.0, 0.0
    for _ in range(steps):
        a, b = a + 0.01 * (p[0] * a - p[1] * a * b), b + 0.01 * (p[3] * a * b - p[2] * b)
    return a * a + b


def first_call(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Print how long the first call takes, cold and from the disk cache."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        pb.compile(function)(*args)
        times.append(time.perf_counter() - start)
    print(f"{name:36s} first call {times[0]:6.2f} s, from the cache {times[1]:6.2f} s")


def every_call(name: str, function: Callable[..., Any], *args: Any) -> None:
    """Print how long a call takes that has next to nothing to do."""
    compiled = pb.compile(function)
    compiled(*args)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(2000):
            compiled(*args)
        best = min(best, (time.perf_counter() - start) / 2000)
    print(f"{name:36s} {best * 1e6:5.2f} us a call")


def main() -> None:
    """Print all figures."""
    first_call("nothing, which loads LLVM", np.negative, (np.ones(2),))
    first_call("SGD step of [784, 30, 10]", *training_step())
    rows = RNG.normal(size=(200, 8, 16))
    first_call("gradient of 200 recurrent steps", pb.grad(recurrent), (np.eye(16) * 0.2, rows))
    rates = np.array([1.0, 0.5, 0.7, 0.3])
    first_call("gradient of 1,000 Euler steps", pb.grad(predators), (rates,))
    every_call("4 arrays", lambda a, b, c, d: a + b * c - d, *[np.ones(4)] * 4)
    tree = {f"k{i}": np.ones(4) for i in range(20)}
    every_call("20 leaves in", lambda t: sum(v.sum() for v in t.values()), tree)
    every_call("20 leaves in and out", lambda t: {k: v * 2 for k, v in t.items()}, tree)


if __name__ == "__main__":
    main()
