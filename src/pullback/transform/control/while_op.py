"""The operation of a loop that runs as long as a condition holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.graph import Graph, remembered
from pullback.core.step import Step
from pullback.ops.batching import batch_size, spread
from pullback.ops.families import general
from pullback.transform.control.bodies import (
    avals_of,
    body_of,
    for_a_batch,
    spread_out,
    with_batch,
)
from pullback.transform.control.branch_op import switch_op
from pullback.transform.control.repeat_op import COUNT, Repeat, pulled, pushed, stay


def _forward(*args: Any, condition: Graph, step: Step, limit: int | None) -> tuple[Any, ...]:
    fixed, carry, _ = step.split(args)
    count = 0
    while count != limit and condition.run([*fixed, *carry])[0]:
        carry = step.graph.run([*fixed, *carry])
        count += 1
    return (np.intp(count), *carry)


def _infer(*avals: Aval, condition: Graph, step: Step, limit: int | None) -> tuple[Aval, ...]:
    return (COUNT, *avals[step.fixed :])


def _jvp(tangents: Sequence[Any], out: Any, args: Any, params: Mapping[str, Any]) -> Any:
    return (None, *pushed(Repeat(params["step"]), tangents, out[1:], out[0], *args))


def _vjp_all(cts: Any, out: Any, args: Any, params: Mapping[str, Any]) -> Any:
    return pulled(Repeat(params["step"]), cts[1:], out[1:], out[0], *args)


@remembered
def _batched(step: Step, condition: Graph, limit: int | None, size: int) -> tuple[Graph, Step]:
    """Return the loop that runs until all examples are done, of which each counts its own steps.

    The carry begins with the counts.
    """
    avals = avals_of(step.graph.arguments)
    avals.insert(step.fixed, COUNT)

    def holds(*args: Any) -> Any:
        fixed, (count, *carry) = args[: step.fixed], args[step.fixed :]
        (found,) = condition.run([*fixed, *carry])
        goes_on = np.not_equal(found, 0)
        return goes_on if limit is None else np.logical_and(goes_on, np.less(count, limit))

    def advance(*args: Any) -> list[Any]:
        goes_on = np.astype(holds(*args), np.intp)
        fixed, (count, *carry) = args[: step.fixed], args[step.fixed :]
        new = switch_op(goes_on, *fixed, *carry, branches=(stay(step), step.graph))
        return [count + goes_on, *new]

    def some(*args: Any) -> list[Any]:
        (each,), _ = spread_out(lambda *a: [holds(*a)], args, every)
        return [np.any(each)]

    every = (True,) * len(avals)
    advancing = body_of(advance, avals, step.graph.name)
    graph = for_a_batch(advancing, size, every, [True] * (step.carries + 1))
    batched = [with_batch(aval, size) for aval in avals]
    going = body_of(some, batched, f"any_{condition.name}")
    return going, Step(graph, step.fixed, step.carries + 1)


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
    size = batch_size(args, batched)
    given: Step = params["step"]
    condition, step = _batched(given, params["condition"], params["limit"], size)
    fixed, carry, _ = given.split(spread(args, batched))
    counts = np.zeros(size, np.intp)
    out = while_op(*fixed, counts, *carry, condition=condition, step=step, limit=None)
    return out[1:]  # of each example its own count, and the carry


while_op = general(
    "while_loop",
    _forward,
    infer=_infer,
    jvp=_jvp,
    batch=_batch,
    samples=lambda rng: [],
    vjp_all=_vjp_all,
)
