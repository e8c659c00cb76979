"""Derivatives and batches of a body that is a graph, one function each; all on flat lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval, is_differentiable
from pullback.core.batch import BatchTrace, BatchTracer
from pullback.core.buffer import unwrap
from pullback.core.forward import Forward, ForwardTracer
from pullback.core.graph import Graph, Node
from pullback.core.tracing import trace
from pullback.passes import simplify
from pullback.transform.reverse import pull_back

Flat = Callable[..., Sequence[Any]]


def body_of(function: Flat, avals: Iterable[Aval], name: str) -> Graph:
    """Return a function of flat arguments as the graph that a loop runs, by its name."""
    graph = simplify(trace(function, *avals))
    graph.name = name
    return graph


def avals_of(nodes: Iterable[Node]) -> list[Aval]:
    """Return the shapes and dtypes of `nodes`."""
    return [node.aval for node in nodes]


def floating(values: Iterable[Any]) -> list[int]:
    """Return the positions of the values that have derivatives."""
    return [i for i, x in enumerate(values) if is_differentiable(x.dtype)]


def push(
    function: Flat, primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Return the results of `function` and their tangents; None is a zero tangent."""
    forward = Forward()
    inputs = [
        x if t is None else ForwardTracer(forward, x, t)
        for x, t in zip(primals, tangents, strict=True)
    ]
    return forward.unwrap([unwrap(out) for out in function(*inputs)])


def pull(function: Flat, primals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """Return the cotangents of the floating primals from those of the floating results."""
    places = floating(primals)

    def smooth(*moving: Any) -> list[Any]:
        full = list(primals)
        for i, x in zip(places, moving, strict=True):
            full[i] = x
        results = function(*full)
        return [results[i] for i in floating(results)]

    _, pullback = pull_back(smooth, *[primals[i] for i in places])
    return list(pullback(list(cotangents)))


def spread_out(
    function: Flat, args: Sequence[Any], batched: Sequence[bool]
) -> tuple[list[Any], list[bool]]:
    """Return the results of `function` for a whole batch, and which of them have the batch."""
    batch = BatchTrace()
    inputs = [batch.wrap(x, True) if b else x for x, b in zip(args, batched, strict=True)]
    values, found = [], []
    for out in map(unwrap, function(*inputs)):
        mine = isinstance(out, BatchTracer) and out.context is batch
        if mine:
            out.refresh()
        values.append(out.value if mine else out)
        found.append(bool(mine and out.node))
    return values, found


def repeated(x: Any, size: int) -> Any:
    """Return `size` times `x`, along a new first axis."""
    return np.broadcast_to(x, (size, *np.shape(x)))


def with_batch(aval: Aval, size: int, batched: bool = True) -> Aval:
    """Return the shape and dtype of a batch of what `aval` describes."""
    return Aval((size, *aval.shape), aval.dtype) if batched else aval


def for_a_batch(graph: Graph, size: int, batched: Sequence[bool], results: Sequence[bool]) -> Graph:
    """Return `graph` for a batch in the arguments that are `batched` and the given `results`."""

    def every(*args: Any) -> list[Any]:
        values, found = spread_out(evaluate(graph), args, batched)
        return [
            repeated(x, size) if wanted and not there else x
            for x, there, wanted in zip(values, found, results, strict=True)
        ]

    avals = [with_batch(n.aval, size, b) for n, b in zip(graph.arguments, batched, strict=True)]
    return body_of(every, avals, f"batched_{graph.name}")


def moved_results(graph: Graph, moving: Sequence[bool]) -> list[bool]:
    """Return which results have a tangent where the arguments that are `moving` have one."""
    found: list[bool] = []

    def run(*primals: Any) -> list[Any]:
        tangents = [x if m else None for x, m in zip(primals, moving, strict=True)]
        values, pushed = push(evaluate(graph), primals, tangents)
        smooth = floating(values)
        found.extend(t is not None and i in smooth for i, t in enumerate(pushed))
        return []

    trace(run, *avals_of(graph.arguments))
    return found


def batched_results(graph: Graph, batched: Sequence[bool]) -> list[bool]:
    """Return which results have a batch where the arguments that are `batched` have one."""
    found: list[bool] = []

    def run(*args: Any) -> list[Any]:
        found.extend(spread_out(evaluate(graph), args, batched)[1])
        return []

    avals = [with_batch(n.aval, 2, b) for n, b in zip(graph.arguments, batched, strict=True)]
    trace(run, *avals)
    return found


def is_used(graph: Graph, argument: int) -> bool:
    """Whether some result of `graph` depends on the argument at that position."""
    node = graph.arguments[argument]
    return bool(graph.consumers(node)) or node in graph.results


def evaluate(graph: Graph) -> Flat:
    """Return `graph` as a function of flat arguments."""
    return lambda *args: graph.run(args)


def zeros_where_none(values: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """Return `values` with the zero of its model's shape and dtype for each None."""
    return [
        np.zeros(m.shape, m.dtype) if v is None else v for v, m in zip(values, like, strict=True)
    ]
