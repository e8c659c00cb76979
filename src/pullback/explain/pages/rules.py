"""The derivative rule of a node as a formula: what it sends back to each of its inputs."""

from __future__ import annotations

from typing import Any

from pullback.core.aval import Aval
from pullback.core.graph import Node
from pullback.core.printing import reference
from pullback.core.tracing import trace
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.canonical import canonical
from pullback.explain.derivation.compact import compact
from pullback.explain.derivation.reading import read
from pullback.passes import simplify

LONGEST = 90
"""Signs of a formula that still can be read at a glance."""
_SLOTS = [chr(0xE000 + k) for k in range(64)]  # private signs, which stand for names
_COTANGENT, _OUTPUT, _FIRST_INPUT = 0, 1, 2


class Rules:
    """Writes rules, each kind of operation and shape once.

    >>> import numpy as np
    >>> graph = trace(lambda x: np.tanh(x), Aval((3, 2), "f8"))
    >>> Rules().of(graph.results[0], 0)
    '∂x = ∂a ∘ (1 − a^∘2)'
    """

    def __init__(self) -> None:
        self._known: dict[Any, str] = {}

    def of(self, node: Node, position: int) -> str:
        """Return the rule for the input at `position`; "" where it has none in a line.

        ∂a stands for the derivative of the result by a.
        """
        op = node.op
        if op is None or (op.vjp is None and op.vjp_all is None):
            return ""
        avals = tuple(i.aval for i in node.inputs)
        key = op, repr(dict(node.params)), node.aval, avals, position
        if key not in self._known:
            self._known[key] = _template(node, position)
        template = self._known[key]
        names = [f"∂{node.name}", node.name, *map(reference, node.inputs)]
        for slot, name in zip(_SLOTS, names, strict=False):
            template = template.replace(slot, name)
        return f"∂{node.inputs[position].name} = {template}" if template else ""


def _template(node: Node, position: int) -> str:
    op, params = node.op, node.params
    avals = [i.aval for i in node.inputs]
    if op is None or not isinstance(node.aval, Aval) or len(avals) + _FIRST_INPUT > len(_SLOTS):
        return ""

    def sent(cotangent: Any, out: Any, *inputs: Any) -> Any:
        if op.vjp_all is not None:
            return op.vjp_all(cotangent, out, inputs, params)[position]
        assert op.vjp is not None
        return op.vjp(position, cotangent, out, inputs, params)

    try:
        graph = simplify(trace(sent, node.aval, node.aval, *avals))
        reading = read(graph, _SLOTS[: len(graph.arguments)], {}, "result")
    except Exception:  # a rule may be of the user's own, or need numbers: then there is no formula
        return ""
    expression = reading.given.get(graph.results[0])
    for definition in reversed(reading.definitions):
        if expression is None:
            expression = definition.expression
        else:
            expression = e.substituted(expression, {definition.symbol: definition.expression})
    text = "" if expression is None else str(compact(canonical(expression)))
    return text if len(text) <= LONGEST else ""
