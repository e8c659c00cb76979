"""The operation that applies a step a number of times that only running tells.

Where the count n is known, n steps are a loop of known length, and n itself is piecewise constant:
so the derivatives of `while_loop` are those of that loop, made when the operation runs. They are
kept as data, a tower of `Pushed` and `Pulled` over `Repeat`, so that they have derivatives too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from pullback.core.aval import Aval, aval_of
from pullback.core.graph import Graph, remembered
from pullback.core.pytree import flat
from pullback.core.step import Step
from pullback.ops.batching import batch_size, spread
from pullback.ops.families import general
from pullback.transform.control.bodies import (
    avals_of,
    body_of,
    floating,
    for_a_batch,
    pull,
    push,
    with_batch,
    zeros_where_none,
)
from pullback.transform.control.branch_op import switch_op
from pullback.transform.control.scan_op import loop

COUNT = Aval((), np.intp)


class Repeated(Protocol):
    """A function of a count and flat arrays."""

    def __call__(self, n: Any, *args: Any) -> Sequence[Any]: ...

    def for_a_batch(self, size: int) -> Repeated:
        """Return this function for a batch in the count and in every argument."""


class Repeat(NamedTuple):
    """A step (without xs) applied n times.

    With `each`, the step takes n first and the number of the step last, and does nothing beyond n.
    """

    step: Step
    each: bool = False

    def __call__(self, n: Any, *args: Any) -> Sequence[Any]:
        length = int(np.max(n, initial=0))
        operands = [n, *args, np.arange(length)] if self.each else args
        return loop(self.step, operands, length=length)

    def for_a_batch(self, size: int) -> Repeat:
        step = self.step if self.each else _bounded(self.step)
        batched = [True] * (len(step.graph.arguments) - 1) + [False]
        graph = for_a_batch(step.graph, size, batched, [True] * step.carries)
        return Repeat(Step(graph, step.fixed, step.carries), each=True)


class Pushed(NamedTuple):
    """The tangents of what `function` gives, from its arguments and the tangents of some."""

    function: Repeated
    moving: tuple[bool, ...]

    def __call__(self, n: Any, *args: Any) -> Sequence[Any]:
        count = len(self.moving)
        directions = iter(args[count:])
        tangents = [next(directions) if m else None for m in self.moving]
        values, pushed = push(functools.partial(self.function, n), args[:count], tangents)
        filled = zeros_where_none(pushed, values)
        return [filled[i] for i in floating(values)]

    def for_a_batch(self, size: int) -> Pushed:
        return Pushed(self.function.for_a_batch(size), self.moving)


class Pulled(NamedTuple):
    """The cotangents of the first `inputs` arguments of `function`, from those of its results."""

    function: Repeated
    inputs: int

    def __call__(self, n: Any, *args: Any) -> Sequence[Any]:
        function = functools.partial(self.function, n)
        return pull(function, args[: self.inputs], args[self.inputs :])

    def for_a_batch(self, size: int) -> Pulled:
        return Pulled(self.function.for_a_batch(size), self.inputs)


@remembered
def _bounded(step: Step) -> Step:
    """Return the step from (n, fixed, carry, t) to the carry, as it was where t >= n."""

    def run(n: Any, *args: Any) -> Sequence[Any]:
        *operands, t = args
        goes_on = np.astype(np.less(t, n), np.intp)
        return switch_op(goes_on, *operands, branches=(stay(step), step.graph))  # type: ignore[no-any-return]

    avals = [COUNT, *avals_of(step.graph.arguments), COUNT]
    return Step(body_of(run, avals, step.graph.name), step.fixed + 1, step.carries)


def stay(step: Step) -> Graph:
    """Return the graph that hands the carry on as it is."""
    arguments = step.graph.arguments
    carry = arguments[step.fixed :]
    return Graph(arguments, carry, flat(len(arguments)), flat(len(carry)), "stay")


def _forward(n: Any, *args: Any, function: Repeated, results: Any) -> tuple[Any, ...]:
    return tuple(function(n, *args))


def _jvp(tangents: Sequence[Any], out: Any, args: Any, params: Mapping[str, Any]) -> Any:
    return pushed(params["function"], tangents[1:], out, *args)


def _vjp_all(cts: Any, out: Any, args: Any, params: Mapping[str, Any]) -> list[Any]:
    return [None, *pulled(params["function"], cts, out, *args)]


def pushed(function: Repeated, tangents: Sequence[Any], out: Any, n: Any, *args: Any) -> Any:
    """Return the tangents of `out = function(n, *args)`; None for what is not floating."""
    moving = tuple(t is not None for t in tangents)
    directions = [t for t in tangents if t is not None]
    places = floating(out)
    results = tuple(aval_of(out[i]) for i in places)
    found = repeat_op(n, *args, *directions, function=Pushed(function, moving), results=results)
    return _at(places, found, len(out))


def pulled(function: Repeated, cts: Sequence[Any], out: Any, n: Any, *args: Any) -> Any:
    """Return the cotangents of `args`, from those of `out = function(n, *args)`."""
    given = [cts[i] for i in floating(out)]
    places = floating(args)
    results = tuple(aval_of(args[i]) for i in places)
    found = repeat_op(n, *args, *given, function=Pulled(function, len(args)), results=results)
    return _at(places, found, len(args))


def _at(places: Sequence[int], values: Sequence[Any], count: int) -> tuple[Any, ...]:
    known = dict(zip(places, values, strict=True))
    return tuple(known.get(i) for i in range(count))


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
    size = batch_size(args, batched)
    results = tuple(with_batch(aval, size) for aval in params["results"])
    function = params["function"].for_a_batch(size)
    return repeat_op(*spread(args, batched), function=function, results=results)


repeat_op = general(
    "repeat_step",
    _forward,
    infer=lambda *avals, function, results: results,
    jvp=_jvp,
    batch=_batch,
    samples=lambda rng: [],
    vjp_all=_vjp_all,
)
