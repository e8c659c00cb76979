"""How much memory the values of a graph take while it runs."""

from __future__ import annotations

from pullback.core.graph import Graph
from pullback.core.interpreter import Plan
from pullback.core.memory import live_bytes, owners


def live_profile(graph: Graph) -> list[int]:
    """Return the bytes alive while each node of the graph is computed, in their order.

    Values live from where they are computed to their last use, results to the end; views share
    the memory of what they view. Arguments and constants are there before and do not count.

    >>> import numpy as np, pullback as pb
    >>> live_profile(pb.trace(lambda x: np.sum(np.exp(x) * 2.0), pb.Aval((1000,), "f8")))
    [0, 8000, 8000, 16000, 8008]
    """
    return live_bytes(graph, owners(graph.nodes))


def peak_live_bytes(graph: Graph) -> int:
    """Return the largest number of bytes that are alive at once: what no executor can go below."""
    return max(live_profile(graph), default=0)


def peak_program_bytes(graph: Graph) -> int:
    """Return the bytes that the interpreter takes at most, with the gaps in its arena.

    Operations that write over a dead operand may bring it below `peak_live_bytes`.
    """
    return Plan(graph).peak_bytes
