"""Elementwise chains, elementary functions and reductions: pullback and the peers installed.

Float32 (or --float64), the same data; rounds are interleaved. Prints for each case the best and the
median round in microseconds, the peer's time over ours, and for arrays far larger than the caches
(--large) the share of the bandwidth at which NumPy copies an array.

    OMP_NUM_THREADS=1 python benchmarks/elementwise.py [--large] [--float64] [case ...]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = (
    f"--xla_cpu_multi_thread_eigen={'false' if os.environ['OMP_NUM_THREADS'] == '1' else 'true'} "
    f"intra_op_parallelism_threads={os.environ['OMP_NUM_THREADS']}"
)

import numpy as np
from scipy import special

import pullback as pb
from pullback.bench import OURS, Task, compare
from pullback.bench.timing import Run, seconds_of

THREADS = int(os.environ["OMP_NUM_THREADS"])
Function = Callable[..., Any]
SMALL, LARGE = (256, 256), (8192, 4096)


def softmax(np: Any, x: Any, y: Any) -> Any:
    """Probabilities of each row."""
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def layer_norm(np: Any, x: Any, y: Any) -> Any:
    """Rows of mean 0 and variance 1."""
    centred = x - np.mean(x, axis=1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=1, keepdims=True) + 1e-5)


def log_sum_exp(np: Any, x: Any, y: Any) -> Any:
    """The logarithm of the sum of each row's exponentials."""
    largest = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - largest), axis=1)) + largest[:, 0]


def gelu(np: Any, x: Any, y: Any) -> Any:
    """Its approximation by tanh."""
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def huber(np: Any, x: Any, y: Any) -> Any:
    """The mean of Huber's loss."""
    size = np.abs(x - y)
    return np.mean(np.where(size < 1, 0.5 * size * size, size - 0.5))


CASES: dict[str, Function] = {
    "relu": lambda np, x, y: np.maximum(x, 0),
    "add": lambda np, x, y: x + y,
    "chain": lambda np, x, y: np.maximum(x * 2 + y, 0) * 0.5 - y,
    "where": lambda np, x, y: np.where(x > y, x, y - 1),
    "exp": lambda np, x, y: np.exp(x),
    "log": lambda np, x, y: np.log(x * x + 0.1),
    "tanh": lambda np, x, y: np.tanh(x),
    "sigmoid": lambda np, x, y: 1 / (1 + np.exp(-x)),
    "sin": lambda np, x, y: np.sin(x),
    "erf": lambda np, x, y: np.erf(x),
    "gelu": gelu,
    "softmax": softmax,
    "layer norm": layer_norm,
    "log-sum-exp": log_sum_exp,
    "huber": huber,
    "sum": lambda np, x, y: np.sum(x),
    "sum of rows": lambda np, x, y: np.sum(x, axis=1),
    "sum of columns": lambda np, x, y: np.sum(x, axis=0),
    "max": lambda np, x, y: np.max(x),
    "norm": lambda np, x, y: np.sqrt(np.sum(x * x)),
    "transpose": lambda np, x, y: x.T * 2 + y.reshape(x.T.shape),
}
"""By the namespace that computes them."""
READS_TWO = {"add", "chain", "where", "huber", "transpose"}
RETURNS_LESS = {"log-sum-exp", "huber", "sum", "sum of rows", "sum of columns", "max", "norm"}


class Numpy:
    """NumPy, with SciPy's error function."""

    erf = special.erf

    def __getattr__(self, name: str) -> Any:
        """Return a function of NumPy."""
        return getattr(np, name)


def with_pullback(f: Function, x: Any, y: Any) -> Run:
    """Return a call of pb.compile."""
    compiled = pb.compile(lambda x, y: f(Numpy(), x, y), threads=THREADS)
    return lambda: compiled(x, y)


def with_numpy(f: Function, x: Any, y: Any) -> Run:
    """Return a call of NumPy and SciPy."""
    return lambda: f(Numpy(), x, y)


def with_jax(f: Function, x: Any, y: Any) -> Run:
    """Return a call of jax.jit."""
    import jax

    jax.config.update("jax_enable_x64", x.dtype == np.float64)

    class Namespace:
        erf = staticmethod(jax.scipy.special.erf)

        def __getattr__(self, name: str) -> Any:
            return getattr(jax.numpy, name)

    fast = jax.jit(lambda x, y: f(Namespace(), x, y))
    a, b = jax.numpy.asarray(x), jax.numpy.asarray(y)
    return lambda: fast(a, b).block_until_ready()


def with_torch(f: Function, x: Any, y: Any, compiled: bool = False) -> Run:
    """Return a call of PyTorch."""
    import torch

    torch.set_num_threads(THREADS)
    torch.compiler.reset()
    names = {"maximum": "clamp_min", "max": "amax"}

    class Namespace:
        erf = torch.erf

        def __getattr__(self, name: str) -> Any:
            found = getattr(torch, names.get(name, name))
            if name not in ("sum", "max", "mean"):
                return found

            def reduced(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
                return found(x) if axis is None else found(x, dim=axis, keepdim=keepdims)

            return reduced

    namespace = Namespace()
    function = torch.compile(lambda x, y: f(namespace, x, y)) if compiled else f
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    return lambda: function(a, b) if compiled else function(namespace, a, b)


PEERS: dict[str, Callable[..., Run]] = {
    OURS: with_pullback,
    "NumPy": with_numpy,
    "jax.jit": with_jax,
    "torch": with_torch,
    "torch.compile": lambda *problem: with_torch(*problem, compiled=True),
}


def main() -> None:
    """Time every case with every peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--large", action="store_true", help="arrays of 128 MB")
    parser.add_argument("--float64", action="store_true")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shape, dtype = LARGE if options.large else SMALL, "f8" if options.float64 else "f4"
    x, y = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    room = np.empty_like(x)
    print(f"{shape}, {x.dtype}, {THREADS} thread(s), microseconds: best, median, peer over ours")
    for name in options.cases or CASES:
        f = CASES[name]
        peers = {peer: partial(make, f, x, y) for peer, make in PEERS.items()}
        found = compare(Task(name, name, peers), options.rounds, 0 if options.large else 0.005)
        best = found.timings[OURS].minimum
        share = ""
        if options.large:
            copying = min(seconds_of(lambda: np.copyto(room, x), 0) for _ in range(options.rounds))
            arrays = 2 + (name in READS_TWO) - (name in RETURNS_LESS)
            share = f"  {arrays / 2 * copying / best:4.0%} of copying's bandwidth"
        print(f"{name}{share}")
        for peer, timing in found.timings.items():
            times = f"{timing.minimum * 1e6:9.1f} {timing.median * 1e6:9.1f}"
            print(f"    {peer:14s} {times}  x{timing.minimum / best:.2f}", flush=True)


if __name__ == "__main__":
    main()
