"""Graphs as text for people and as Graphviz's language for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pullback.core.graph import Graph, Node


def to_text(graph: Graph) -> str:
    """Return `graph` as readable text: one line per node, with its shape and dtype."""
    head = ", ".join(f"{n.name}: {n.aval}" for n in graph.arguments)
    rows: list[tuple[str, str]] = []
    for node in graph.nodes:
        if node.op is not None:
            rows.append((f"{node.name} = {expression(node)}", repr(node.aval)))
        elif node.is_constant and np.ndim(node.value) > 0:
            rows.append((f"{node.name} = {_constant(node.value)}", repr(node.aval)))
    width = max((len(left) for left, _ in rows), default=0)
    lines = [f"{graph.name}({head}):"]
    lines += [f"  {left.ljust(width)}  # {right}" for left, right in rows]
    lines.append("  return " + ", ".join(map(reference, graph.results)))
    return "\n".join(lines)


def expression(node: Node) -> str:
    """Return the operation of `node` applied to the names of its inputs."""
    assert node.op is not None
    operands = [reference(i) for i in node.inputs]
    notation = node.op.notation
    params = [f"{key}={_parameter(value)}" for key, value in node.params.items()]
    if notation.style == "infix" and len(operands) == 2 and not params:
        return f"{operands[0]} {notation.symbol} {operands[1]}"
    if notation.style == "prefix" and len(operands) == 1 and not params:
        return f"{notation.symbol}{operands[0]}"
    if notation.style == "postfix" and len(operands) == 1 and not params:
        return f"{operands[0]}{notation.symbol}"
    return f"{node.op.name}({', '.join(operands + params)})"


def reference(node: Node) -> str:
    """Return how other lines refer to `node`: its name, or the value of a scalar constant."""
    if node.is_constant and np.ndim(node.value) == 0:
        return f"{node.value!s}"
    return node.name


def to_dot(
    graph: Graph,
    values: Mapping[Node, Any] | None = None,
    edges: Mapping[tuple[Node, int], Any] | None = None,
) -> str:
    """Return `graph` in Graphviz's language, arguments as boxes and operations as circles.

    `values` adds each node's forward value, and `edges` what flows back along each edge, which is
    keyed by (consumer, position of the input); see `pullback.backward`.
    """
    numbers = {node: f"n{k}" for k, node in enumerate(graph.nodes)}
    lines = ["digraph {", "  rankdir=LR;", '  node [fontname="Helvetica"];']
    for node, identity in numbers.items():
        shape = "circle" if node.op else "box"
        label = node.op.notation.symbol if node.op else reference(node)
        if node.op is None and node.aval.shape:
            label = f"{node.name}\n{node.aval}"
        if values is not None and node in values and not node.is_constant:
            label += f"\n{_number(values[node])}"
        lines.append(f"  {identity} [shape={shape}, label={_quoted(label)}];")
    for node, identity in numbers.items():
        for position, i in enumerate(node.inputs):
            label = ""
            if edges is not None and (node, position) in edges:
                label = f" [label={_quoted(_number(edges[node, position]))}, fontcolor=red]"
            lines.append(f"  {numbers[i]} -> {identity}{label};")
    for k, result in enumerate(graph.results):
        lines.append(f'  r{k} [shape=plaintext, label="result"];')
        lines.append(f"  {numbers[result]} -> r{k};")
    return "\n".join([*lines, "}"])


def _number(x: Any) -> str:
    if np.ndim(x) == 0:
        return f"{x:.4g}"
    return f"{np.shape(x)} |max| {np.max(np.abs(x)):.3g}" if np.size(x) else f"{np.shape(x)}"


def _constant(value: Any) -> str:
    if value.size <= 4:
        return np.array2string(value, separator=", ").replace("\n", "")
    return f"constant{value.shape}"


def _parameter(value: Any) -> str:
    if isinstance(value, tuple) and value and all(hasattr(v, "arguments") for v in value):
        return "(" + ", ".join(map(_parameter, value)) + ")"
    return value.name if isinstance(value, np.dtype) or hasattr(value, "arguments") else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
