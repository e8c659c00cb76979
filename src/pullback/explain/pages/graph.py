"""A graph, its values and its gradients as plain data for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.graph import Graph, Node
from pullback.core.memory import nbytes
from pullback.core.printing import expression, reference
from pullback.explain.pages.rules import Rules
from pullback.nn.calls import Call
from pullback.passes.cost import flops
from pullback.transform.table import GradientTable

Data = dict[str, Any]


def graph_data(graph: Graph, calls: Sequence[Call], table: GradientTable | None = None) -> Data:
    """Return the nodes of `graph` and the calls that made them as JSON types.

    Numbers among the constants are no nodes: they stand in the expressions. Arguments that nothing
    uses, such as the keys of dropout in evaluation, are left out.
    """
    drawn = [node for node in graph.nodes if _is_drawn(graph, node)]
    number = {node: k for k, node in enumerate(drawn)}
    scopes = _scopes(graph, drawn, calls)
    used = [call for call in calls if any(call in _around(scopes[n]) for n in drawn)]
    scope_number = {id(call): k for k, call in enumerate(used)}
    rules = Rules()

    def row(node: Node) -> Data:
        call = scopes[node]
        positions = [i for i, source in enumerate(node.inputs) if source in number]
        return {
            "name": node.name,
            "kind": "operation" if node.op else "constant" if node.is_constant else "argument",
            "label": _label(node),
            "text": expression(node) if node.op else "",
            "aval": _avals(node),
            "scope": -1 if call is None else scope_number[id(call)],
            "inputs": [number[node.inputs[i]] for i in positions],
            "rules": [rules.of(node, i) for i in positions],
            "convention": node.op.undefined_at if node.op else "",
            "flows": [_flow(table, node, i) for i in positions],
            "value": _extent(table.values.get(node)) if table else None,
            "gradient": _extent(table.gradients.get(node)) if table else None,
            "flops": flops(node),
            "bytes": nbytes(node),
            "result": node in graph.results,
        }

    parents = [scope_number[id(c.caller)] if c.caller is not None else -1 for c in used]
    return {
        "nodes": [row(node) for node in drawn],
        "scopes": [
            {"path": call.path, "kind": call.kind, "parent": parent}
            for call, parent in zip(used, parents, strict=True)
        ],
    }


def _is_drawn(graph: Graph, node: Node) -> bool:
    if node.is_constant and np.ndim(node.value) == 0:
        return False
    return node.op is not None or bool(graph.consumers(node)) or node in graph.results


def _scopes(
    graph: Graph, drawn: Sequence[Node], calls: Sequence[Call]
) -> Mapping[Node, Call | None]:
    """Return the innermost call that made each node; arguments belong where they are used."""
    found: dict[Node, Call | None] = {}
    open_calls: list[Call] = []
    pending = list(reversed(calls))
    for node in sorted((n for n in drawn if n.op is not None), key=lambda n: n.order):
        while pending and pending[-1].first < node.order:
            open_calls.append(pending.pop())
        while open_calls and open_calls[-1].last < node.order:
            open_calls.pop()
        found[node] = open_calls[-1] if open_calls else None
    for node in drawn:
        if node.op is None:
            users = [_around(found[user]) for user in graph.consumers(node)]
            common = [c for c in users[0] if all(c in u for u in users)] if users else []
            found[node] = common[0] if common else None
    return found


def _around(call: Call | None) -> list[Call]:
    """Return `call` and its callers, innermost first."""
    found = []
    while call is not None:
        found.append(call)
        call = call.caller
    return found


def _label(node: Node) -> str:
    if node.op is None:
        return reference(node)
    sign = node.op.notation.style in ("infix", "prefix", "postfix")
    return node.op.notation.symbol.replace("-", "−") if sign else node.op.name


def _avals(node: Node) -> str:
    avals = (node.aval,) if isinstance(node.aval, Aval) else node.aval
    return ", ".join(f"{'×'.join(map(str, a.shape)) or 'scalar'} {a.dtype}" for a in avals)


def _extent(value: Any) -> Data | None:
    """Return the range, mean and norm of an array's finite entries, and how many are not."""
    if value is None:
        return None
    parts = value if isinstance(value, tuple) else (value,)
    arrays = [np.asarray(part) for part in parts]
    if any(a.dtype.kind not in "biufc" for a in arrays):
        return None
    flat = np.concatenate([np.ravel(np.abs(a) if a.dtype.kind == "c" else a) for a in arrays])
    x = flat.astype(np.float64)
    finite = x[np.isfinite(x)]
    if not finite.size:
        return {"low": None, "high": None, "mean": None, "norm": None, "bad": int(x.size)}
    scale = np.abs(finite).max() or 1.0
    return {
        "low": float(finite.min()),
        "high": float(finite.max()),
        "mean": float(scale * np.mean(finite / scale)),
        "norm": float(scale * np.linalg.norm(finite / scale)),
        "bad": int(x.size - finite.size),
    }


def _flow(table: GradientTable | None, node: Node, position: int) -> float | None:
    if table is None:
        return None
    extent = _extent(table.edges.get((node, position)))
    return extent["norm"] if extent is not None else None
