"""What was compiled, in words and numbers."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from pullback.native.loops import Apply, Expr, Kernel
from pullback.native.steps import Matmul, Python, Tiles


def report(program: Any) -> str:
    """Return the figures of a compiled program: operations, loops, work, memory, fallbacks."""
    graph, steps = program.graph, program.steps
    kernels = [s for s in steps if isinstance(s, Kernel)]
    products: list[Matmul | Tiles] = [s for s in steps if isinstance(s, Matmul)]
    tiles: list[Matmul | Tiles] = [s for s in steps if isinstance(s, Tiles)]
    fallbacks = Counter(s.node.op.name for s in steps if isinstance(s, Python))
    bodies = [Kernel(s.sizes, s.body) for s in steps if isinstance(s, Tiles)]
    work = sum(map(_kernel_work, kernels + bodies)) + sum(map(_product_work, products + tiles))
    outside = sum(b.nbytes for b in program.slots)
    lines = [
        f"{graph.name}: {sum(n.op is not None for n in graph.nodes)} operations",
        f"  loops       {len(kernels)}",
        f"  products    {len(tiles)} of matrices, and {len(products)} by a library",
        f"  work        {work:,} floating-point operations",
        f"  memory      {program.plan.size:,} bytes of temporaries, {outside:,} bytes in and out",
    ]
    names = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in sorted(fallbacks.items()))
    lines.append(f"  by NumPy    {names or 'nothing'}")
    return "\n".join(lines)


def _kernel_work(kernel: Kernel) -> int:
    seen: set[Expr] = set()
    count = 0
    pending: list[Expr] = [s.value for s in kernel.body]
    while pending:
        expr = pending.pop()
        if expr not in seen and isinstance(expr, Apply):
            seen.add(expr)
            pending.extend(expr.args)
            count += expr.dtype.kind == "f"
    count += sum(not hasattr(s, "add") for s in kernel.body)  # a step of each reduction
    return count * math.prod(kernel.sizes)


def _product_work(step: Matmul | Tiles) -> int:
    return 2 * step.m * step.n * step.k * math.prod(step.batch)
