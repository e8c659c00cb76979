"""Rare arguments: where a formula does not hold, the C library is asked, one element at a time.

A vector without any such element goes straight through. LLVM's vectoriser finds the functions
for vectors by their names in "vector-function-abi-variant".
"""

from __future__ import annotations

from pullback.core.aval import DType
from pullback.native.code import BOOL, Code, Module, type_of, vector_type
from pullback.native.engine import vector_bytes
from pullback.native.functions.reals import Real


def by_library(name: str, result: Real, x: Real, beyond: float) -> Real:
    """Return `result`, and the C library's function of x where |x| is larger than `beyond`."""
    code, dtype = x.code, x.dtype
    if code.known is not None:
        known = code.let(f"load i1, ptr {code.known}")
        known = code.binary("and", BOOL, known, abs(x).compare("ule", beyond).name)
        code.line(f"store i1 {known}, ptr {code.known}")
        return result
    own = f"rare_{name}_{dtype.str[1:]}"
    widths = [w for w in (2, 4, 8, 16) if w * dtype.itemsize <= vector_bytes()]
    if own not in code.module.declarations:
        code.module.declare(own, f"; {own}: defined above")
        _define(code.module, name, own, dtype, beyond)
        for width in widths:
            _define_vector(code.module, own, dtype, width, beyond)
    if code.lanes > 1:
        own = f"{own}_{code.lanes}"
    variants = ",".join(f"_ZGV_LLVM_N{w}vv_{own}({own}_{w})" for w in widths)
    t = code.type(dtype)
    call = f"call {t} @{own}({t} {x.name}, {t} {result.name}) nounwind willreturn memory(none)"
    if code.lanes == 1:
        call += f' "vector-function-abi-variant"="{variants}"'
    return Real(code, dtype, code.let(call))


def call_library(code: Code, name: str, dtype: DType, args: list[str]) -> str:
    """Call a function of the C library, for one lane after the other."""
    t, vector = type_of(dtype), code.type(dtype)
    full = name + ("f" if dtype.itemsize == 4 else "")
    code.module.declare(full, f"declare {t} @{full}({', '.join([t] * len(args))}) #1")
    if code.lanes == 1:
        return code.let(f"call {t} @{full}({', '.join(f'{t} {a}' for a in args)})")
    result = "poison"
    for k in range(code.lanes):
        one = [code.let(f"extractelement {vector} {a}, i32 {k}") for a in args]
        value = code.let(f"call {t} @{full}({', '.join(f'{t} {a}' for a in one)})")
        result = code.let(f"insertelement {vector} {result}, {t} {value}, i32 {k}")
    return result


def _define(module: Module, name: str, own: str, dtype: DType, beyond: float) -> None:
    t = type_of(dtype)
    # hidden, not internal: until the vectoriser runs, nothing calls the functions for vectors
    code = Code(module, own, f"{t} %x, {t} %result", f"hidden {t}", inline="noinline")
    far = abs(Real(code, dtype, "%x")) > beyond
    code.line(f"br i1 {far.name}, label %ask, label %done")
    code.begin("ask")
    asked = call_library(code, name, dtype, ["%x"])
    code.line("br label %done")
    code.begin("done")
    code.finish(f"ret {t} {code.let(f'phi {t} [%result, %entry], [{asked}, %ask]')}")


def _define_vector(module: Module, own: str, dtype: DType, width: int, beyond: float) -> None:
    t, v = type_of(dtype), vector_type(type_of(dtype), width)
    parameters = f"{v} %x, {v} %result"
    code = Code(module, f"{own}_{width}", parameters, f"hidden {v}", width, "noinline")
    far = abs(Real(code, dtype, "%x")) > beyond
    some = f"llvm.vector.reduce.or.v{width}i1"
    module.declare(some, f"declare i1 @{some}({code.type(BOOL)})")
    any_far = code.let(f"call i1 @{some}({code.type(BOOL)} {far.name})")
    code.line(f"br i1 {any_far}, label %ask, label %through")
    code.begin("ask")

    def one(lane: str, values: list[str]) -> list[str]:
        x, before = (code.let(f"extractelement {v} {y}, i64 {lane}") for y in ("%x", *values))
        after = code.let(f"call {t} @{own}({t} {x}, {t} {before})")
        return [code.let(f"insertelement {v} {values[0]}, {t} {after}, i64 {lane}")]

    (changed,) = code.fold(width, v, ["%result"], one)
    code.line(f"ret {v} {changed}")
    code.begin("through")
    code.finish(f"ret {v} %result")
