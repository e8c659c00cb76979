"""Matrix products: pullback's own, OpenBLAS through NumPy, and the peers that are installed.

Prints GFLOP/s, and the share of what the multipliers do at most, measured by a loop that only
multiplies and adds in registers. N and T say how the factors lie in memory: NT is A @ B.T.

    OMP_NUM_THREADS=1 python benchmarks/matrix_products.py [--float64] [--large]

The times are those of the process, so that what else runs on the machine counts less; the rounds
are interleaved, and each figure is that of the best round. This table is why products run as our
own tiles: they are ahead of OpenBLAS at every shape, but for sums of more than 8192 terms, which
were not measured and stay the library's.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np

import pullback as pb
from pullback.native.code import Code, Module
from pullback.native.engine import Compilation, Loaded, vector_bytes

SHAPES = [
    (10, 784, 30), (64, 784, 128), (128, 784, 512), (128, 512, 512), (128, 512, 10), (1, 512, 512),
    (784, 10, 30), (784, 64, 128), (784, 128, 512), (512, 512, 512),
]  # fmt: skip
LARGE = [(512, 1024, 4096), (512, 4096, 1024), (512, 4096, 4096), (4096, 512, 4096)]
BATCHED = [((64,), 128, 32, 128), ((64,), 128, 128, 32)]
ROUNDED = "in bfloat16"
Product = Callable[[Any, Any], Any]


def measured_peak(dtype: Any) -> float:
    """Return the GFLOP/s of multiplications and additions in registers alone."""
    lanes, sums, turns = vector_bytes() // dtype.itemsize, 12, 100_000
    module = Module()
    code = Code(module, "peak", "ptr %out", lanes=lanes)
    t = code.type(dtype)
    x = code.let(f"load {t}, ptr %out, align {dtype.itemsize}")
    ends = code.fold(
        turns, t, ["zeroinitializer"] * sums,
        lambda _, values: [code.intrinsic("fmuladd", dtype, [x, x, v]) for v in values],
    )  # fmt: skip
    total = ends[0]
    for end in ends[1:]:
        total = code.let(f"fadd {t} {total}, {end}")
    code.line(f"store {t} {total}, ptr %out, align {dtype.itemsize}")
    code.finish()
    loaded = Loaded(Compilation(f"{module}\nattributes #0 = {{ nounwind }}\n").object_file())
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loaded.address("peak"))
    out = np.zeros(lanes, dtype)
    best = min(timed(lambda: run(out.ctypes.data)) for _ in range(20))
    return 2 * sums * lanes * turns / best / 1e9


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds of the process that one call takes, of enough calls to be measured."""
    count, start = 0, time.process_time()
    while time.process_time() - start < 0.01:
        function()
        count += 1
    return (time.process_time() - start) / count


def peers(form: str, dtype: Any) -> dict[str, Product]:
    """Return how each library multiplies matrices that lie in memory as `form` says."""

    def product(a: Any, b: Any) -> Any:
        return (a.mT if form[0] == "T" else a) @ (b.mT if form[1] == "T" else b)

    found: dict[str, Product] = {"pullback": pb.compile(product, threads=1), "NumPy": product}
    if dtype == np.float32:
        found[ROUNDED] = pb.compile(product, threads=1, matmul_precision="bfloat16")
    try:
        import torch

        torch.set_num_threads(1)
        found["torch"] = lambda a, b: product(torch.from_numpy(a), torch.from_numpy(b))
    except ImportError:
        pass
    try:
        import jax

        compiled = jax.jit(product)
        found["jax"] = lambda a, b: compiled(a, b).block_until_ready()
    except ImportError:
        pass
    return found


def row(batch: tuple[int, ...], m: int, k: int, n: int, form: str, dtype: Any) -> dict[str, float]:
    """Return the GFLOP/s of each library for one shape, after checking that they agree."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(*batch, k, m) if form[0] == "T" else (*batch, m, k)).astype(dtype)
    b = rng.normal(size=(*batch, n, k) if form[1] == "T" else (*batch, k, n)).astype(dtype)
    libraries = peers(form, dtype)
    wanted = np.asarray(libraries["NumPy"](a, b))
    for name, product in libraries.items():
        found = np.asarray(product(a, b))
        close = 3e-2 if name == ROUNDED else 1e-3
        np.testing.assert_allclose(found, wanted, rtol=close, atol=close * k**0.5, err_msg=name)
    best = dict.fromkeys(libraries, np.inf)
    for _ in range(8):
        for name, product in libraries.items():
            best[name] = min(best[name], timed(lambda p=product: p(a, b)))
    work = 2 * m * k * n * int(np.prod(batch))
    return {name: work / seconds / 1e9 for name, seconds in best.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float64", action="store_true")
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    dtype = np.dtype("f8" if options.float64 else "f4")
    peak = measured_peak(dtype)
    print(f"{dtype}, one thread, at most {peak:.0f} GFLOP/s; GFLOP/s, and share of that")
    shapes = LARGE if options.large else SHAPES
    cases = [((), *shape) for shape in shapes] + ([] if options.large else BATCHED)
    for batch, m, k, n in cases:
        for form in ("NN", "NT", "TN"):
            figures = row(batch, m, k, n, form, dtype)
            cells = [f"{name} {x:6.1f} {x / peak:4.0%}" for name, x in figures.items()]
            print(f"{(*batch, m, k, n)!s:22s} {form}  {'   '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
