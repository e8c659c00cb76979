"""Running a graph with NumPy: one straight line of Python, with temporary memory planned ahead.

The program is generated once per graph. Element-by-element operations and matrix products write
into places of one arena that are reused as soon as their value is dead, so a training step
allocates nothing but its results; every other value is deleted after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.memory import Arena, block, last_uses, live_bytes, nbytes, owners

if TYPE_CHECKING:
    from pullback.core.graph import Graph, Node

_BUFFER_BYTES = 2048
"""Below this size NumPy's own small-block cache is as quick as a buffer."""


class Program:
    """A graph as one Python function; safe to call from several threads at once."""

    def __init__(self, graph: Graph) -> None:
        self._plan = Plan(graph)
        self.source = _source(graph, self._plan)
        names: dict[str, Any] = {}
        for k, node in enumerate(graph.nodes):
            if node.op is not None:
                names[f"f{k}"] = node.op.forward
                names.update({f"p{k}_{key}": value for key, value in node.params.items()})
            elif node.is_constant:
                names[f"v{k}"] = node.value
        exec(compile(self.source, f"<{graph.name}>", "exec"), names)  # generated just above
        self._run: Callable[[Any, Any], list[Any]] = names.pop("run")  # or it would hold itself
        self._pool: list[list[Any]] = []

    def __call__(self, leaves: Sequence[Any]) -> list[Any]:
        try:
            buffers = self._pool.pop()  # atomic, so that no two threads get the same buffers
        except IndexError:
            buffers = self._plan.make_buffers()
        results = self._run(leaves, buffers)
        self._pool.append(buffers)
        return results


class Plan:
    """Which node writes into which buffer of the arena, and which names die where.

    `peak_bytes` is what a call takes at most: the arena, and what NumPy allocates besides.
    """

    def __init__(self, graph: Graph) -> None:
        self.buffer_of: dict[Node, int] = {}
        self.buffers: list[tuple[int, Aval]] = []
        memory = owners(graph.nodes)
        last = last_uses(graph, memory)
        self._place(graph, last)
        self.deleted = _deleted(graph, self.buffer_of)
        others = live_bytes(graph, memory, ignored=self.buffer_of)
        self.peak_bytes = self.arena_bytes + max(others, default=0)

    def _place(self, graph: Graph, last: dict[Node, int]) -> None:
        arena = Arena()
        numbers: dict[tuple[int, Aval], int] = {}
        start_of: dict[Node, int] = {}
        dying: dict[int, list[Node]] = {}
        for position, node in enumerate(graph.nodes):
            ends = dying.get(position, [])
            if _writes_out(node) and last[node] < len(graph.nodes):
                overwritten = next((o for o in ends if _can_overwrite(node, o)), None)
                if overwritten is not None:
                    ends.remove(overwritten)
                    start = start_of[overwritten]
                else:
                    start = arena.take(nbytes(node))
                start_of[node] = start
                self.buffer_of[node] = numbers.setdefault((start, node.aval), len(numbers))
                dying.setdefault(last[node], []).append(node)
            for owner in ends:
                arena.give(start_of[owner], nbytes(owner))
        self.buffers = list(numbers)
        self.arena_bytes = arena.size

    def make_buffers(self) -> list[Any]:
        """Return new buffers: arrays at their places in one new block of memory."""
        arena = block(self.arena_bytes)
        return [
            arena[start : start + aval.size * aval.dtype.itemsize]
            .view(aval.dtype)
            .reshape(aval.shape)
            for start, aval in self.buffers
        ]


def _writes_out(node: Node) -> bool:
    return (
        node.op is not None
        and isinstance(node.op.forward, np.ufunc)
        and isinstance(node.aval, Aval)
        and node.aval.ndim > 0
        and nbytes(node) >= _BUFFER_BYTES
    )


def _can_overwrite(node: Node, dying: Node) -> bool:
    return (
        dying.aval == node.aval
        and node.op is not None
        and node.op.kind == "elementwise"
        and dying in node.inputs
    )


def _deleted(graph: Graph, planned: dict[Node, int]) -> dict[int, list[Node]]:
    """Return the nodes whose names are deleted after each position, to free their memory."""
    last: dict[Node, int] = {}
    for position, node in enumerate(graph.nodes):
        for i in node.inputs:
            last[i] = position
    kept = {*graph.results, *planned}
    deleted: dict[int, list[Node]] = {}
    for node, position in last.items():
        if node.op is not None and node not in kept and nbytes(node) >= _BUFFER_BYTES:
            deleted.setdefault(position, []).append(node)
    return deleted


def _source(graph: Graph, plan: Plan) -> str:
    names = {node: f"v{k}" for k, node in enumerate(graph.nodes)}
    lines = ["def run(inputs, buffers):"]
    if graph.arguments:
        lines.append(f"    ({', '.join(names[n] for n in graph.arguments)},) = inputs")
    if plan.buffers:
        lines.append(f"    ({', '.join(f'b{b}' for b in range(len(plan.buffers)))},) = buffers")
    for k, node in enumerate(graph.nodes):
        if node.op is not None:
            parts = [names[i] for i in node.inputs]
            parts += [f"{key}=p{k}_{key}" for key in node.params]
            if node in plan.buffer_of:
                parts.append(f"out=b{plan.buffer_of[node]}")
            lines.append(f"    {names[node]} = f{k}({', '.join(parts)})")
        if k in plan.deleted:
            lines.append(f"    del {', '.join(names[n] for n in plan.deleted[k])}")
    outputs = [names[n] + (".copy()" if _is_array_constant(n) else "") for n in graph.results]
    lines.append(f"    return [{', '.join(outputs)}]")
    return "\n".join(lines) + "\n"


def _is_array_constant(node: Node) -> bool:
    return isinstance(node.value, np.ndarray)
