"""What was compiled, in words and numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pullback.native.loops import Apply, Expr, Kernel
from pullback.native.steps import Choice, Loop, Matmul, Python, Step, Tiles


def report(program: Any) -> str:
    """Return the figures of a compiled program: operations, loops, work, memory, fallbacks."""
    graph = program.graph
    steps = list(_with_turns(program.steps, 1))
    count = Counter(type(s) for s, _ in steps)
    fallbacks = Counter(s.node.op.name for s, _ in steps if isinstance(s, Python))
    work = sum(turns * _work(s) for s, turns in steps)
    at_least = "at least " if any(getattr(s, "condition", None) for s, _ in steps) else ""
    outside = sum(b.nbytes for b in program.slots)
    lines = [
        f"{graph.name}: {sum(n.op is not None for n in graph.nodes)} operations",
        f"  loops       {count[Kernel]}{_around(count)}",
        f"  products    {count[Tiles]} of matrices, and {count[Matmul]} by a library",
        f"  work        {at_least}{work:,} floating-point operations",
        f"  memory      {program.plan.size:,} bytes of temporaries, {outside:,} bytes in and out",
    ]
    if program.donated:
        lines.append(f"  donated     {len(program.donated)} arrays, changed in place")
    names = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in sorted(fallbacks.items()))
    lines.append(f"  by NumPy    {names or 'nothing'}")
    return "\n".join(lines)


def _around(count: Counter[Any]) -> str:
    parts = [f"{count[Loop]} around steps" * bool(count[Loop]),
             f"{count[Choice]} choices" * bool(count[Choice])]  # fmt: skip
    return "".join(f", and {part}" for part in parts if part)


def _with_turns(steps: Iterable[Step], turns: int) -> Iterator[tuple[Step, int]]:
    """Yield every step, also inside others, and how often it runs: once if nobody can tell."""
    for step in steps:
        yield step, turns
        if isinstance(step, Loop):
            known = step.length if step.condition is None and step.length is not None else 1
            yield from _with_turns(step.body.steps, turns * known)
            if step.condition is not None:
                yield from _with_turns(step.condition.steps, turns)
        elif isinstance(step, Choice):
            for branch in step.branches:
                yield from _with_turns(branch.steps, turns)


def _work(step: Step) -> int:
    if isinstance(step, Kernel):
        return _kernel_work(step)
    if isinstance(step, Tiles):
        return _product_work(step) + _kernel_work(Kernel(step.sizes, step.body))
    return _product_work(step) if isinstance(step, Matmul) else 0


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
