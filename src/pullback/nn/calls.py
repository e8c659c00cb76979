"""Who called whom: the layers that ran while a function was traced, and the nodes each made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pullback.core import pytree
from pullback.core.graph import Node, next_order
from pullback.core.tracing import GraphTracer


@dataclass(eq=False, slots=True)
class Call:
    """One call of a module, or of a function that `named_call` names.

    `path` is where the module lies in the outermost one, such as "layers[2].query", and "" for
    that one itself; `kind` is its class; `outputs` are the nodes that it returned. The nodes made
    within have an `order` from `first` to `last`.
    """

    path: str
    kind: str
    module: Any
    caller: Call | None
    first: int
    last: int = -1
    outputs: list[Node] = field(default_factory=list)


_recorded: ContextVar[list[Call] | None] = ContextVar("_recorded", default=None)
_current: ContextVar[Call | None] = ContextVar("_current", default=None)


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Collect the calls of modules while the block runs, in the order in which they begin.

    Outside of such a block nothing is collected, and a call costs nothing more.

    >>> import numpy as np
    >>> from pullback.core.tracing import trace
    >>> from pullback.nn import Activation, Linear, Sequential
    >>> model = Sequential([Linear(np.ones((2, 1))), Activation("tanh")])
    >>> with recorded_calls() as calls:
    ...     graph = trace(model, np.ones((3, 2)))
    >>> [(call.path, call.kind) for call in calls]
    [('', 'Sequential'), ('layers[0]', 'Linear'), ('layers[1]', 'Activation')]
    >>> calls[2].outputs == list(graph.results)
    True
    """
    calls: list[Call] = []
    outer, inner = _recorded.set(calls), _current.set(None)
    try:
        yield calls
    finally:
        _recorded.reset(outer)
        _current.reset(inner)


def recording() -> bool:
    """Whether calls are being collected."""
    return _recorded.get() is not None


def caller() -> Any:
    """Return the module whose call is in progress; None outside of all."""
    current = _current.get()
    return current.module if current is not None else None


def named_call(name: str, kind: str, function: Any, *args: Any, module: Any = None) -> Any:
    """Return function(*args), and collect it as a call whose path ends in `name`."""
    calls, current = _recorded.get(), _current.get()
    assert calls is not None, "only within recorded_calls"
    path = f"{current.path}.{name}" if current is not None and current.path else name
    call = Call(path, kind, module, current, next_order())
    calls.append(call)
    token = _current.set(call)
    try:
        result = function(*args)
    finally:
        _current.reset(token)
        call.last = next_order()
    leaves = (leaf for leaf in pytree.leaves(result) if isinstance(leaf, GraphTracer))
    call.outputs = [leaf.value for leaf in leaves]
    return result
