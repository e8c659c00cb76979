"""The tables from NumPy's functions to pullback's: filled by the floors above, read by tracers.

`ufuncs` maps a NumPy or SciPy ufunc to the function that replaces it (NEP 13), `functions` does so
for every other NumPy function (NEP 18) and for `operator.getitem` and `operator.setitem`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pullback.core.errors import NotDifferentiableError

F = TypeVar("F", bound=Callable[..., Any])

ufuncs: dict[Any, Callable[..., Any]] = {}
functions: dict[Any, Callable[..., Any]] = {}
reductions: dict[Any, Callable[..., Any]] = {}
"""What `ufunc.reduce` means: np.add.reduce is np.sum, and so on."""

deferred: list[str] = []
"""Modules with more rules, imported when an unknown function is met (SciPy imports slowly)."""


def implements(*numpy_functions: Any) -> Callable[[F], F]:
    """Register the decorated function as what `numpy_functions` mean on tracers."""

    def register(function: F) -> F:
        for f in numpy_functions:
            (ufuncs if isinstance(f, np.ufunc) else functions)[f] = function
        return function

    return register


def lookup(table: dict[Any, Callable[..., Any]], function: Any) -> Callable[..., Any]:
    """Return the rule of `function`, or raise NotDifferentiableError with the nearest name."""
    found = table.get(function)
    while found is None and deferred:
        importlib.import_module(deferred.pop())
        found = table.get(function)
    if found is None:
        raise NotDifferentiableError(_unknown(function))
    return found


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """Answer NEP 13: a ufunc, or one of its methods, was called with a tracer among its inputs."""
    out = kwargs.pop("out", None)
    where = kwargs.pop("where", True)
    dtype = kwargs.pop("dtype", None)
    if method == "__call__":
        result = lookup(ufuncs, ufunc)(*map(as_operand, inputs), **kwargs)
        if dtype is not None:
            result = lookup(functions, np.astype)(result, dtype)
        if where is not True:
            if out is None:
                raise NotDifferentiableError(
                    f"np.{ufunc.__name__}(..., where=mask) leaves the other entries undefined "
                    "without `out`; write np.where(mask, value, other) instead"
                )
            result = np.where(where, result, out[0])
    elif method == "reduce" and ufunc in reductions:
        options = dict(kwargs, axis=kwargs.get("axis", 0))
        if dtype is not None:
            options["dtype"] = dtype
        if where is not True:
            options["where"] = where
        result = reductions[ufunc](*inputs, **options)
    elif method == "accumulate" and ufunc in (np.add, np.multiply):
        running = np.cumsum if ufunc is np.add else np.cumprod
        result = functions[running](*inputs, axis=kwargs.get("axis", 0), dtype=dtype)
    elif method == "outer":
        a, b = map(as_operand, inputs)
        result = lookup(ufuncs, ufunc)(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)
    else:
        raise NotDifferentiableError(
            f"np.{ufunc.__name__}.{method} has no derivative rule here; "
            "known are calls, .outer, .reduce of add, multiply, maximum, minimum, logical_and and "
            "logical_or, and .accumulate of add and multiply"
        )
    if out is not None:
        return write_out(out[0], result)
    return result


def write_out(out: Any, result: Any) -> Any:
    """Write `result` into `out`, as NumPy's `out=` does, and return `out`."""
    out[...] = result
    return out


def as_operand(x: Any) -> Any:
    """Return `x` as a ufunc takes it: lists become arrays, also lists that hold tracers."""
    return lookup(functions, np.array)(x) if isinstance(x, (list, tuple)) else x


def _unknown(function: Any) -> str:
    name = getattr(function, "__name__", str(function))
    module = (getattr(function, "__module__", None) or "numpy").removesuffix("._core")
    known = {getattr(f, "__name__", "") for f in (*ufuncs, *functions)}
    near = difflib.get_close_matches(name, known - {""}, n=1)
    hint = f"the nearest supported one is {near[0]!r}; " if near else ""
    return (
        f"{module}.{name} has no derivative rule in pullback: {hint}"
        "write it with supported functions, give it a rule with pb.custom_vjp, "
        "or declare it constant with pb.stop_gradient on its arguments"
    )
