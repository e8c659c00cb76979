"""Every line of a derivation against the graph: its value and its gradients, computed."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.errors import GradientError
from pullback.core.graph import Graph, Node
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.derivation import Line
from pullback.explain.derivation.evaluate import Array, array_shape, value_of
from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.functions import Function, prime
from pullback.explain.derivation.reading import Reading
from pullback.explain.derivation.steps import Step
from pullback.transform.table import GradientTable, backward

TOLERANCE = 1e-7
"""Relative difference that a line and the graph may have where the graph is in float64."""
ROUNDING = 1e-11
"""The difference, relative to the largest of the symbols, where the graph gives almost 0."""
ROUGH = 1e-3
"""The same where some of the graph is in less precision."""


@dataclass(frozen=True, slots=True)
class Point:
    """The values of all symbols at some arguments, and the graph's values and gradients there."""

    table: GradientTable
    symbols: Mapping[Expr, Array]
    tolerance: float

    @classmethod
    def at(cls, graph: Graph, reading: Reading, deltas: Mapping[Expr, Node], args: Any) -> Point:
        """Run `graph` forward and backward on `args`."""
        (result,) = graph.results
        seed = np.random.default_rng(1).normal(size=result.shape) if result.shape else 1.0
        with np.errstate(all="ignore"):
            table = backward(graph, *args, cotangent=np.asarray(seed, result.dtype)[()])
        symbols = {s: table.values[node] for node, s in reading.given.items()}
        symbols |= {s: table.values[node] for node, s in reading.constants.items()}
        symbols |= {d.symbol: table.values[d.node] for d in reading.definitions}
        symbols |= {s: _gradient(table, node) for s, node in deltas.items()}
        shaped = {s: np.asarray(x).reshape(array_shape(s.shape)) for s, x in symbols.items()}
        short = any(getattr(n.aval, "dtype", None) in _SHORT for n in graph.nodes)
        return cls(table, shaped, ROUGH if short else TOLERANCE)

    def line(self, step: Step) -> Line:
        """Return the line of a step with its value; raise GradientError if it is wrong."""
        forward = step.section == "forward"
        expected = self.table.values[step.node] if forward else _gradient(self.table, step.node)
        text = " = ".join(map(str, (*step.left, step.expression)))
        try:
            with np.errstate(all="ignore"):
                found = value_of(step.expression, self.symbols).reshape(np.shape(expected))
        except (ValueError, np.linalg.LinAlgError) as error:
            raise GradientError(f"derive: {text} cannot be computed: {error}") from error
        if np.size(expected) and not np.any(np.isfinite(expected)):
            raise GradientError(
                f"derive: {text} is not finite at the arguments, so that the line cannot be "
                "checked; give arguments where the function is smooth"
            )
        sizes = [np.max(np.abs(self.symbols[s]), initial=0) for s in e.symbols(step.expression)]
        if not _same(found, expected, self.tolerance, ROUNDING * max(sizes, default=0)):
            raise GradientError(
                f"derive: the line {text} is wrong: it gives {found} where the graph gives "
                f"{expected}. Please report the function."
            )
        return Line(step.section, step.left, step.expression, np.shape(expected), found[()])


_SHORT = (np.dtype(np.float32), np.dtype(np.float16))


def _gradient(table: GradientTable, node: Node) -> Any:
    found = table.gradients.get(node)
    return np.zeros(node.shape) if found is None else found


def _same(found: Any, expected: Any, tolerance: float, rounding: float = 0.0) -> bool:
    """Whether two arrays differ by `tolerance` of the largest entry at most, or by `rounding`."""
    size = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    close = np.isclose(found, expected, tolerance, tolerance * size + rounding, equal_nan=True)
    return bool(np.all(close))


def slope_line(function: Function, taken: Set[str]) -> Line:
    """Return the line that writes out f′, checked at a few points."""
    assert function.derivative is not None
    x = e.symbol(next(s for s in ("z", "s", "u", "t", "z_") if s not in taken), e.SCALAR)
    slope, written = e.apply(prime(function), x), function.derivative(x)
    for at in (-1.3, -0.2, 2.1, 0.4):
        known = {x: np.full((1, 1), at)}
        value, expected = value_of(written, known), value_of(slope, known)
        if not _same(value, expected, TOLERANCE):
            raise GradientError(f"derive: {slope} = {written} is wrong at {at}")
    return Line("where", (slope,), written, (), value.item())
