"""What was compiled, in words and numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pullback.native.loops import Kernel
from pullback.native.steps import Choice, Contraction, Loop, Matmul, Python, Strips, Tiles
from pullback.native.work import operations, with_turns


def report(program: Any) -> str:
    """Return the figures of a compiled program: operations, loops, work, memory, fallbacks."""
    graph = program.graph
    steps = list(with_turns(program.steps))
    count = Counter(type(s) for s, _ in steps)
    fallbacks = Counter(s.node.op.name for s, _ in steps if isinstance(s, Python))
    work = sum(turns * operations(s) for s, turns in steps)
    at_least = "at least " if any(getattr(s, "condition", None) for s, _ in steps) else ""
    outside = sum(b.nbytes for b in program.slots)
    lines = [
        f"{graph.name}: {sum(n.op is not None for n in graph.nodes)} operations",
        f"  loops       {count[Kernel]}{_around(count)}",
        f"  products    {count[Tiles] + count[Contraction]} of matrices or windows, "
        f"and {count[Matmul]} by a library",
        f"  work        {at_least}{work:,} floating-point operations",
        f"  memory      {program.plan.size:,} bytes of temporaries, {outside:,} bytes in and out",
    ]
    rounded = sum(getattr(s, "rounded", False) for s, _ in steps)
    if rounded:
        lines.append(f"  bfloat16    {rounded} products of rounded matrices")
    if program.threads > 1:
        lines.append(f"  threads     {program.threads}")
    if program.donated:
        lines.append(f"  donated     {len(program.donated)} arrays, changed in place")
    names = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in sorted(fallbacks.items()))
    lines.append(f"  by NumPy    {names or 'nothing'}")
    return "\n".join(lines)


def _around(count: Counter[Any]) -> str:
    parts = [f"{count[Loop]} around steps" * bool(count[Loop]),
             f"{count[Strips]} around strips" * bool(count[Strips]),
             f"{count[Choice]} choices" * bool(count[Choice])]  # fmt: skip
    return "".join(f", and {part}" for part in parts if part)
