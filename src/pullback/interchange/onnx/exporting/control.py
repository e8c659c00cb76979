"""Loops and choices: their bodies are subgraphs, which see the values around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.interchange.onnx.exporting.rules import as_given, enter
from pullback.interchange.onnx.exporting.translate import declared, translate
from pullback.interchange.onnx.outline import Entry, Kind, Outline
from pullback.interchange.onnx.writer import Value, Writer


def subgraph(
    w: Writer,
    kinds: Sequence[tuple[Any, Any]],
    body: Callable[..., Sequence[Value]],
    name: str,
    shapes: Sequence[Any],
) -> Any:
    """Return the GraphProto of `body(writer, *inputs)`; `kinds` are names and kinds of inputs."""
    from onnx import helper

    inner = w.inner()
    given = [Value(w.names.new(stem), kind.dtype) for stem, kind in kinds]
    results = [inner.Identity(r) for r in body(inner, *given)]
    inputs = [declared(v, kind.shape) for v, (_, kind) in zip(given, kinds, strict=True)]
    outputs = [declared(v, s) for v, s in zip(results, shapes, strict=True)]
    return helper.make_graph(inner.nodes, name, inputs, outputs)


def _several(
    w: Writer, operator: str, inputs: Any, dtypes: Sequence[Any], **attributes: Any
) -> Any:
    """Add a node with results of several dtypes."""
    results = w.add(operator, inputs, len(dtypes), np.bool_, attributes)
    results = [results] if len(dtypes) == 1 else results
    return [Value(str(r), dtype) for r, dtype in zip(results, dtypes, strict=True)]


def _scan(w: Writer, entry: Entry, *values: Value) -> Any:
    step, reverse = entry.params["step"], entry.params["reverse"]
    fixed, carry, xs = step.split(values)
    kinds = [a.kind for a in step.graph.arguments[step.fixed :]]
    named = [(f"state{i}" if i < step.carries else "x", kind) for i, kind in enumerate(kinds)]
    if not xs:  # ONNX has no loop over nothing
        counter = w.constant(np.zeros(entry.params["length"], np.bool_))
        xs, named = [counter], [*named, ("step", Kind((), np.dtype(np.bool_)))]
    count = len(kinds)

    def body(inner: Writer, *inputs: Value) -> Any:
        return translate(inner, step.graph, [*fixed, *inputs[:count]])

    results = step.graph.results
    graph = subgraph(w, named, body, step.graph.name, [r.shape for r in results])
    directions = {"scan_input_directions": [int(reverse)] * len(xs)}
    if len(results) > step.carries:
        directions["scan_output_directions"] = [int(reverse)] * (len(results) - step.carries)
    return _several(
        w, "Scan", [*carry, *xs], [r.dtype for r in results],
        body=graph, num_scan_inputs=len(xs), **directions,
    )  # fmt: skip


def _switch(w: Writer, entry: Entry, index: Value, *values: Value) -> Any:
    branches: tuple[Outline, ...] = entry.params["branches"]
    dtypes = [r.dtype for r in branches[0].results]

    def chosen(writer: Writer, first: int) -> Any:
        """Return the results of the branch `index` of those from `first` on."""
        if first == len(branches) - 1:
            return translate(writer, branches[first], values)

        def alone(inner: Writer) -> Any:
            return translate(inner, branches[first], values)

        def rest(inner: Writer) -> Any:
            return chosen(inner, first + 1)

        shapes = [r.shape for r in branches[first].results]
        here = writer.LessOrEqual(writer.cast(index, np.int64), first)
        return _several(
            writer, "If", [here], dtypes,
            then_branch=subgraph(writer, [], alone, branches[first].name, shapes),
            else_branch=subgraph(writer, [], rest, "otherwise", shapes),
        )  # fmt: skip

    return chosen(w, 0)


def _while(w: Writer, entry: Entry, *values: Value) -> Any:
    condition, step, limit = (entry.params[key] for key in ("condition", "step", "limit"))
    fixed, carry, _ = step.split(values)
    number, truth = Kind((), np.dtype(np.int64)), Kind((), np.dtype(np.bool_))
    states = [a.kind for a in step.graph.arguments[step.fixed :]]

    def holds(writer: Writer, state: Sequence[Value]) -> Value:
        (found,) = translate(writer, condition, [*fixed, *state])
        return writer.cast(found, np.bool_)

    def body(inner: Writer, iteration: Value, goes_on: Value, count: Value, *state: Value) -> Any:
        after = translate(inner, step.graph, [*fixed, *state])
        return [holds(inner, after), inner.Add(count, 1), *after]

    named = [("iteration", number), ("goes_on", truth), ("count", number)]
    named += [(f"state{i}", kind) for i, kind in enumerate(states)]
    shapes = [(), (), *[s.shape for s in states]]
    trips = None if limit is None else w.constant(np.int64(limit))
    return _several(
        w, "Loop", [trips, holds(w, carry), w.constant(np.int64(0)), *carry],
        [np.int64, *[s.dtype for s in states]],
        body=subgraph(w, named, body, step.graph.name, shapes),
    )  # fmt: skip


enter({"scan": _scan, "switch": _switch, "while_loop": _while}, as_given)
