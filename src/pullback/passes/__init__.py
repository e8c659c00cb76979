"""Floor 2: passes, from graph to graph."""

from pullback.core.graph import Graph
from pullback.passes.flat_products import flat_products
from pullback.passes.repetitions import FEWEST
from pullback.passes.reroll import is_sparing, reroll
from pullback.passes.scatters import join_parts
from pullback.passes.share_loops import share_loops
from pullback.passes.simplify import simplify
from pullback.passes.sum_outside import sum_outside


def optimise(graph: Graph) -> Graph:
    """Return the graph that is compiled: simple, sums joined, loops rolled and shared.

    Loops that are there to be seen are rolled first, so that what follows has little to look at.
    Fewer parts than a loop has turns do not come from turns, and can wait. Where values are
    computed again to save memory, none are stacked to save time.
    """
    rolled = reroll(join_parts(graph, FEWEST))
    found = reroll(join_parts(simplify(rolled)))
    return flat_products(found if is_sparing(found) else sum_outside(share_loops(found)))


__all__ = [
    "flat_products", "join_parts", "optimise", "reroll", "share_loops", "simplify", "sum_outside",
]  # fmt: skip
