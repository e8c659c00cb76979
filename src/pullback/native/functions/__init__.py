"""Elementary functions without branches, for LLVM's loop vectoriser.

Each is a formula over numbers under construction (`reals`). Measured against exact values, over
all exponents, the error is at most 2 units in the last place (ULP).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from pullback.core.aval import DType
from pullback.native.code import Code, Module, type_of, vector_type
from pullback.native.functions import (
    arcs,
    circular,
    errors,
    exponentials,
    logarithms,
    powers,
)
from pullback.native.functions.rare import call_library
from pullback.native.functions.reals import Real

OWN: dict[str, Callable[..., Real]] = {
    function.__name__: function
    for function in (
        exponentials.exp, exponentials.exp2, exponentials.expm1, exponentials.sinh,
        exponentials.cosh, exponentials.tanh, exponentials.expit, logarithms.log,
        logarithms.log2, logarithms.log10, logarithms.log1p, logarithms.log_expit,
        logarithms.logaddexp, logarithms.arcsinh, logarithms.arccosh, logarithms.arctanh,
        circular.sin, circular.cos, circular.tan, arcs.arcsin, arcs.arccos, arcs.arctan,
        arcs.arctan2, errors.erf, errors.erfc, powers.cbrt, powers.hypot, powers.power,
    )
}  # fmt: skip
"""The functions written here, by the names of their operations."""
ASKING = {"sin", "cos", "tan"}
"""Those that ask the C library for rare arguments."""


def call(code: Code, name: str, dtype: DType, args: list[str]) -> str:
    """Call an elementary function: our own, or that of the C library."""
    if name not in OWN:
        return call_library(code, name, dtype, args)
    t, parameters = code.type(dtype), [f"{code.type(dtype)} {a}" for a in args]
    known = code.known if name in ASKING else None
    code.module.math[name, dtype, code.lanes, known is not None] = None
    if known is not None:
        parameters.append(f"ptr {known}")
    own = _name(name, dtype, code.lanes, known is not None)
    return code.let(f"call {t} @{own}({', '.join(parameters)})")


def define_used(module: Module) -> None:
    """Define every function of ours that the module calls."""
    for name, dtype, lanes, tells in module.math:
        function = OWN[name]
        t = vector_type(type_of(dtype), lanes)
        parameters = [f"%{p}" for p in inspect.signature(function).parameters]
        typed = ", ".join([f"{t} {p}" for p in parameters] + ["ptr %known"] * tells)
        own = _name(name, dtype, lanes, tells)
        code = Code(module, own, typed, f"internal {t}", lanes, "alwaysinline")
        code.known = "%known" if tells else None
        result = function(*[Real(code, dtype, p) for p in parameters])
        code.finish(f"ret {t} {result.name}")


def _name(name: str, dtype: DType, lanes: int, tells: bool) -> str:
    return f"pb_{name}_{dtype.str[1:]}{f'x{lanes}' if lanes > 1 else ''}{'_near' * tells}"
