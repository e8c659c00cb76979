"""From an outline to the nodes of an ONNX graph, by the table of rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.interchange.onnx.exporting.rules import RULES
from pullback.interchange.onnx.outline import Entry, Fill, Outline
from pullback.interchange.onnx.sizes import Length, known_dims
from pullback.interchange.onnx.writer import Value, Writer, element_type


def translate(w: Writer, graph: Outline, inputs: Sequence[Value]) -> list[Any]:
    """Write the nodes of `graph` on `inputs`, and return its results."""
    known: dict[Entry, Any] = dict(zip(graph.arguments, inputs, strict=True))

    def value(entry: Entry, dtype: Any = None) -> Any:
        if entry in known:
            found = known[entry]
            return found if dtype is None else w.cast(found, dtype)
        return _constant(w, entry, entry.dtype if dtype is None else dtype)

    for entry in graph.entries:
        if entry.op is not None:
            rule = RULES[entry.op]
            dtypes = rule.dtypes(entry)
            arguments = [value(i, d) for i, d in zip(entry.inputs, dtypes, strict=True)]
            known[entry] = rule.write(w, entry, *arguments)
    return [value(entry) for entry in graph.results]


def _constant(w: Writer, entry: Entry, dtype: Any) -> Value:
    if not isinstance(entry.value, Fill):
        return w.constant(np.asarray(entry.value).astype(dtype))
    number = entry.value.value
    if isinstance(number, Length):
        return w.expand(w.cast(w.Squeeze(w.lengths([number])), dtype), entry.shape)
    if number is not None:
        return w.expand(w.constant(np.asarray(number, dtype)), entry.shape)
    count = next(n for n in entry.shape if n != 1)
    return w.cast(w.reshape(w.count(count), entry.shape), dtype)


def declared(value: Value, shape: Any) -> Any:
    """Return the declaration of a value's dtype and shape."""
    from onnx import helper

    return helper.make_tensor_value_info(value, element_type(value.dtype), known_dims(shape))


def missing_rules(graph: Outline) -> set[str]:
    """Return the operations of `graph` and of the bodies in it that have no rule."""
    found = {e.op for e in graph.entries if e.op is not None and e.op not in RULES}
    for entry in graph.entries:
        for body in _bodies(entry.params):
            found |= missing_rules(body)
    return found


def _bodies(params: Any) -> list[Outline]:
    if isinstance(params, Outline):
        return [params]
    parts = params.values() if hasattr(params, "values") else params
    if not isinstance(params, tuple) and not hasattr(params, "values"):
        return []
    return [body for part in parts for body in _bodies(part)]
