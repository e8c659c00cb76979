"""The body of a loop that was unrolled, as a graph of what one repetition takes and makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval, result_type
from pullback.core.graph import Graph, Node
from pullback.core.pytree import flat
from pullback.ops.index import HOLE, Template
from pullback.passes.repetitions import moves, numbers
from pullback.passes.unrolled import Loop, Operand, Own, is_constant


class Body:
    """What every repetition sees is in `fixed`; `xs` are the series it sees one value of each.

    A series is of nodes, or of numbers, in the order of the repetitions.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.fixed: dict[Node, Node] = {}
        self.xs: dict[Any, tuple[Any, Node]] = {}
        first = loop.nodes[loop.run.start : loop.run.start + loop.run.period]
        self._carried = {state: Node(first[state[0]].aval) for state in loop.states}
        self._made: list[Node] = []
        for slot, node in enumerate(first):
            self._made.append(self._repeated(slot, node))

    def graph(self) -> Graph:
        """Return the graph of (fixed, carries, xs) to (carries, stacked values)."""
        arguments = [*self.fixed.values(), *self._carried.values()]
        arguments += [argument for _, argument in self.xs.values()]
        results = [
            self._carried[slot, back - 1] if back > 1 else self._made[slot]
            for slot, back in self.loop.states
        ]
        results += [self._made[slot] for slot in self.loop.stacked]
        return Graph(arguments, results, flat(len(arguments)), flat(len(results)), "body")

    def _repeated(self, slot: int, node: Node) -> Node:
        if slot in self.loop.steady:  # computed before the loop
            is_seen = slot in self.loop.carries
            return self.fixed.setdefault(node, Node(node.aval)) if is_seen else node
        if slot in self.loop.picks:
            return self._row(self.loop.slot_nodes(slot), node.aval)
        inputs = [self._operand(node, operand) for operand in self.loop.operands[slot]]
        params = dict(node.params)
        if self.loop.moves_index(slot):
            params["index"], inputs = self._moving_index(slot, node.params["index"], inputs)
        return Node(node.aval, node.op, tuple(inputs), params)

    def _operand(self, node: Node, operand: Operand) -> Node:
        if isinstance(operand, Own):
            return self._carried[operand] if operand.back else self._made[operand.slot]
        first = operand.nodes[0]
        if operand.is_shared:
            if first.is_constant:
                return Node(first.aval, value=first.value)
            return self.fixed.setdefault(first, Node(first.aval))
        if not is_constant(operand):
            return self._row(operand.nodes, first.aval)
        dtype = first.dtype
        if first.aval.weak:  # a number takes the dtype of what it meets
            dtype = result_type(*[i.aval for i in node.inputs])
        return self._number([n.value for n in operand.nodes], dtype)

    def _row(self, nodes: Sequence[Node], aval: Aval) -> Node:
        return self.xs.setdefault(tuple(nodes), (nodes, Node(aval)))[1]

    def _number(self, values: Sequence[Any], dtype: Any) -> Node:
        array = np.stack([np.asarray(value, dtype) for value in values])
        key = array.shape, array.dtype, array.tobytes()
        return self.xs.setdefault(key, (array, Node(Aval(array.shape[1:], dtype))))[1]

    def _moving_index(
        self, slot: int, index: Template, inputs: list[Node]
    ) -> tuple[Template, list[Node]]:
        """Return an index that takes as arrays the numbers that are not the same each time."""
        found = np.array([numbers(n.params["index"]) for n in self.loop.slot_nodes(slot)])
        columns = iter(found.T)
        holes = iter(inputs[len(inputs) - sum(part is HOLE for part in index.parts) :])
        arguments = inputs[: len(inputs) - sum(part is HOLE for part in index.parts)]
        parts: list[Any] = []
        for part in index.parts:
            column = next(columns) if moves(part) else None
            if column is not None and (column != column[0]).any():
                arguments.append(self._number(column, np.intp))
                part = HOLE
            elif part is HOLE:
                arguments.append(next(holes))
            parts.append(part)
        return Template(tuple(parts)), arguments
