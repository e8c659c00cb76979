"""Reading a graph: its values as definitions in matrix language, the steps a teacher would name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pullback.core.graph import Graph, Node
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.compact import compact
from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.forms import Form, form_of, number_of
from pullback.explain.derivation.naming import cased, numbered

SHARED_SIZE = 4
"""What is needed several times gets a name if it is longer than this."""
LINE_SIZE = 12
"""What is longer than this gets a name anyway."""

REPEATED_SIZE = {"square": 6, "sqrt": 4, "exp": 4, "log": 4, "divide": 4, "power": 6}
"""The same for what stands in the derivative again, by the operation on it."""

SPARE_LETTERS = "vqrpgkmnacdfijlosy"
"""Letters for values where z, h and u are names of arguments."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A value with a name: `symbol` stands for `expression`; the graph computes it at `node`."""

    node: Node
    symbol: Expr
    expression: Expr


@dataclass(slots=True)
class Reading:
    """A graph in matrix language: what is given, and what is computed of it in order."""

    given: dict[Node, Expr] = field(default_factory=dict)
    constants: dict[Node, Expr] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)

    @property
    def by_symbol(self) -> dict[Expr, Definition]:
        """The definitions by what they define."""
        return {d.symbol: d for d in self.definitions}


def read(graph: Graph, names: list[str], locals_: Mapping[Node, str], result: str) -> Reading:
    """Read `graph`; `names` are those of its arguments, `locals_` what its author calls values."""
    given = {
        n: e.symbol(s, e.own_shape(n.shape)) for n, s in zip(graph.arguments, names, strict=True)
    }
    reader = _Reader(graph, given)
    reader.name_values(locals_, taken={*names, result}, result=result)
    return reader.read()


class _Reader:
    def __init__(self, graph: Graph, given: dict[Node, Expr]) -> None:
        self.graph, self.result = graph, graph.results[0]
        self.reading = Reading(given)
        self.moving = _dependent(graph)
        self.forms = self._needed_forms()
        self.passed_over = self._passed_over()
        self.uses: dict[Node, int] = {}
        for form in self.forms.values():
            for operand in form.operands:
                self.uses[operand] = self.uses.get(operand, 0) + 1
        self.repeated = {
            form.operands[-1]: node.op.name if node.op else ""
            for node, form in self.forms.items()
            if form.operands and form.operands[-1].shape
        }
        self.names: dict[Node, str] = {}
        self.expressions: dict[Node, Expr] = dict(given)

    def _needed_forms(self) -> dict[Node, Form]:
        """Return the forms of the nodes that the result is written with, in order."""
        found: dict[Node, Form] = {}
        pending = [self.result]
        while pending:
            node = pending.pop()
            if node.op is not None and node in self.moving and node not in found:
                found[node] = form_of(node)
                pending += found[node].operands
        return dict(sorted(found.items(), key=lambda item: item[0].order))

    def _passed_over(self) -> set[Node]:
        """Return the nodes inside of forms: the gradient there is not all that is written."""
        found: set[Node] = set()
        for node, form in self.forms.items():
            pending = [i for i in node.inputs if i not in form.operands]
            while pending:
                inside = pending.pop()
                if inside not in found:
                    found.add(inside)
                    pending += [i for i in inside.inputs if i not in form.operands]
        return found

    def name_values(self, locals_: Mapping[Node, str], taken: set[str], result: str) -> None:
        """Choose which values get a name, and which: the author's, or z and h for layers."""
        free = {n: f for n, f in self.forms.items() if n not in self.passed_over}
        stems = {
            n: locals_[n]
            for n in free
            if locals_.get(n, result) not in taken and not self._is_entry(n)
        }
        consumed = {i for f in self.forms.values() if f.role == "product" for i in f.operands}

        def propose(node: Node, letter: str) -> None:
            if node in free:
                letters = (cased(c, node.shape) for c in (letter, *SPARE_LETTERS))
                stems.setdefault(node, next(c for c in letters if c not in taken))

        for node, form in free.items():
            if self._is_layer(form):
                propose(form.operands[0], "z")
                if form.role == "activation" or node in consumed:
                    propose(node, "h")
            elif form.role == "opaque":
                propose(node, "u")
        stems.pop(self.result, None)
        ordered = sorted(stems, key=lambda node: node.order)
        self.names = dict(zip(ordered, numbered([stems[n] for n in ordered]), strict=True))
        self.names[self.result] = result

    def _is_entry(self, node: Node) -> bool:
        """Whether `node` is a part of an argument, as loops over rows call it."""
        named = node.op.name if node.op else ""
        return named in ("getitem", "item") and node.inputs[0] in self.reading.given

    def _is_layer(self, form: Form) -> bool:
        """Whether `form` is a function of the entries of something with a product."""
        if form.role not in ("activation", "function") or form.operands[0].shape == ():
            return False
        return self._holds_product(form.operands[0])

    def _holds_product(self, node: Node) -> bool:
        form = self.forms.get(node)
        if form is None or form.role in ("activation", "function"):
            return False
        return form.role in ("product", "opaque") or any(map(self._holds_product, form.operands))

    def read(self) -> Reading:
        """Write every value with what comes before it."""
        for node, form in self.forms.items():
            args = [self._expression(i) for i in form.operands]
            expression = compact(form.build(*args))
            self.expressions[node] = expression
            shared = self.uses.get(node, 0) > 1 and e.size(expression) > SHARED_SIZE
            limit = REPEATED_SIZE.get(self.repeated.get(node, ""), LINE_SIZE)
            long = (shared or e.size(expression) > limit) and node not in self.passed_over
            if node in self.names or long:
                self._define(node, expression)
        if self.result not in self.forms:  # an argument, or a constant
            self._define(self.result, self._expression(self.result))
        return self.reading

    def _define(self, node: Node, expression: Expr) -> None:
        name = self.names.get(node) or self._next_name(node)
        symbol = e.symbol(name, expression.shape)
        self.reading.definitions.append(Definition(node, symbol, expression))
        self.expressions[node] = symbol

    def _next_name(self, node: Node) -> str:
        stem, k = cased("v", node.shape), 1
        while f"{stem}{k}" in self.names.values():
            k += 1
        self.names[node] = f"{stem}{k}"
        return self.names[node]

    def _expression(self, node: Node) -> Expr:
        if node not in self.expressions:
            self.expressions[node] = self._constant(node)
        return self.expressions[node]

    def _constant(self, node: Node) -> Expr:
        """Return a number, or a symbol for an array that is known when the graph is made."""
        known = number_of(node)
        if known is not None:
            return known
        shape = e.own_shape(node.shape)
        if node.is_constant and len(node.shape) == 2 and _is_eye(node.value):
            return e.eye(node.shape[0])
        taken = {*self.names.values(), *(s.data for s in self.reading.given.values())}
        k = 1
        while f"C{k}" in taken or any(s.data == f"C{k}" for s in self.reading.constants.values()):
            k += 1
        symbol = e.symbol(f"C{k}", shape)
        self.reading.constants[node] = symbol
        return symbol


def _is_eye(value: object) -> bool:
    array = np.asarray(value)
    return array.shape[0] == array.shape[1] and np.array_equal(array, np.eye(len(array)))


def _dependent(graph: Graph) -> set[Node]:
    """Return the nodes that depend on an argument."""
    found = set(graph.arguments)
    for node in graph.nodes:
        if any(i in found for i in node.inputs):
            found.add(node)
    return found
