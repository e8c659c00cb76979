"""Loops that compute the same values: what one has computed at each turn, later ones read.

The derivative of a loop runs its forward part again, to see the carries and all that the slopes are
made of. Where that part is the same as a loop before, its values are stacked by the first loop and
become rows that the second one takes. (Griewank and Walther, "Evaluating Derivatives", 2008,
chapter 5: what a reverse sweep needs is taped, not computed anew.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.core.pytree import flat
from pullback.core.step import Step
from pullback.passes.rows import make

Number = int
"""Two values of one turn with the same number are the same."""

SMALL_WORK = {
    "reshape", "transpose", "broadcast_to", "flip", "stop_gradient", "positive", "add", "subtract",
    "multiply", "negative", "chain_product", "where", "astype",
}  # fmt: skip
"""Operations that are done again rather than stacked, if nothing dearer stands behind them."""


MOST_BYTES = 1 << 28
"""A value that would take more, stacked for all turns, is computed again."""


def share_loops(graph: Graph) -> Graph:
    """Return a graph whose loops do not compute what a loop before has computed at the same turn.

    >>> import numpy as np, pullback as pb
    >>> def loss(x):
    ...     return pb.scan(lambda c, x: (np.tanh(c * x), None), 1.0, x)[0]
    >>> graph = pb.trace(pb.value_and_grad(loss), np.ones(5))
    >>> [str(turn).count("tanh(") for turn in loops(graph)]
    [1, 1, 1]
    >>> [str(turn).count("tanh(") for turn in loops(share_loops(graph))]
    [1, 0]
    """
    if len(loops(graph)) < 2:
        return graph
    return _Sharing(graph).run()


def loops(graph: Graph) -> list[Graph]:
    """Return what the loops of known length in `graph` repeat."""
    return [node.params["step"].graph for node in graph.nodes if _is_loop(node)]


def _is_loop(node: Node) -> bool:
    return node.op is not None and node.op is OPS.get("scan")


class _Loop:
    """A loop, and the numbers of its values.

    `same` pairs carries with those of `twin`, a loop before; `known` says where a loop before has
    computed a value; `stacked` are values that later loops want to see.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.step: Step = node.params["step"]
        self.body = self.step.graph
        self.length: int = node.params["length"]
        self.fixed, self.carries, self.xs = self.step.split(self.body.arguments)
        self.numbers: dict[Node, Number] = {}
        self.same: dict[int, int] = {}
        self.twin: _Loop | None = None
        self.known: dict[Node, tuple[_Loop, Node]] = {}
        self.stacked: dict[Node, None] = {}
        self.rows: dict[Node, tuple[_Loop, Node]] = {}
        self.used: set[int] = set()

    def kept(self) -> list[int]:
        """Return the results that the loop itself still gives, besides what others want to see."""
        results = range(len(self.body.results))
        asked = [k for k in results if k < self.step.carries or k in self.used]
        return [k for k in asked if self.elsewhere(k) is None]

    def elsewhere(self, index: int) -> tuple[_Loop, int | Node] | None:
        """Return the loop that gives a result, and which carry or value of its turns it is."""
        if index >= self.step.carries:
            return self.known.get(self.body.results[index])
        if self.twin is None or index not in self.same:
            return None
        return self.twin.elsewhere(self.same[index]) or (self.twin, self.same[index])

    def choose_rows(self) -> None:
        """Choose what is read from loops before, and ask these for it."""
        dear = self._dear()
        needed = {self.body.results[k] for k in self.kept()} | self.stacked.keys()
        for node in reversed(self.body.nodes):
            if node not in needed:
                continue
            if node in self.known and (node.op is None or node in dear) and self._fits(node):
                self.rows[node] = self.known[node]
            else:
                needed.update(node.inputs)
        found = [self.elsewhere(k) for k in self.used]
        for loop, value in [*self.rows.values(), *filter(None, found)]:
            if isinstance(value, Node):
                loop.stacked[value] = None

    def _fits(self, node: Node) -> bool:
        """Whether there may be a stack of the values; of a carry that is not kept there must be."""
        return node.op is None or self.length * node.aval.size * node.dtype.itemsize <= MOST_BYTES

    def _dear(self) -> set[Node]:
        """Return the values that are not quickly computed from what every turn sees."""
        found: set[Node] = set()
        for node in self.body.nodes:
            if node.op is not None and (
                node.op.name not in SMALL_WORK or any(i in found for i in node.inputs)
            ):
                found.add(node)
        return found

    def place_of(self, value: Node) -> int:
        """Return which result of the new loop has a value of each turn."""
        return len(self.kept()) + list(self.stacked).index(value)

    def made(self, new: Mapping[Node, Node], stacks: list[Node]) -> Node:
        """Return the loop on new inputs, the rows it reads in `stacks`."""
        kept = self.kept()
        carries = [k for k in kept if k < self.step.carries]
        values: dict[Node, Node] = {node: Node(node.aval) for node in self.rows}
        wanted = [self.body.results[k] for k in kept] + list(self.stacked)
        needed = set(wanted)
        for node in reversed(self.body.nodes):
            if node in needed and node not in values:
                needed.update(node.inputs)
        for node in self.body.nodes:
            if node in needed and node not in values:
                again = tuple([values[i] for i in node.inputs])
                values[node] = Node(node.aval, node.op, again, node.params, node.value, node.name)
        arguments = [*self.fixed, *[self.carries[k] for k in carries], *self.xs]
        inside = [*[values.get(x) or Node(x.aval) for x in arguments],
                  *[values[node] for node in self.rows]]  # fmt: skip
        results = [values[node] for node in wanted]
        graph = Graph(inside, results, flat(len(inside)), flat(len(results)), self.body.name)
        fixed, starts, xs = self.step.split(self.node.inputs)
        outside = [new[x] for x in [*fixed, *[starts[k] for k in carries], *xs]]
        params = dict(self.node.params) | {"step": Step(graph, len(fixed), len(carries))}
        return make("scan", *outside, *stacks, **params)


class _Sharing:
    """The work of `share_loops` on one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: dict[Any, Number] = {}
        self._loops: dict[Node, _Loop] = {}
        self._values: dict[tuple[Number, int], tuple[_Loop, Node]] = {}

    def run(self) -> Graph:
        """Number the values of all loops, then make those anew that share some."""
        for node in self.graph.nodes:
            if _is_loop(node):
                self._loops[node] = loop = _Loop(node)
                self._match(loop)
                self._look_up(loop)
            elif node.op is OPS["item"] and node.inputs[0] in self._loops:
                self._loops[node.inputs[0]].used.add(node.params["index"])
        if not any(loop.known for loop in self._loops.values()):
            return self.graph
        for loop in reversed(self._loops.values()):
            loop.choose_rows()
        return self._rebuilt()

    def _rebuilt(self) -> Graph:
        new: dict[Node, Node] = {}
        made: dict[_Loop, Node] = {}

        def result(loop: _Loop, place: int) -> Node:
            return make("item", made[loop], index=place)

        for node in self.graph.nodes:
            if node in self._loops:
                loop = self._loops[node]
                stacks = [result(a, a.place_of(value)) for a, value in loop.rows.values()]
                if loop.kept() or loop.stacked:
                    made[loop] = loop.made(new, stacks)
            elif node.op is OPS["item"] and node.inputs[0] in self._loops:
                loop, index = self._loops[node.inputs[0]], node.params["index"]
                giver, value = loop.elsewhere(index) or (loop, index)
                at = giver.kept().index(value) if isinstance(value, int) else giver.place_of(value)
                new[node] = result(giver, at)
            elif node.op is None:
                new[node] = node
            else:
                inputs = tuple([new[i] for i in node.inputs])
                new[node] = Node(node.aval, node.op, inputs, node.params)
        return Graph(
            [new[node] for node in self.graph.arguments],
            [new[node] for node in self.graph.results],
            self.graph.in_tree, self.graph.out_tree, self.graph.name,
        )  # fmt: skip

    def _look_up(self, loop: _Loop) -> None:
        """Find what loops before have computed, and offer what is new."""
        for node in loop.body.nodes:
            if node.op is None and node not in loop.carries:
                continue
            key = loop.numbers[node], loop.length
            found = self._values.setdefault(key, (loop, node))
            if found[0] is not loop:
                loop.known[node] = found

    # numbers

    def _number(self, key: Any) -> Number:
        try:
            return self._known.setdefault(key, len(self._known))
        except TypeError:  # a parameter that is not hashable is like no other
            return self._known.setdefault(object(), len(self._known))

    def _match(self, loop: _Loop) -> None:
        """Find a loop before that has some of the same carries, and number all values."""
        for other in self._loops.values():
            pairs = _same_starts(loop, other) if other is not loop else {}
            while pairs:
                self._count(loop, {k: other.numbers[other.carries[j]] for k, j in pairs.items()})
                right = {
                    k: j for k, j in pairs.items()
                    if loop.numbers[loop.body.results[k]] == other.numbers[other.body.results[j]]
                }  # fmt: skip
                if right == pairs:
                    loop.same, loop.twin = pairs, other
                    return
                pairs = right
        self._count(loop, {})

    def _count(self, loop: _Loop, carries: Mapping[int, Number]) -> None:
        """Number the values of a turn, given the numbers of some carries."""
        numbers = loop.numbers = {}
        fixed, _, xs = loop.step.split(loop.node.inputs)
        for inner, outer in zip(loop.fixed, fixed, strict=True):
            numbers[inner] = self._number(("fixed", _outside(outer)))
        for k, inner in enumerate(loop.carries):
            numbers[inner] = carries.get(k, self._number(("carry", loop.node, k)))
        for inner, outer in zip(loop.xs, xs, strict=True):
            numbers[inner] = self._row(outer, loop.length)
        for node in loop.body.nodes:
            if node.op is not None:
                params = tuple(sorted(node.params.items()))
                inputs = [numbers[i] for i in node.inputs]
                numbers[node] = self._number((node.op, node.aval, params, *inputs))
            elif node not in numbers:
                numbers[node] = self._number(("constant", _outside(node)))

    def _row(self, node: Node, length: int) -> Number:
        """Return the number of a row of an input: what another loop stacked has one already."""
        if node.op is OPS["item"] and node.inputs[0] in self._loops:
            maker, index = self._loops[node.inputs[0]], node.params["index"]
            if maker.length == length and index >= maker.step.carries:
                return maker.numbers[maker.body.results[index]]
        return self._number(("row", _outside(node)))


def _same_starts(loop: _Loop, other: _Loop) -> dict[int, int]:
    """Pair the carries of two loops of one kind that start the same, in order."""
    if any(loop.node.params[name] != other.node.params[name] for name in ("length", "reverse")):
        return {}
    starts, others = (
        [_outside(node) for node in x.step.split(x.node.inputs)[1]] for x in (loop, other)
    )
    pairs, begin = {}, 0
    for k, start in enumerate(starts):
        j = next((j for j in range(begin, len(others)) if others[j] == start), None)
        if j is not None:
            pairs[k], begin = j, j + 1
    return pairs


def _outside(node: Node) -> Any:
    """Return what an input is known by: a constant by its values."""
    if not node.is_constant:
        return node
    array = np.asarray(node.value)
    return array.dtype, array.shape, array.tobytes(), node.aval.weak
