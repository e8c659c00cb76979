"""What compiling costs besides the work: first calls, cold and from the disk cache; every call.

OMP_NUM_THREADS=1 python benchmarks/compile_latency.py [--jax] [--limit 300]

With --jax, the first calls of jax.jit on the same loops are timed too, each in a process of its own
that is ended after so many seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PULLBACK_CACHE"] = tempfile.mkdtemp()

import numpy as np

import pullback as pb

STEPS, HIDDEN, BATCH = 1000, 32, 16
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


# loops written in Python, for numpy or jax.numpy


def recurrent(np: Any, w: Any, x: Any) -> Any:
    """Return the loss of a recurrent network."""
    h = x[0] @ w
    for k in range(1, x.shape[0]):
        h = np.tanh(h @ w + x[k])
    return np.sum(h * h)


def lstm(np: Any, w: Any, u: Any, b: Any, x: Any) -> Any:
    """Return the loss of an LSTM."""
    n = u.shape[0]
    h = c = np.zeros((x.shape[1], n))
    for k in range(x.shape[0]):
        z = x[k] @ w + h @ u + b
        i, f, o = (1 / (1 + np.exp(-z[:, j * n : (j + 1) * n])) for j in range(3))
        c = f * c + i * np.tanh(z[:, 3 * n :])
        h = o * np.tanh(c)
    return np.sum(h * h)


def slopes(p: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Return how numbers of prey and predators change."""
    return p[0] * a - p[1] * a * b, p[3] * a * b - p[2] * b


def euler(np: Any, p: Any) -> Any:
    """Return a number of prey and predators after Euler's steps."""
    a, b = 1.0, 0.5
    for _ in range(STEPS):
        da, db = slopes(p, a, b)
        a, b = a + 0.01 * da, b + 0.01 * db
    return a * a + b


def runge_kutta(np: Any, p: Any) -> Any:
    """Return the same after steps of the classical Runge-Kutta method."""
    a, b = 1.0, 0.5
    for _ in range(STEPS):
        k1, l1 = slopes(p, a, b)
        k2, l2 = slopes(p, a + 0.005 * k1, b + 0.005 * l1)
        k3, l3 = slopes(p, a + 0.005 * k2, b + 0.005 * l2)
        k4, l4 = slopes(p, a + 0.01 * k3, b + 0.01 * l3)
        a = a + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        b = b + 0.01 / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
    return a * a + b


def horner(np: Any, c: Any, x: Any) -> Any:
    """Return the value of a polynomial."""
    y = c[-1]
    for k in range(2, c.shape[0] + 1):
        y = y * x + c[-k]
    return np.sum(y)


LOOPS: dict[str, tuple[Callable[..., Any], tuple[int, ...], Callable[[], tuple[Any, ...]]]] = {
    "200 recurrent steps": (
        recurrent, (0,), lambda: (np.eye(16) * 0.2, RNG.normal(size=(200, 8, 16))),
    ),
    "LSTM over 1,000 steps": (
        lstm, (0, 1, 2), lambda: tuple(
            0.1 * RNG.normal(size=shape)
            for shape in ((8, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN,), (STEPS, BATCH, 8))
        ),
    ),
    "1,000 Euler steps": (euler, (0,), lambda: (np.array([1.0, 0.5, 0.7, 0.3]),)),
    "1,000 Runge-Kutta steps": (runge_kutta, (0,), lambda: (np.array([1.0, 0.5, 0.7, 0.3]),)),
    "Horner of degree 1,000": (
        horner, (0, 1), lambda: (RNG.normal(size=STEPS + 1), np.linspace(-1.0, 1.0, 100)),
    ),
}  # fmt: skip
"""What is differentiated, by which arguments, and the arguments."""


def gradient(name: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the gradient of a loop, and its arguments."""
    function, wanted, args = LOOPS[name]
    return pb.grad(lambda *a: function(np, *a), wanted), args()


def first_call(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Print how long the first call takes, cold and from the disk cache, and then a call."""
    times = []
    for _ in range(2):
        compiled = pb.compile(function)
        start = time.perf_counter()
        compiled(*args)
        times.append(time.perf_counter() - start)
    call = fastest(compiled, args, 10, 1)
    print(
        f"{name:36s} first call {times[0]:6.2f} s, from the cache {times[1]:6.2f} s, "
        f"then {call * 1e3:7.3f} ms",
        flush=True,
    )


def fastest(function: Callable[..., Any], args: tuple[Any, ...], rounds: int, calls: int) -> float:
    """Return the seconds of a call, the least of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            function(*args)
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def every_call(name: str, function: Callable[..., Any], *args: Any) -> None:
    """Print how long a call takes that has next to nothing to do."""
    compiled = pb.compile(function)
    compiled(*args)
    print(f"{name:36s} {fastest(compiled, args, 20, 2000) * 1e6:5.2f} us a call")


def with_jax(name: str) -> None:
    """Print how long the first call takes with jax.jit, and then a call."""
    import jax

    jax.config.update("jax_enable_x64", True)
    function, wanted, args = LOOPS[name]
    compiled = jax.jit(jax.grad(lambda *a: function(jax.numpy, *a), wanted))
    given = args()

    def run(*a: Any) -> None:
        jax.block_until_ready(compiled(*a))

    start = time.perf_counter()
    run(*given)
    cold = time.perf_counter() - start
    print(f"{name:36s} jax.jit {cold:9.2f} s, then {fastest(run, given, 10, 1) * 1e3:7.3f} ms")


def all_with_jax(limit: float) -> None:
    """Print the figures of jax.jit, each from a process of its own."""
    for name in LOOPS:
        command = [sys.executable, __file__, "--only-jax", name]
        try:
            subprocess.run(command, timeout=limit, check=True)
        except subprocess.TimeoutExpired:
            print(f"{name:36s} jax.jit more than {limit:.0f} s")


def importing() -> None:
    """Print how long `import pullback` takes in a process of its own, NumPy included."""
    timed = "import time; t = time.perf_counter(); import pullback; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", timed], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"{'import pullback':36s} {min(seconds):16.2f} s")


def main() -> None:
    """Print all figures."""
    importing()
    first_call("nothing, which loads LLVM", np.negative, (np.ones(2),))
    first_call("SGD step of [784, 30, 10]", *training_step())
    for name in LOOPS:
        first_call(f"gradient of {name}", *gradient(name))
    every_call("4 arrays", lambda a, b, c, d: a + b * c - d, *[np.ones(4)] * 4)
    tree = {f"k{i}": np.ones(4) for i in range(20)}
    every_call("20 leaves in", lambda t: sum(v.sum() for v in t.values()), tree)
    every_call("20 leaves in and out", lambda t: {k: v * 2 for k, v in t.items()}, tree)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jax", action="store_true", help="time jax.jit too")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each with jax")
    parser.add_argument("--only-jax", metavar="LOOP", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_jax:
        with_jax(options.only_jax)
    else:
        main()
        if options.jax:
            all_with_jax(options.limit)
