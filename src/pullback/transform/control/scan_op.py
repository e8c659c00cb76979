"""The operation of a loop of known length, whose body is one graph however long it is.

Its derivatives are loops again: the jvp carries the tangents along; the vjp runs forward once more
to stack the carries, then from the last step to the first with the body's vjp (Griewank and
Walther, Evaluating Derivatives, 2008, chapter 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.graph import Graph, remembered
from pullback.core.pytree import flat
from pullback.core.step import Step, trim
from pullback.ops.batching import batch_size
from pullback.ops.families import general
from pullback.transform.control.bodies import (
    avals_of,
    batched_results,
    body_of,
    evaluate,
    floating,
    for_a_batch,
    is_used,
    moved_results,
    pull,
    push,
    repeated,
    with_batch,
    zeros_where_none,
)


def loop(
    step: Step,
    args: Sequence[Any],
    *,
    length: int,
    reverse: bool = False,
    wanted: Sequence[bool] | None = None,
) -> list[Any]:
    """Run a loop, computing only the results that are `wanted`; the others come as None.

    Arguments that the wanted results do not need may be None.
    """
    count = len(step.graph.results)
    trimmed = trim(step, tuple(wanted) if wanted is not None else (True,) * count)
    operands = [args[i] for i in trimmed.arguments]
    results = scan_op(*operands, step=trimmed.step, length=length, reverse=reverse)
    found: list[Any] = [None] * count
    for i, result in zip(trimmed.results, results, strict=True):
        found[i] = result
    return found


def _forward(*args: Any, step: Step, length: int, reverse: bool) -> tuple[Any, ...]:
    fixed, carry, xs = step.split(args)
    ys = [
        np.empty((length, *n.aval.shape), n.aval.dtype) for n in step.graph.results[step.carries :]
    ]
    for t in reversed(range(length)) if reverse else range(length):
        results = step.graph.run([*fixed, *carry, *[x[t] for x in xs]])
        carry = results[: step.carries]
        for y, value in zip(ys, results[step.carries :], strict=True):
            y[t] = value
    return (*carry, *ys)


def _infer(*avals: Aval, step: Step, length: int, reverse: bool) -> tuple[Aval, ...]:
    carry = avals[step.fixed : step.fixed + step.carries]
    ys = avals_of(step.graph.results[step.carries :])
    return (*carry, *[with_batch(aval, length) for aval in ys])


# forward mode: the tangents are carried along

PRIMAL, TANGENT = "primal", "tangent"
Slot = tuple[int, str]


@remembered
def _pushed(step: Step, given: tuple[bool, ...]) -> tuple[Step, tuple[Slot, ...], tuple[bool, ...]]:
    """Return the step for values and tangents, what its arguments are, and which results move.

    The results are the carry, then the tangents of the results that move.
    """
    graph = step.graph
    moving, reached = _settled(step, given, moved_results)
    slots = tuple(
        (i, kind)
        for group in step.split(range(len(given)))
        for kind in (PRIMAL, TANGENT)
        for i in group
        if kind == PRIMAL or moving[i]
    )

    def run(*args: Any) -> list[Any]:
        known = dict(zip(slots, args, strict=True))
        primals = [known[i, PRIMAL] for i in range(len(given))]
        tangents = [known.get((i, TANGENT)) for i in range(len(given))]
        values, pushed = push(evaluate(graph), primals, tangents)
        pushed = zeros_where_none(pushed, values)
        return [*values[: step.carries], *[t for t, r in zip(pushed, reached, strict=True) if r]]

    avals = [graph.arguments[i].aval for i, _ in slots]
    extended = body_of(run, avals, f"jvp_{graph.name}")
    fixed = sum(i < step.fixed for i, _ in slots)
    carries = step.carries + sum(reached[: step.carries])
    return Step(extended, fixed, carries), slots, reached


def _settled(
    step: Step, flags: Sequence[bool], reach: Callable[[Graph, Sequence[bool]], Sequence[bool]]
) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Return which arguments and which results are reached, once round the loop and again."""
    while True:
        fixed, carry, xs = step.split(flags)
        reached = tuple(reach(step.graph, flags))
        again = [a or b for a, b in zip(carry, reached, strict=False)]
        if again == carry:
            return tuple(flags), tuple(carry) + reached[step.carries :]
        flags = [*fixed, *again, *xs]


def _jvp(tangents: Sequence[Any], out: Any, args: Any, params: Mapping[str, Any]) -> Any:
    step = params["step"]
    extended, slots, reached = _pushed(step, tuple(t is not None for t in tangents))
    filled = zeros_where_none(tangents, args)
    operands = [args[i] if kind == PRIMAL else filled[i] for i, kind in slots]
    count = len(extended.graph.results)
    wanted = [i >= step.carries for i in range(count)]
    results = loop(extended, operands, **_times(params), wanted=wanted)
    moving = iter(results[step.carries :])
    return tuple(next(moving) if r else None for r in reached)


def _times(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"length": params["length"], "reverse": params["reverse"]}


# reverse mode: the carries are stacked, then the loop runs backwards


@remembered
def _pulled(step: Step) -> Step:
    """Return the step backwards.

    It sees the fixed values; carries the cotangents of the carry and those of the fixed values,
    which add up; and takes (the stacked carry, xs, the cotangents of the ys) to those of the xs.
    """
    graph = step.graph
    fixed, carry, xs = step.split(avals_of(graph.arguments))
    ct_carry = [carry[k] for k in floating(carry)]
    ct_fixed = [fixed[k] for k in floating(fixed)]
    ys = avals_of(graph.results[step.carries :])
    ct_ys = [ys[k] for k in floating(ys)]
    parts = (fixed, ct_carry, ct_fixed, carry, xs, ct_ys)

    def run(*args: Any) -> list[Any]:
        source = iter(args)
        fixed, ct_carry, total, carry, xs, ct_ys = [[next(source) for _ in p] for p in parts]
        found = pull(evaluate(graph), [*fixed, *carry, *xs], [*ct_carry, *ct_ys])
        ct_fixed, ct_rest = found[: len(total)], found[len(total) :]
        added = [a + b for a, b in zip(total, ct_fixed, strict=True)]
        ends = len(ct_carry)
        return [*ct_rest[:ends], *added, *ct_rest[ends:]]

    avals = [aval for part in parts for aval in part]
    backwards = body_of(run, avals, f"vjp_{graph.name}")
    return Step(backwards, len(fixed), len(ct_carry) + len(ct_fixed))


def _vjp_all(cts: Any, out: Any, args: Any, params: Mapping[str, Any]) -> list[Any]:
    step = params["step"]
    fixed, _, xs = step.split(args)
    ct_carry = [cts[k] for k in floating(out[: step.carries])]
    ct_ys = [cts[k] for k in floating(out) if k >= step.carries]
    zeros = [np.zeros(np.shape(fixed[k]), fixed[k].dtype) for k in floating(fixed)]
    backwards = _pulled(step)
    first = backwards.fixed + backwards.carries
    needed = [k for k in range(step.carries) if is_used(backwards.graph, first + k)]
    stacked = _carries(step, args, needed, params)
    found = loop(
        backwards,
        [*fixed, *ct_carry, *zeros, *stacked, *xs, *ct_ys],
        length=params["length"],
        reverse=not params["reverse"],
    )
    of_carry, rest = found[: len(ct_carry)], found[len(ct_carry) :]
    of_fixed, of_xs = rest[: len(zeros)], rest[len(zeros) :]
    cotangents: list[Any] = [None] * len(args)
    for i, ct in zip(floating(args), [*of_fixed, *of_carry, *of_xs], strict=True):
        cotangents[i] = ct
    return cotangents


def _carries(step: Step, args: Any, needed: Sequence[int], params: Any) -> list[Any]:
    """Return the carry that each step saw, stacked; None for those not needed."""
    graph, ends = step.graph, step.carries
    results = [*graph.results[:ends], *[graph.arguments[step.fixed + k] for k in needed]]
    recording = Graph(graph.arguments, results, graph.in_tree, flat(len(results)), graph.name)
    wanted = [i >= ends for i in range(len(results))]
    found = loop(Step(recording, step.fixed, ends), args, **_times(params), wanted=wanted)
    stacked: list[Any] = [None] * ends
    for k, values in zip(needed, found[ends:], strict=True):
        stacked[k] = values
    return stacked


# batches


@remembered
def _batched(
    step: Step, size: int, given: tuple[bool, ...]
) -> tuple[Step, tuple[bool, ...], tuple[bool, ...]]:
    """Return the step for a batch, and which of its arguments and results have the batch."""
    flags, reached = _settled(step, given, batched_results)
    graph = for_a_batch(step.graph, size, flags, reached)
    return Step(graph, step.fixed, step.carries), flags, reached


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
    step, size = params["step"], batch_size(args, batched)
    batched_step, flags, reached = _batched(step, size, tuple(batched))
    ready = [
        repeated(x, size) if now and not before else x
        for x, before, now in zip(args, batched, flags, strict=True)
    ]
    fixed, carry, xs = step.split(ready)
    turned = [
        np.moveaxis(x, 0, 1) if b else x for x, b in zip(xs, step.split(flags)[2], strict=True)
    ]
    out = loop(batched_step, [*fixed, *carry, *turned], **_times(params))
    for i, b in enumerate(reached):
        if not b:
            out[i] = repeated(out[i], size)
        elif i >= step.carries:
            out[i] = np.moveaxis(out[i], 1, 0)
    return tuple(out)


scan_op = general(
    "scan",
    _forward,
    infer=_infer,
    jvp=_jvp,
    batch=_batch,
    samples=lambda rng: [],
    vjp_all=_vjp_all,
)
