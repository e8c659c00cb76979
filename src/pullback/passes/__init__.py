"""Floor 2: passes, from graph to graph."""

from pullback.core.graph import Graph
from pullback.passes.reroll import reroll
from pullback.passes.scatters import join_parts
from pullback.passes.share_loops import share_loops
from pullback.passes.simplify import simplify
from pullback.passes.sum_outside import sum_outside


def optimise(graph: Graph) -> Graph:
    """Return the graph that is compiled: simple, sums joined, loops rolled and shared."""
    return sum_outside(share_loops(reroll(join_parts(simplify(graph)))))


__all__ = ["join_parts", "optimise", "reroll", "share_loops", "simplify", "sum_outside"]
