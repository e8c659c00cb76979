"""Running a graph with NumPy: one straight line of Python, with temporary memory planned ahead.

The program is generated once per graph. Element-by-element operations and matrix products write
into buffers that are reused as soon as their value is dead, so a training step allocates nothing
but its results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.aval import Aval

if TYPE_CHECKING:
    from pullback.core.graph import Graph, Node

_BUFFER_BYTES = 2048
"""Below this size NumPy's own small-block cache is as quick as a buffer."""


class Program:
    """A graph as one Python function; safe to call from several threads at once."""

    def __init__(self, graph: Graph) -> None:
        self._plan = _Plan(graph)
        self.source = _source(graph, self._plan)
        names: dict[str, Any] = {}
        for k, node in enumerate(graph.nodes):
            if node.op is not None:
                names[f"f{k}"] = node.op.forward
                names.update({f"p{k}_{key}": value for key, value in node.params.items()})
            elif node.is_constant:
                names[f"v{k}"] = node.value
        exec(compile(self.source, f"<{graph.name}>", "exec"), names)  # generated just above
        self._run: Callable[[Any, Any], list[Any]] = names["run"]
        self._pool: list[list[Any]] = []

    def __call__(self, leaves: Sequence[Any]) -> list[Any]:
        try:
            buffers = self._pool.pop()  # atomic, so that no two threads get the same buffers
        except IndexError:
            buffers = [np.empty(aval.shape, aval.dtype) for aval in self._plan.buffers]
        results = self._run(leaves, buffers)
        self._pool.append(buffers)
        return results


class _Plan:
    """Which node writes into which buffer."""

    def __init__(self, graph: Graph) -> None:
        self.buffers: list[Aval] = []
        self.buffer_of: dict[Node, int] = {}
        memory = _memory(graph)
        last_use = _last_use(graph, memory)
        escaping = {root for node in graph.results for root in memory[node]}
        free: dict[Aval, list[int]] = {}
        dying: dict[int, list[Node]] = {}
        for owner, position in last_use.items():
            dying.setdefault(position, []).append(owner)
        for position, node in enumerate(graph.nodes):
            ends = dying.get(position, ())
            if _writes_out(node) and node not in escaping:
                ready = free.get(node.aval, [])
                same_place = [o for o in ends if self._can_overwrite(node, o)]
                if same_place:
                    self.buffer_of[node] = self.buffer_of[same_place[0]]
                    ends = [o for o in ends if o is not same_place[0]]
                elif ready:
                    self.buffer_of[node] = ready.pop()
                else:
                    self.buffer_of[node] = len(self.buffers)
                    self.buffers.append(node.aval)
            for owner in ends:
                if owner in self.buffer_of and owner is not node:
                    free.setdefault(owner.aval, []).append(self.buffer_of[owner])

    def _can_overwrite(self, node: Node, owner: Node) -> bool:
        return (
            owner in self.buffer_of
            and owner.aval == node.aval
            and node.op is not None
            and node.op.kind == "elementwise"
            and owner in node.inputs
        )


def _writes_out(node: Node) -> bool:
    return (
        node.op is not None
        and isinstance(node.op.forward, np.ufunc)
        and isinstance(node.aval, Aval)
        and node.aval.ndim > 0
        and node.aval.size * node.aval.dtype.itemsize >= _BUFFER_BYTES
    )


def _memory(graph: Graph) -> dict[Node, frozenset[Node]]:
    """Return for each node the nodes whose memory its value may share (itself if it owns some)."""
    memory: dict[Node, frozenset[Node]] = {}
    for node in graph.nodes:
        if node.op is None or _writes_out(node):
            memory[node] = frozenset([node])
        else:  # it may be a view of any of its inputs
            memory[node] = frozenset([node]).union(*[memory[i] for i in node.inputs])
    return memory


def _last_use(graph: Graph, memory: dict[Node, frozenset[Node]]) -> dict[Node, int]:
    last: dict[Node, int] = {}
    for position, node in enumerate(graph.nodes):
        for i in (node, *node.inputs):
            for owner in memory[i]:
                last[owner] = position
    return last


def _source(graph: Graph, plan: _Plan) -> str:
    names = {node: f"v{k}" for k, node in enumerate(graph.nodes)}
    lines = ["def run(inputs, buffers):"]
    if graph.arguments:
        lines.append(f"    ({', '.join(names[n] for n in graph.arguments)},) = inputs")
    for b in range(len(plan.buffers)):
        lines.append(f"    b{b} = buffers[{b}]")
    for k, node in enumerate(graph.nodes):
        if node.op is None:
            continue
        parts = [names[i] for i in node.inputs]
        parts += [f"{key}=p{k}_{key}" for key in node.params]
        if node in plan.buffer_of:
            parts.append(f"out=b{plan.buffer_of[node]}")
        lines.append(f"    {names[node]} = f{k}({', '.join(parts)})")
    outputs = [names[n] + (".copy()" if _is_array_constant(n) else "") for n in graph.results]
    lines.append(f"    return [{', '.join(outputs)}]")
    return "\n".join(lines) + "\n"


def _is_array_constant(node: Node) -> bool:
    return isinstance(node.value, np.ndarray)
