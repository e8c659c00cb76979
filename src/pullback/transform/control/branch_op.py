"""The operation of a choice between graphs: only the chosen one runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.graph import Graph, remembered
from pullback.ops.batching import batch_size
from pullback.ops.families import general
from pullback.transform.control.bodies import (
    avals_of,
    body_of,
    evaluate,
    floating,
    for_a_batch,
    pull,
    push,
    zeros_where_none,
)

Branches = tuple[Graph, ...]


def _forward(index: Any, *args: Any, branches: Branches) -> tuple[Any, ...]:
    chosen = branches[min(max(int(index), 0), len(branches) - 1)]
    return tuple(chosen.run(args))


def _infer(index: Aval, *args: Aval, branches: Branches) -> tuple[Aval, ...]:
    return tuple(avals_of(branches[0].results))


@remembered
def _pushed(branches: Branches, moving: tuple[bool, ...]) -> Branches:
    """Return for each branch the graph from arguments and tangents to the results' tangents."""
    avals = avals_of(branches[0].arguments)
    directions = [aval for aval, m in zip(avals, moving, strict=True) if m]

    def tangents_of(graph: Graph) -> Graph:
        def run(*args: Any) -> list[Any]:
            given = iter(args[len(avals) :])
            tangents = [next(given) if m else None for m in moving]
            values, pushed = push(evaluate(graph), args[: len(avals)], tangents)
            filled = zeros_where_none(pushed, values)
            return [filled[i] for i in floating(values)]

        return body_of(run, [*avals, *directions], f"jvp_{graph.name}")

    return tuple(map(tangents_of, branches))


def _jvp(tangents: Sequence[Any], out: Any, args: Any, params: Mapping[str, Any]) -> Any:
    branches = _pushed(params["branches"], tuple(t is not None for t in tangents[1:]))
    directions = [t for t in tangents[1:] if t is not None]
    found = iter(switch_op(*args, *directions, branches=branches))
    smooth = floating(out)
    return tuple(next(found) if i in smooth else None for i in range(len(out)))


@remembered
def _pulled(branches: Branches) -> Branches:
    """Return for each branch the graph from arguments and cotangents to their cotangents."""
    avals, results = avals_of(branches[0].arguments), avals_of(branches[0].results)

    def cotangents_of(graph: Graph) -> Graph:
        def run(*args: Any) -> list[Any]:
            return pull(evaluate(graph), args[: len(avals)], args[len(avals) :])

        smooth = [results[i] for i in floating(results)]
        return body_of(run, [*avals, *smooth], f"vjp_{graph.name}")

    return tuple(map(cotangents_of, branches))


def _vjp_all(cts: Any, out: Any, args: Any, params: Mapping[str, Any]) -> list[Any]:
    given = [cts[i] for i in floating(out)]
    found = iter(switch_op(*args, *given, branches=_pulled(params["branches"])))
    smooth = floating(args[1:])
    return [None, *[next(found) if i in smooth else None for i in range(len(args) - 1)]]


@remembered
def _batched(branches: Branches, size: int, batched: tuple[bool, ...]) -> Branches:
    every = (True,) * len(branches[0].results)
    return tuple(for_a_batch(graph, size, batched, every) for graph in branches)


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
    index, *rest = args
    branches = _batched(params["branches"], batch_size(args, batched), tuple(batched[1:]))
    if not batched[0]:
        return switch_op(*args, branches=branches)
    results = [graph.run(rest) for graph in branches]  # the examples choose differently
    chosen = results[0]
    for k, candidates in enumerate(results[1:], 1):
        chosen = [_where(index >= k, new, old) for new, old in zip(candidates, chosen, strict=True)]
    return tuple(chosen)


def _where(mask: Any, new: Any, old: Any) -> Any:
    return np.where(np.reshape(mask, mask.shape + (1,) * (old.ndim - mask.ndim)), new, old)


switch_op = general(
    "switch",
    _forward,
    infer=_infer,
    jvp=_jvp,
    batch=_batch,
    samples=lambda rng: [],
    vjp_all=_vjp_all,
)
