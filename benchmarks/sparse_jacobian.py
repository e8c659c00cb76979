"""Sparse Jacobians and Hessians: against the dense Jacobian, and at 100,000 unknowns.

Run with OMP_NUM_THREADS=1. Prints times, the number of products, and memory as tracemalloc counts
it, beside the memory of the result itself.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb


def three_points(x):
    """A cyclic stencil of three points, with a reaction term."""
    return np.roll(x, 1) - 2 * x + np.roll(x, -1) + x**3


def five_points(u):
    """The residual of a nonlinear Poisson equation on a square, zero on its border."""
    side = round(u.size**0.5)
    v = np.pad(u.reshape(side, side), 1)
    inner = v[1:-1, 1:-1]
    laplacian = v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2] - 4 * inner
    return (laplacian + np.exp(inner)).ravel()


def surface(u):
    """The area of a surface over a square, a function with a sparse Hessian."""
    side = round(u.size**0.5)
    v = u.reshape(side, side)
    down, right = np.diff(v[:, :-1], axis=0), np.diff(v[:-1], axis=1)
    return np.sum(np.sqrt(1 + down**2 + right**2))


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Return the shortest time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_bytes(function: Callable[[], Any]) -> int:
    """Return the most memory that a call holds at once."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def against_dense(n: int = 2000, repeats: int = 200) -> dict[str, float]:
    """Compare with the dense Jacobian of the cyclic stencil."""
    x = np.random.default_rng(0).uniform(size=n)
    dense, sparse = pb.jacobian(three_points), pb.sparse_jacobian(three_points)
    first = seconds(lambda: sparse(x), 1)
    difference = float(np.abs(sparse(x).toarray() - dense(x)).max())
    found = {
        "first": first,
        "sparse": seconds(lambda: sparse(x), repeats),
        "dense": seconds(lambda: dense(x), 3),
        "difference": difference,
    }
    found["speedup"] = found["dense"] / found["sparse"]
    print(f"cyclic stencil of 3 points, n = {n}: {sparse.colors(x)} products")
    print(f"  dense {found['dense'] * 1e3:.1f} ms, sparse {found['sparse'] * 1e3:.3f} ms", end="")
    print(f" ({found['speedup']:.0f} times faster), difference {difference:.0e}")
    print(f"  first call, with detection and colouring: {first * 1e3:.0f} ms")
    return found


def at_size(name: str, derivative: Any, size: int) -> dict[str, float]:
    """Time detection and evaluation, and weigh the memory of both."""
    u = np.random.default_rng(0).uniform(size=size)
    first = seconds(lambda: derivative(u), 1)
    matrix = derivative(u)
    stored = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    found = {
        "first": first,
        "evaluation": seconds(lambda: derivative(u), 5),
        "peak": peak_bytes(lambda: derivative(u)),
        "stored": stored,
        "nonzeros": matrix.nnz,
        "products": derivative.colors(u),
    }
    found["first peak"] = peak_bytes(lambda: derivative(u.astype(np.float32)))
    print(f"{name}, {size} unknowns: {matrix.nnz} non-zeros, {found['products']} products")
    print(f"  first call {first:.2f} s, then {found['evaluation'] * 1e3:.1f} ms", end="")
    print(f"; result {stored / 1e6:.1f} MB, peak {found['peak'] / 1e6:.1f} MB", end="")
    print(f" (first call {found['first peak'] / 1e6:.0f} MB)")
    return found


def main(side: int = 316) -> None:
    """Print all figures."""
    against_dense()
    for cells in (side // 2, side):
        at_size("Jacobian of 5 points", pb.sparse_jacobian(five_points), cells**2)
    at_size("Hessian of a surface's area", pb.sparse_hessian(surface), side**2)


if __name__ == "__main__":
    main()
