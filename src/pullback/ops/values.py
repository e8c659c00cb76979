"""The values behind tracers, for functions whose result is constant, or has a shape of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.core.arrays import array_of
from pullback.core.dispatch import as_operand
from pullback.core.tracer import Tracer


def as_array(x: Any) -> Any:
    """Return `x` as an array; lists may hold traced values."""
    return array_of(as_operand(x))


def concrete(x: Any, purpose: str) -> Any:
    """Return the value behind `x`, an array or nested lists of them, for `purpose`.

    Raises TracerError where there is none: in a graph, or under vmap.
    """
    if isinstance(x, (list, tuple)):
        return type(x)(concrete(part, purpose) for part in x)
    return x.concrete(purpose) if isinstance(x, Tracer) else x


def on_values(function: Any) -> Callable[..., Any]:
    """Return `function` as it runs on the values behind tracers: a constant."""
    purpose = f"np.{function.__name__}"

    def constant(*args: Any, **kwargs: Any) -> Any:
        values = {name: concrete(x, purpose) for name, x in kwargs.items()}
        return function(*concrete(args, purpose), **values)

    constant.__doc__ = f"{purpose} of the values behind tracers: piecewise constant."
    return constant
