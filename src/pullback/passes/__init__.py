"""Floor 2: passes, from graph to graph."""

from pullback.passes.reroll import reroll
from pullback.passes.simplify import simplify

__all__ = ["reroll", "simplify"]
