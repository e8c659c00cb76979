"""Automatic rematerialisation: a gradient within a budget of bytes, for the least extra work.

The forward part of the graph is cut into stretches. The values at the cuts are kept; what the
backward part needs of a stretch is computed again from them when the backward part comes there.
Stretches are cut again where the budget asks for it: k of them on each of d levels keep about d k
values of k^d, and compute everything at most d times again (Chen, Xu, Zhang, Guestrin, Training
Deep Nets with Sublinear Memory Cost, 2016). With the memory that is left, the values are kept that
cost most to compute per byte. What a choice takes is no estimate: its program is planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from pullback.core.errors import ConfigError
from pullback.core.graph import Graph, Node
from pullback.core.segment import recompute
from pullback.passes.liveness import peak_program_bytes
from pullback.passes.stretches import Forward, Stretch

_PER_NODE = 2500
"""About the bytes that Python takes for a node and its line of the program."""


def rematerialise(graph: Graph, budget: int, outputs: int = 1) -> Graph:
    """Return a graph of the same results whose program takes at most `budget` bytes.

    The forward part is what the first `outputs` results need, the backward part the rest. Results
    count as memory, arguments and constants do not; the program itself may take a tenth.
    Simplify before and not after, since that would merge what is computed twice.
    Raises ConfigError with the smallest budget found to be feasible.
    """
    program = _PER_NODE * len(graph.nodes)
    arrays = budget - min(program, budget // 10)
    least = peak_program_bytes(graph)
    if least <= arrays:
        return graph
    forward = Forward(graph, outputs)
    for choices in _segment_counts(len(forward.nodes)):
        peaks = {counts: peak_program_bytes(rewrite(graph, forward, counts)) for counts in choices}
        sparing = min(peaks, key=lambda counts: peaks[counts])
        if peaks[sparing] <= arrays:
            return _keep_more(graph, forward, sparing, arrays)
        least = min(least, peaks[sparing])
    feasible = min(least + program, -(-least * 10 // 9))
    raise ConfigError(
        f"memory_budget: expected at least {feasible} bytes, the least that was found feasible for "
        f"{graph.name} with arguments of these shapes, got {budget}"
    )


def _segment_counts(size: int) -> Iterator[list[tuple[int, ...]]]:
    """Yield the ways to cut `size` nodes, on one level, on two, ... until they are single.

    About d k values are kept and size / k^d are made at a time: the sum is least at k^(d+1) ~ size.
    """
    for levels in range(1, size.bit_length()):
        counts, k = [], 2
        while k ** (levels + 1) <= 8 * size and k**levels <= size:
            counts.append((k,) * levels)
            k += max(1, k // 4)
        yield counts


def _keep_more(graph: Graph, forward: Forward, counts: Sequence[int], budget: int) -> Graph:
    """Return the rewritten graph that keeps as many values as fit."""
    candidates = forward.worth_keeping()

    def keeping(number: int) -> Graph:
        return rewrite(graph, forward, counts, frozenset(candidates[:number]))

    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high + 1) // 2
        if peak_program_bytes(keeping(middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    return keeping(low)


def rewrite(
    graph: Graph, forward: Forward, counts: Sequence[int], kept: Set[Node] = frozenset()
) -> Graph:
    """Return `graph` with its forward part cut by `counts`; values `kept` are computed once."""
    return _Rewrite(graph, forward, forward.leaves(counts), kept).graph


class _Rewrite:
    """The forward part as it is, then the backward part, with what it needs made just before."""

    def __init__(
        self, graph: Graph, forward: Forward, leaves: Sequence[Stretch], kept: Set[Node]
    ) -> None:
        self.forward, self.kept, self.runs = forward, kept, 0
        self.leaf_at = [leaf for leaf in leaves for _ in range(leaf.start, leaf.end)]
        self.current = self.leaf_at[-1]
        self.once = {
            node: Node(node.aval, value=node.value, name=node.name if node.value is None else "")
            for node in graph.nodes
            if node.op is None
        }
        for node in forward.nodes:
            self.once[node] = _copy(node, [self.once[i] for i in node.inputs])
        for node in forward.backward:
            self.once[node] = _copy(node, [self._latest(i) for i in node.inputs])
        self.graph = Graph(
            [self.once[n] for n in graph.arguments],
            [self.once[n] for n in graph.results],
            graph.in_tree,
            graph.out_tree,
            graph.name,
        )

    def _latest(self, node: Node) -> Node:
        """Return the value of `node` for the backward part, made again where it was dropped."""
        position = self.forward.position.get(node)
        if position is None or node in self.kept:
            return self.once[node]
        leaf = self.leaf_at[position]
        if position < self.current.start:
            if self.forward.is_used_in(node, self.current):
                return self._outside(node, self.current)  # kept at the cut
            self.current = leaf
        return self._values(leaf)[node]

    def _outside(self, node: Node, stretch: Stretch) -> Node:
        """Return the value of `node`, which lies before `stretch`, from the one around it."""
        position = self.forward.position.get(node)
        if position is None or node in self.kept:
            return self.once[node]
        around = stretch.parent
        while around is not None and position < around.start:
            around = around.parent
        assert around is not None
        return self._values(around)[node]

    def _values(self, stretch: Stretch) -> dict[Node, Node]:
        """Return the values of `stretch`, computing it again if they are not there."""
        if stretch.parent is None:
            return self.once
        around = self._values(stretch.parent)
        if stretch.is_last:
            return around
        if stretch.values is None:
            made: dict[Node, Node] = {}
            marked: dict[Node, Node] = {}
            self.runs += 1

            def taken(node: Node) -> Node:
                """Return a value, marked if it was kept: what is made of it is no old value."""
                if node in made and node not in self.kept:
                    return made[node]
                value = self._outside(node, stretch)
                if value not in marked:
                    marked[value] = Node(value.aval, recompute, (value,), {"run": self.runs})
                return marked[value]

            for node in self.forward.nodes[stretch.start : stretch.end]:
                inputs = [taken(i) for i in node.inputs]
                made[node] = self.once[node] if node in self.kept else _copy(node, inputs)
            stretch.values = made
        return stretch.values


def _copy(node: Node, inputs: Sequence[Node]) -> Node:
    return Node(node.aval, node.op, tuple(inputs), node.params)
