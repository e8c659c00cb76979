"""Re-rolling: what a loop in Python left in the graph, once for each repetition, becomes a `scan`.

(Cf. Rocha, Petoumenos, Franke, Bhatotia and O'Boyle, Loop Rolling for Code Size Reduction, 2022.)
The forward and the backward part of a gradient are two loops; what the second reads of the first,
from the last repetition on, is stacked by the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from pullback.core.aval import aval_of
from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.core.step import Step
from pullback.passes.body import Body
from pullback.passes.repetitions import FEWEST, Line
from pullback.passes.rows import laid_end_to_end, make, picked, row, rows
from pullback.passes.unrolled import Each, Loop, family, is_even, is_pick, planned, seen_through


def reroll(graph: Graph) -> Graph:
    """Return a graph of the same results, in which long repetitions are loops.

    >>> import numpy as np, pullback as pb
    >>> def power(x):
    ...     y = x
    ...     for _ in range(200):
    ...         y = y * x
    ...     return y
    >>> print(reroll(pb.trace(power, pb.Aval((3,), "f8"))))
    power(x: f64[3]):
      a = x * x                                             # f64[3]
      b = scan(x, a, step=body, length=199, reverse=False)  # (f64[3],)
      c = item(b, index=0)                                  # f64[3]
      return c
    """
    return _rerolled(graph, frozenset())


def _rerolled(graph: Graph, apart: frozenset[int]) -> Graph:
    """Return the graph with loops, of which the repetitions at the places `apart` are no part."""
    line = Line(graph)
    rolling = _Rolling(graph, line)
    for whole in line.repetitions():
        for run in whole.without(apart):
            loop = planned(line, run, rolling.owner) if run.is_worth_it() else None
            if loop is not None:
                rolling.add(loop)
    if not rolling.loops:
        return graph
    rolling.mark()
    wasteful = [loop for loop in rolling.loops.values() if loop.is_wasteful]
    if wasteful and is_sparing(graph):
        return _rerolled(graph, apart.union(*[loop.rows_apart() for loop in wasteful]))
    return rolling.graph()


def is_sparing(graph: Graph) -> bool:
    """Whether the graph computes values again, so as not to keep them."""
    return any(node.op is OPS["recompute"] for node in graph.nodes)


class _Rolling:
    """Makes the new graph, once all loops are added and what is needed of them is marked."""

    def __init__(self, graph: Graph, line: Line) -> None:
        self.old, self.line = graph, line
        self.loops: dict[int, Loop] = {}
        self._homes: list[Loop | None] = [None] * len(line.nodes)
        self._needed: set[Node] = set()
        self._new: dict[Any, Node] = {}

    def add(self, loop: Loop) -> None:
        """Make `loop` one of the loops."""
        run = loop.run
        self.loops[run.start] = loop
        self._homes[run.start : run.end] = [loop] * (run.end - run.start)
        for slot in loop.steady:
            self.line.share(run, slot)

    def owner(self, node: Node) -> tuple[Loop, int, int] | None:
        """Return the loop that `node` is in, its repetition and its slot."""
        place = self.line.place.get(node, -1)
        loop = self._homes[place] if place >= 0 else None
        if loop is None:
            return None
        return loop, *divmod(place - loop.run.start, loop.run.period)

    def graph(self) -> Graph:
        """Return the graph with the loops."""
        for node in self.old.arguments:
            self._new[node] = Node(node.aval, name=node.name)
        for place in self._stops():
            node = self.line.nodes[place]
            if place in self.loops:
                self._roll(self.loops[place])
            elif node in self._needed:
                self._new[node] = self._again(node)
        return Graph(
            [self._new[node] for node in self.old.arguments],
            [self._value(node) for node in self.old.results],
            self.old.in_tree,
            self.old.out_tree,
            self.old.name,
        )

    def _stops(self) -> list[int]:
        """Return the places outside of loops, and the first of each loop."""
        found: list[int] = []
        end = 0
        for start, loop in sorted(self.loops.items()):
            found += range(end, start + 1)
            end = loop.run.end
        return [*found, *range(end, len(self.line.nodes))]

    # what is needed

    def mark(self) -> None:
        """Find what is needed, from the results back."""
        for node in self.old.results:
            self._need(node)
        for place in reversed(self._stops()):
            node, loop = self.line.nodes[place], self.loops.get(place)
            if loop is not None:
                self._need_taken(loop, range(loop.run.period) if loop.is_needed else loop.steady)
                for slot, back in loop.states if loop.is_needed else ():
                    self._need(loop.start_of(slot, back))
            elif node in self._needed:
                for several in self._rows(node):
                    self._need_all(several)

    def _need_taken(self, loop: Loop, slots: Iterable[int]) -> None:
        for slot in slots:
            for operand in loop.operands[slot]:
                if isinstance(operand, Each):
                    self._need_all(operand.nodes)

    def _need(self, node: Node) -> None:
        home = self.owner(node)
        if home is None:
            self._needed.add(node)
            return
        loop, repetition, slot = home
        if slot in loop.steady:  # made with the loop
            return
        if slot in loop.picks:
            self._need(node.inputs[0])
            return
        loop.is_needed = True
        if loop.state_after(repetition, slot) is None:
            loop.stack(slot, [repetition])

    def _need_all(self, nodes: Sequence[Node]) -> None:
        if nodes[0].is_constant or nodes[0] is nodes[-1]:
            self._need(nodes[0])
            return
        first, second = (seen_through(node, self.owner) for node in nodes[:2])
        home, after = self.owner(first), self.owner(second)
        if home is None or after is None or home[2] in home[0].picks:
            self._need(first.inputs[0])
            return
        loop, start, slot = home
        step = after[1] - start
        loop.stack(slot, range(start, start + step * len(nodes), step))

    def _rows(self, node: Node) -> list[Sequence[Node]]:
        """Return the inputs of a node outside of loops, those in groups that can be one array."""
        if node.op is None or node.op.name != "concatenate" or len(node.inputs) < FEWEST:
            return [[i] for i in node.inputs]
        found: list[Sequence[Node]] = []
        for key, group in groupby(node.inputs, lambda i: family(i, self.owner)):
            several = list(group)
            together = key is not None and len(several) >= FEWEST and is_even(several, self.owner)
            found += [several] if together else [[i] for i in several]
        return found

    # what stands for a node, or for several

    def _value(self, node: Node) -> Node:
        """Return the new node for an old one."""
        found = self._new.get(node)
        if found is not None:
            return found
        home = self.owner(node)
        if home is None or home[2] in home[0].picks:
            made = self._again(node)
        else:
            loop, repetition, slot = home
            state = loop.state_after(repetition, slot)
            if slot in loop.steady:
                made = self._new[loop.first(slot)]
            elif state is not None:
                made = self._result(loop, state)
            else:
                made = row(self._stacked(loop, slot), loop.time(repetition))
        self._new[node] = made
        return made

    def _again(self, node: Node) -> Node:
        groups = self._rows(node)
        if len(groups) < len(node.inputs):
            return self._concatenated(groups, node.params["axis"])
        inputs = tuple([self._value(i) for i in node.inputs])
        return Node(node.aval, node.op, inputs, node.params, node.value)

    def _concatenated(self, groups: Sequence[Sequence[Node]], axis: int) -> Node:
        parts = [
            laid_end_to_end(self._array(group), axis) if len(group) > 1 else self._value(group[0])
            for group in groups
        ]
        return make("concatenate", *parts, axis=axis) if len(parts) > 1 else parts[0]

    def _result(self, loop: Loop, index: int) -> Node:
        key = loop, index
        if key not in self._new:
            whole = self._new[loop]
            self._new[key] = make("item", whole, index=index)
        return self._new[key]

    def _stacked(self, loop: Loop, slot: int) -> Node:
        return self._result(loop, len(loop.states) + list(loop.stacked).index(slot))

    def _array(self, nodes: Sequence[Node]) -> Node:
        """Return one array with a row for each of `nodes`, which are of one family."""
        first, last = self.owner(nodes[0]), self.owner(nodes[-1])
        if first is not None and last is not None and first[2] not in first[0].picks:
            loop, start, end = first[0], *[home[0].time(home[1]) for home in (first, last)]
            return rows(self._stacked(loop, first[2]), start, end, len(nodes))
        if is_pick(nodes[0]):
            return picked(self._value(nodes[0].inputs[0]), nodes)
        inner = self._array([node.inputs[0] for node in nodes])
        return make("reshape", inner, shape=(len(nodes), *nodes[0].shape))

    def _roll(self, loop: Loop) -> None:
        for slot in sorted(loop.steady):
            node = loop.first(slot)
            self._new[node] = self._again(node)
        if not loop.is_needed:
            return
        body = Body(loop)
        fixed = [self._value(node) for node in body.fixed]
        starts = [self._value(loop.start_of(*state)) for state in loop.states]
        turn = -1 if loop.reverse else 1
        xs = [
            Node(aval_of(rows), value=rows[::turn].copy())
            if isinstance(rows, np.ndarray)
            else self._array(rows[::turn])
            for rows, _ in body.xs.values()
        ]
        step = Step(reroll(body.graph()), len(fixed), len(starts))
        self._new[loop] = make(
            "scan", *fixed, *starts, *xs, step=step, length=loop.run.times, reverse=loop.reverse
        )
