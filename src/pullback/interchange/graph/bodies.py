"""What operations take whose parameters are graphs: loops, choices, differential equations.

As in `signatures`, each rule tells whether the parameters fit the arrays and each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.graph import Graph
from pullback.core.step import Step
from pullback.interchange.graph.values import whole
from pullback.transform.control.bodies import avals_of, floating
from pullback.transform.control.repeat_op import COUNT, Pulled, Pushed, Repeat

METHODS = ("RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA")


def scan(*avals: Aval, step: Any, length: Any, reverse: Any) -> bool:
    """A loop of known length: fixed values, the carry, and rows of arrays go into each step."""
    if not _is_step(step, len(avals)) or not whole(length, 0) or type(reverse) is not bool:
        return False
    fixed, carry, xs = step.split(avals)
    rows = [Aval(x.shape[1:], x.dtype) for x in xs if x.shape[:1] == (length,)]
    return (
        len(rows) == len(xs)
        and _takes(step.graph, [*fixed, *carry, *rows])
        and _alike(avals_of(step.graph.results[: step.carries]), carry)
    )


def switch(index: Aval, *avals: Aval, branches: Any) -> bool:
    """A choice between graphs of one form."""
    return (
        index.shape == ()
        and index.dtype.kind in "iub"
        and type(branches) is tuple
        and len(branches) > 0
        and all(isinstance(graph, Graph) and _takes(graph, avals) for graph in branches)
        and all(_alike(avals_of(g.results), avals_of(branches[0].results)) for g in branches)
    )


def while_loop(*avals: Aval, condition: Any, step: Any, limit: Any) -> bool:
    """A loop that runs as long as a condition holds of the fixed values and the carry."""
    return (
        isinstance(condition, Graph)
        and _takes(condition, avals)
        and [result.shape for result in condition.results] == [()]
        and _is_step(step, len(avals))
        and _takes(step.graph, avals)
        and _alike(avals_of(step.graph.results), avals[step.fixed :])
        and (limit is None or whole(limit, 0))
    )


def repeat_step(count: Aval, *avals: Aval, function: Any, results: Any) -> bool:
    """A step applied as often as a count says, or its derivatives."""
    found = _results(function, count, avals)
    return (
        count.dtype.kind in "iu"
        and type(results) is tuple
        and all(isinstance(aval, Aval) for aval in results)
        and found is not None
        and _alike(found, results)
    )


def solve_ivp(y0: Aval, times: Aval, *parameters: Aval, problem: Any) -> bool:
    """A differential equation whose right side is a graph of t, y and the parameters."""
    field, shapes = getattr(problem, "field", None), [a.shape for a in (y0, *parameters)]
    if y0.ndim != 1 or times.ndim != 1 or times.size == 0 or not isinstance(field, Graph):
        return False
    return (
        _takes(field, [Aval(shape, np.float64) for shape in ((), *shapes)])
        and [result.shape for result in field.results] == [y0.shape]
        and problem.method in METHODS
        and all(type(x) is float and 0 < x < math.inf for x in (problem.rtol, problem.atol))
    )


def _results(function: Any, count: Aval, avals: Sequence[Aval]) -> list[Aval] | None:
    """Return the results of `function(count, *avals)`; None where it is none or does not fit."""
    if type(function) is Repeat:
        return _repeated(function, count, avals)
    if type(function) is Pushed and type(function.moving) is tuple:
        moving = function.moving
        inner, directions = avals[: len(moving)], avals[len(moving) :]
        found = _results(function.function, count, inner)
        expected = [a for a, m in zip(inner, moving, strict=False) if m]
        fits = found is not None and len(inner) == len(moving) and _alike(directions, expected)
        return [found[i] for i in floating(found)] if found is not None and fits else None
    if type(function) is Pulled and whole(function.inputs, 0, len(avals) + 1):
        inner, cotangents = avals[: function.inputs], avals[function.inputs :]
        found = _results(function.function, count, inner)
        if found is None or not _alike(cotangents, [found[i] for i in floating(found)]):
            return None
        return [inner[i] for i in floating(inner)]
    return None


def _repeated(function: Repeat, count: Aval, avals: Sequence[Aval]) -> list[Aval] | None:
    step, each = function
    operands = [count, *avals] if each is True else list(avals)
    if type(each) is not bool or not _is_step(step, len(operands)):
        return None
    carry = operands[step.fixed : step.fixed + step.carries]
    rows = [COUNT] if each else []
    fits = _takes(step.graph, [*operands, *rows]) and _alike(avals_of(step.graph.results), carry)
    return carry if fits and step.fixed + step.carries == len(operands) else None


def _is_step(step: Any, count: int) -> bool:
    return (
        type(step) is Step
        and isinstance(step.graph, Graph)
        and whole(step.fixed, 0)
        and whole(step.carries, 0)
        and step.fixed + step.carries <= count
    )


def _takes(graph: Graph, avals: Sequence[Aval]) -> bool:
    return _alike(avals_of(graph.arguments), avals)


def _alike(first: Sequence[Aval], second: Sequence[Aval]) -> bool:
    """Whether both have the same shapes and dtypes."""
    return [(a.shape, a.dtype) for a in first] == [(a.shape, a.dtype) for a in second]
