"""Floor 2: passes, from graph to graph."""

from pullback.core.graph import Graph
from pullback.passes.reroll import reroll
from pullback.passes.share_loops import share_loops
from pullback.passes.simplify import simplify


def optimise(graph: Graph) -> Graph:
    """Return the graph that is compiled: simplified, loops rolled, what they share made once."""
    return share_loops(reroll(simplify(graph)))


__all__ = ["optimise", "reroll", "share_loops", "simplify"]
