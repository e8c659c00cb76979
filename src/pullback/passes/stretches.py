"""The forward part of a gradient graph, cut into stretches, which may be cut again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pullback.core.graph import Graph, Node, reachable
from pullback.core.memory import is_view, own_bytes
from pullback.passes.cost import cost


@dataclass(eq=False)
class Stretch:
    """The nodes from position `start` to before `end` of the forward part.

    `values` has the nodes that compute them (again), once they have been made.
    """

    start: int
    end: int
    parent: Stretch | None = None
    values: dict[Node, Node] | None = None

    @property
    def is_last(self) -> bool:
        """Whether it ends its parent, so that its values are at hand when those are made."""
        return self.parent is not None and self.end == self.parent.end


class Forward:
    """What the first `outputs` results of a graph need, and what the rest needs of that."""

    def __init__(self, graph: Graph, outputs: int) -> None:
        computed = reachable(graph.arguments, graph.results[:outputs])
        self.nodes = [node for node in computed if node.op is not None]
        self.position = {node: k for k, node in enumerate(self.nodes)}
        self.backward = [n for n in graph.nodes if n.op is not None and n not in self.position]
        self.needed = self._needed()
        self._uses = self._found_uses()
        self._filled = list(accumulate(own_bytes(n) * (n in self.needed) for n in self.nodes))
        self._crossing = self._crossing_bytes()

    def _needed(self) -> set[Node]:
        """Return the forward values that the backward part uses, seen through views."""
        pending = [i for node in self.backward for i in node.inputs if i in self.position]
        needed: set[Node] = set()
        while pending:
            node = pending.pop()
            if node not in needed:
                needed.add(node)
                if is_view(node):
                    pending.extend(i for i in node.inputs if i in self.position)
        return needed

    def _found_uses(self) -> dict[Node, list[int]]:
        """Return the positions where the forward part uses each node, also through views."""
        uses: dict[Node, list[int]] = {node: [] for node in self.nodes}
        for k, node in reversed(list(enumerate(self.nodes))):
            places = [k, *uses[node]] if is_view(node) else [k]
            for i in node.inputs:
                if i in uses:
                    uses[i] += places
        return uses

    def is_used_in(self, node: Node, stretch: Stretch) -> bool:
        """Whether `stretch` uses the value of `node`."""
        return any(stretch.start <= k < stretch.end for k in self._uses[node])

    def _crossing_bytes(self) -> list[int]:
        """Return for each position the bytes that a cut before it keeps."""
        change = [0] * (len(self.nodes) + 1)
        for k, node in enumerate(self.nodes):
            last = max(self._uses[node], default=k)
            change[k + 1] += own_bytes(node)
            change[last + 1] -= own_bytes(node)
        return list(accumulate(change))

    def leaves(self, counts: Sequence[int]) -> list[Stretch]:
        """Cut the forward part into `counts[0]` stretches, each into `counts[1]`, and so on."""
        leaves = [Stretch(0, len(self.nodes))]
        for count in counts:
            leaves = [part for leaf in leaves for part in self._parts(leaf, count)]
        return leaves

    def _parts(self, stretch: Stretch, count: int) -> list[Stretch]:
        if stretch.end - stretch.start < 2:
            return [stretch]
        cuts = self._cuts(stretch.start, stretch.end, count)
        return [Stretch(a, b, stretch) for a, b in pairwise([stretch.start, *cuts, stretch.end])]

    def _cuts(self, start: int, end: int, count: int) -> list[int]:
        """Return where to cut: about equal bytes apart, and near there where least crosses."""
        before = self._filled[start - 1] if start else 0
        size = (self._filled[end - 1] - before) / count
        best: dict[int, tuple[int, float, int]] = {}
        for k in range(start + 1, end):
            share = (self._filled[k - 1] - before) / size if size else 0.0
            number = round(share)
            distance = abs(share - number)
            if 0 < number < count and distance <= 0.25:
                found = (self._crossing[k], distance, k)
                best[number] = min(best.get(number, found), found)
        return sorted({k for _, _, k in best.values()})

    def worth_keeping(self) -> list[Node]:
        """Return the values that the backward part uses, dearest to compute per byte first."""
        again: dict[Node, float] = {}
        for node in self.nodes:
            dropped = (i for i in node.inputs if i in self.position and i not in self.needed)
            again[node] = cost(node) + sum(again[i] for i in dropped)
        candidates = [n for n in self.nodes if n in self.needed and own_bytes(n)]
        return sorted(candidates, key=lambda n: (-again[n] / own_bytes(n), -self.position[n]))
