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
from pullback.core.foreign import is_plain, plain

F = TypeVar("F", bound=Callable[..., Any])

ufuncs: dict[Any, Callable[..., Any]] = {}
functions: dict[Any, Callable[..., Any]] = {}
reductions: dict[Any, Callable[..., Any]] = {}
"""What `ufunc.reduce` means: np.add.reduce is np.sum, and so on."""
methods: dict[str, Callable[..., Any]] = {}
"""The methods of ufuncs by name: each takes the ufunc and what NumPy's method takes."""

deferred: list[str] = []
"""Modules with more rules, imported when an unknown function is met (SciPy imports slowly)."""


def implements(*numpy_functions: Any) -> Callable[[F], F]:
    """Register the decorated function as what `numpy_functions` mean on tracers."""

    def register(function: F) -> F:
        for f in numpy_functions:
            (ufuncs if isinstance(f, np.ufunc) else functions)[f] = function
        return function

    return register


def load_deferred() -> None:
    """Import the modules with more rules, those that are imported late."""
    while deferred:
        importlib.import_module(deferred.pop())


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
    for option in ("casting", "order", "subok"):  # about memory, and checks of NumPy's own
        kwargs.pop(option, None)
    if method == "__call__":
        result = _call(ufunc, inputs, out, **kwargs)
    else:
        result = methods[method](ufunc, *inputs, **kwargs)
    if out is None:
        return result
    if isinstance(result, tuple):
        return tuple(r if o is None else write_out(o, r) for o, r in zip(out, result, strict=True))
    return write_out(out[0], result)


def _call(
    ufunc: np.ufunc, inputs: Any, out: Any, dtype: Any = None, where: Any = True, **options: Any
) -> Any:
    rule = lookup(ufuncs, ufunc)
    operands = [as_operand(x) for x in inputs]
    if dtype is not None:
        operands = _cast(ufunc, operands, dtype)
    result = rule(*operands, **options)
    if where is True:
        return result
    if out is None:
        raise NotDifferentiableError(
            f"np.{ufunc.__name__}(..., where=mask) leaves the other entries undefined "
            "without `out`; write np.where(mask, value, other) instead"
        )
    if isinstance(result, tuple):
        return tuple(np.where(where, r, o) for r, o in zip(result, out, strict=True))
    return np.where(where, result, out[0])


def _cast(ufunc: np.ufunc, operands: list[Any], dtype: Any) -> list[Any]:
    """Return `operands` in the dtypes of the ufunc's loop whose results have `dtype`."""
    kinds = [getattr(x, "dtype", type(x)) for x in operands]
    signature = (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    loop = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout), signature=signature)
    return [
        lookup(functions, np.astype)(x, kind) if hasattr(x, "dtype") else kind.type(x)
        for x, kind in zip(operands, loop, strict=False)
    ]


def write_out(out: Any, result: Any) -> Any:
    """Write `result` into `out`, as NumPy's `out=` does, and return `out`."""
    out[...] = result
    return out


def as_operand(x: Any) -> Any:
    """Return `x` as a ufunc takes it: lists become arrays, also lists that hold tracers."""
    kind = x.__class__
    if is_plain(kind) or (kind is np.ndarray and not x.dtype.hasobject):
        return x
    return lookup(functions, np.array)(x) if issubclass(kind, (list, tuple)) else plain(x)


def _unknown(function: Any) -> str:
    name = getattr(function, "__name__", str(function))
    module = (getattr(function, "__module__", None) or "numpy").removesuffix("._core")
    known = {getattr(f, "__name__", "") for f in (*ufuncs, *functions)}
    near = difflib.get_close_matches(name, known - {""}, n=1)
    hint = f"the nearest supported one is {near[0]!r}; " if near else ""
    return (
        f"{module}.{name} has no derivative rule in pullback: {hint}"
        "write it with supported functions, give it a rule with pb.register or pb.custom_vjp, "
        "or declare it constant with pb.stop_gradient on its arguments"
    )
