"""The table of the exporter: how each operation is written, and the dtypes its arguments take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.interchange.onnx.outline import Entry

Write = Callable[..., Any]
"""`write(w, entry, *values)` adds nodes to the Writer and returns the value of `entry`, or all."""
DTypes = Callable[[Entry], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How an operation is written, and what its arguments are cast to before (None: nothing)."""

    write: Write
    dtypes: DTypes


RULES: dict[str, Rule] = {}
"""The rules by the operation's name."""


def enter(writers: Mapping[str, Write], dtypes: DTypes) -> None:
    """Enter rules whose arguments are cast alike."""
    RULES.update({name: Rule(write, dtypes) for name, write in writers.items()})


def enter_expressions(expressions: Mapping[str, Callable[..., Any]], dtypes: DTypes) -> None:
    """Enter rules that are expressions of (w, *values), without a look at the operation."""

    def writer(expression: Callable[..., Any]) -> Write:
        return lambda w, entry, *values: expression(w, *values)

    enter({name: writer(expression) for name, expression in expressions.items()}, dtypes)


def as_result(entry: Entry) -> Sequence[Any]:
    """Cast all arguments to the dtype of the result, as NumPy's promotion does."""
    return [entry.dtype] * len(entry.inputs)


def as_given(entry: Entry) -> Sequence[Any]:
    """Leave the arguments as they are."""
    return [None] * len(entry.inputs)


def as_common(entry: Entry) -> Sequence[Any]:
    """Cast the arguments to their common dtype."""
    examples = [s(0) if isinstance(s, type) else s for s in (i.sort for i in entry.inputs)]
    return [np.result_type(*examples)] * len(entry.inputs)


def as_ordered(entry: Entry) -> Sequence[Any]:
    """Cast the arguments to a common dtype that has an order in ONNX: booleans are numbers."""
    dtypes = as_common(entry)
    return [np.dtype(np.int32) if d == np.bool_ else d for d in dtypes]


def as_floating(entry: Entry) -> Sequence[Any]:
    """Cast the arguments to a common floating dtype."""
    return [np.dtype(np.float64) if d.kind != "f" else d for d in as_common(entry)]


def as_truth(entry: Entry) -> Sequence[Any]:
    """Cast all arguments to booleans."""
    return [np.dtype(np.bool_)] * len(entry.inputs)


def node(operator: str, **attributes: Any) -> Callable[..., Any]:
    """Return the expression that is one node."""
    return lambda w, *values: getattr(w, operator)(*values, **attributes)
