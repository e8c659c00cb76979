"""The steps of a derivation: forward values, deltas back from the last, gradients, slopes."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from pullback.core.graph import Node
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.calculus import is_moved_by, pull_back
from pullback.explain.derivation.compact import compact
from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.functions import Function, unprimed
from pullback.explain.derivation.naming import delta_name
from pullback.explain.derivation.reading import Definition, Reading

Section = Literal["forward", "backward", "gradients", "where"]

INLINE_SIZE = 12
"""A cotangent is put into the next step where it is needed once and no longer than this."""
EXPANDED_SIZE = 8
"""A gradient with a delta in it is also written without, where that is no longer than this."""

_RECOGNISED = ("apply", "softmax", "inverse", "det", "norm")
"""What stands in a derivative again as it is, so that its name can be written there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One equation: all of `left` is `expression`; it is of the value or gradient at `node`."""

    section: Section
    left: tuple[Expr, ...]
    expression: Expr
    node: Node


@dataclass(slots=True)
class Steps:
    """All equations in the order of reading, and the deltas by name."""

    steps: list[Step]
    deltas: dict[Expr, Node]


class _Backward:
    """Goes back through the definitions, from the result to what is given."""

    def __init__(self, reading: Reading, wanted: Set[Expr], loss: Expr) -> None:
        self.reading, self.wanted, self.loss = reading, wanted, loss
        self.active = _active(reading, wanted)
        self.cotangents: dict[Expr, Expr] = {}
        self.meaning: dict[Expr, Expr] = {d.symbol: d.expression for d in reading.definitions}
        self.known = {
            d.expression: d.symbol
            for d in reading.definitions[:-1]
            if d.expression.kind in _RECOGNISED
        }
        for d in reading.definitions:
            if d.expression.kind == "power" and d.expression.data == 0.5:  # √x' = 1 / (2 √x)
                self.known[e.power(d.expression.args[0], -0.5)] = e.power(d.symbol, -1)
        self.deltas: dict[Expr, Node] = {}
        self.taken: set[str] = {s.data for s in (*reading.given.values(), *self.meaning)}

    def steps(self) -> list[Step]:
        """Return the deltas, last layer first, then the gradients."""
        found: list[Step] = []
        for definition in reversed(self.reading.definitions):
            if definition is self.reading.definitions[-1]:
                cotangent = self._seed(definition)
            elif definition.symbol not in self.cotangents:
                continue
            else:
                cotangent = self._written(self.cotangents[definition.symbol])
                if not self._goes_on(definition, cotangent):
                    step = self._named(definition, cotangent)
                    found.append(step)
                    cotangent = step.left[0]
            parts = pull_back(definition.expression, cotangent, self.active)
            for symbol, part in parts.items():
                known = self.cotangents.get(symbol)
                self.cotangents[symbol] = part if known is None else e.add(known, part)
        return [*found, *self._gradients()]

    def _written(self, cotangent: Expr) -> Expr:
        """Return a cotangent in its shortest form, with the names of values that have one."""
        return e.substituted(compact(cotangent), self.known)

    def _seed(self, result: Definition) -> Expr:
        """Return the cotangent of the result: 1, or a delta where it is part of any loss."""
        if result.symbol == self.loss:
            return e.number(1)
        delta = e.symbol(delta_name(result.symbol, self.taken), result.symbol.shape)
        self.deltas[delta] = result.node
        self.taken.add(delta.data)
        return delta

    def _goes_on(self, definition: Definition, cotangent: Expr) -> bool:
        """Whether a cotangent is short enough to be written in the next step."""
        if e.size(cotangent) <= 1:
            return True
        return definition.expression.kind == "apply" and e.size(cotangent) <= INLINE_SIZE

    def _named(self, definition: Definition, cotangent: Expr) -> Step:
        symbol = definition.symbol
        delta = e.symbol(delta_name(symbol, self.taken), symbol.shape)
        self.taken.add(delta.data)
        self.deltas[delta] = definition.node
        self.meaning[delta] = cotangent
        return Step("backward", (delta, self._gradient(symbol)), cotangent, definition.node)

    def _gradient(self, symbol: Expr) -> Expr:
        return Expr("gradient", (self.loss, symbol), symbol.shape)

    def _gradients(self) -> list[Step]:
        found = []
        for node, symbol in self.reading.given.items():
            if symbol not in self.wanted:
                continue
            cotangent = self._written(self.cotangents.get(symbol, e.zero(symbol.shape)))
            left = (self._gradient(symbol),)
            found.append(Step("gradients", left, cotangent, node))
            if (plain := self._without_deltas(cotangent)) is not None:
                found.append(Step("gradients", left, plain, node))
        return found

    def _without_deltas(self, cotangent: Expr) -> Expr | None:
        """Return a gradient that has deltas in terms of what is given; None where that is long."""
        if e.symbols(cotangent).isdisjoint(self.deltas.keys() & self.meaning.keys()):
            return None
        while not e.symbols(cotangent).isdisjoint(self.meaning):
            cotangent = compact(e.substituted(cotangent, self.meaning))
            if e.size(cotangent) > EXPANDED_SIZE or any(map(_is_opaque, e.walk(cotangent))):
                return None
        return cotangent


def _is_opaque(x: Expr) -> bool:
    """Whether x says little out of its line: f′, or an operation by its name."""
    named = x.kind == "call" and x.data.bprop is not None
    return named or x.kind == "vjp" or (x.kind == "apply" and unprimed(x.data) is not None)


def steps_of(reading: Reading, wanted: Set[Expr], loss: Expr) -> Steps:
    """Return the steps of a reading, with the gradients of the `wanted` symbols."""
    forward = [Step("forward", (d.symbol,), d.expression, d.node) for d in reading.definitions]
    back = _Backward(reading, wanted, loss)
    return Steps([*forward, *back.steps()], back.deltas)


def slopes(steps: Steps) -> list[Function]:
    """Return the functions whose slopes stand in the steps as f′ and are known in closed form."""
    found: dict[Function, None] = {}
    for step in steps.steps:
        for part in e.walk(step.expression):
            function = unprimed(part.data) if part.kind == "apply" else None
            if function is not None and function.derivative is not None:
                found[function] = None
    return list(found)


def _active(reading: Reading, wanted: Set[Expr]) -> set[Expr]:
    """Return the symbols that depend on a wanted one, those included."""
    found = set(wanted)
    for d in reading.definitions:
        if is_moved_by(d.expression, found):
            found.add(d.symbol)
    return found
