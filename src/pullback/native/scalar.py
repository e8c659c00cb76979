"""Scalar instructions: what the body of a loop is made of, one entry per operation.

An entry writes LLVM instructions through a `Code` for operands of its working dtype. The vector
unit is used by LLVM's loop vectoriser, so everything here is free of branches.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pullback.core.aval import DType
from pullback.native.code import BOOL, Code
from pullback.native.functions import OWN, call

Emit = Callable[[Code, DType, list[str]], str]


def _by_kind(floating: str, signed: str, unsigned: str | None = None) -> Emit:
    def emit(code: Code, dtype: DType, args: list[str]) -> str:
        kind = dtype.kind
        name = floating if kind == "f" else signed if kind == "i" else unsigned or signed
        return code.binary(name, dtype, *args)

    return emit


def _compare(floating: str, signed: str, unsigned: str | None = None) -> Emit:
    def emit(code: Code, dtype: DType, args: list[str]) -> str:
        if dtype.kind == "f":
            return code.let(f"fcmp {floating} {code.type(dtype)} {args[0]}, {args[1]}")
        name = signed if dtype.kind == "i" else unsigned or signed
        return code.let(f"icmp {name} {code.type(dtype)} {args[0]}, {args[1]}")

    return emit


def _math(name: str) -> Emit:
    return lambda code, dtype, args: call(code, name, dtype, args)


def _intrinsic(name: str) -> Emit:
    return lambda code, dtype, args: code.intrinsic(name, dtype, args)


def _negative(code: Code, dtype: DType, args: list[str]) -> str:
    if dtype.kind == "f":
        return code.let(f"fneg {code.type(dtype)} {args[0]}")
    return code.let(f"sub {code.type(dtype)} {code.number(0, dtype)}, {args[0]}")


def _absolute(code: Code, dtype: DType, args: list[str]) -> str:
    if dtype.kind == "f":
        return code.intrinsic("fabs", dtype, args)
    if dtype.kind == "u":
        return args[0]
    negative = _negative(code, dtype, args)
    below = code.let(f"icmp slt {code.type(dtype)} {args[0]}, {code.number(0, dtype)}")
    return code.select(below, dtype, negative, args[0])


def _sign(code: Code, dtype: DType, args: list[str]) -> str:
    (x,) = args
    zero, one, minus = (code.number(v, dtype) for v in (0, 1, -1 if dtype.kind != "u" else 0))
    above = COMPARE["greater"](code, dtype, [x, zero])
    below = COMPARE["less"](code, dtype, [x, zero])
    nonzero = code.select(above, dtype, one, code.select(below, dtype, minus, zero))
    if dtype.kind != "f":
        return nonzero
    unordered = code.let(f"fcmp uno {code.type(dtype)} {x}, {x}")
    return code.select(unordered, dtype, x, nonzero)


def _extreme(floating: str, signed: str, unsigned: str) -> Emit:
    def emit(code: Code, dtype: DType, args: list[str]) -> str:
        kind = dtype.kind
        if kind == "b":
            return code.binary("or" if signed == "smax" else "and", dtype, *args)
        name = floating if kind == "f" else signed if kind == "i" else unsigned
        return code.intrinsic(name, dtype, args)

    return emit


def _floor_quotient(code: Code, dtype: DType, args: list[str]) -> str:
    quotient = code.binary("fdiv", dtype, *args)
    return code.intrinsic("floor", dtype, [quotient])


def _square(code: Code, dtype: DType, args: list[str]) -> str:
    return SCALARS["multiply"](code, dtype, [args[0], args[0]])


def _logical(name: str) -> Emit:
    def emit(code: Code, dtype: DType, args: list[str]) -> str:
        truths = [code.truth(dtype, a) for a in args]
        return code.binary(name, BOOL, *truths)

    return emit


def _test(predicate: Callable[[Code, DType, str], str]) -> Emit:
    return lambda code, dtype, args: predicate(code, dtype, args[0])


def _is_nan(code: Code, dtype: DType, x: str) -> str:
    if dtype.kind != "f":
        return code.number(False, BOOL)
    return code.let(f"fcmp uno {code.type(dtype)} {x}, {x}")


def _is_infinite(code: Code, dtype: DType, x: str) -> str:
    if dtype.kind != "f":
        return code.number(False, BOOL)
    size = code.intrinsic("fabs", dtype, [x])
    return code.let(f"fcmp oeq {code.type(dtype)} {size}, {code.number(float('inf'), dtype)}")


def _is_finite(code: Code, dtype: DType, x: str) -> str:
    if dtype.kind != "f":
        return code.number(True, BOOL)
    size = code.intrinsic("fabs", dtype, [x])
    return code.let(f"fcmp one {code.type(dtype)} {size}, {code.number(float('inf'), dtype)}")


def _invert(code: Code, dtype: DType, args: list[str]) -> str:
    return code.binary("xor", dtype, args[0], code.number(-1, dtype))


def _shift(name: str, arithmetic: str) -> Emit:
    def emit(code: Code, dtype: DType, args: list[str]) -> str:
        x, by = args
        type_, bits = code.type(dtype), dtype.itemsize * 8
        beyond = code.let(f"icmp uge {type_} {by}, {code.number(bits, dtype)}")
        safe = code.select(beyond, dtype, code.number(0, dtype), by)
        shifted = code.let(f"{arithmetic if dtype.kind == 'i' else name} {type_} {x}, {safe}")
        rest = code.number(0, dtype)
        if arithmetic == "ashr" and dtype.kind == "i":
            rest = code.binary("ashr", dtype, x, code.number(bits - 1, dtype))
        return code.select(beyond, dtype, rest, shifted)

    return emit


def _times_log(logarithm: str) -> Emit:
    """x * log(y), and 0 where x is 0 and y is a number."""

    def emit(code: Code, dtype: DType, args: list[str]) -> str:
        x, y = args
        product = code.binary("fmul", dtype, x, call(code, logarithm, dtype, [y]))
        zero = COMPARE["equal"](code, dtype, [x, code.number(0, dtype)])
        known = code.let(f"fcmp ord {code.type(dtype)} {y}, {y}")
        nothing = code.binary("and", BOOL, zero, known)
        return code.select(nothing, dtype, code.number(0, dtype), product)

    return emit


def _chain_product(code: Code, dtype: DType, args: list[str]) -> str:
    """ct * d, and 0 where ct is 0, whatever d is."""
    ct, slope = args
    zero = code.number(0, dtype)
    masked = COMPARE["equal"](code, dtype, [ct, zero])
    return code.binary("fmul", dtype, ct, code.select(masked, dtype, zero, slope))


def _scaled(factor: float) -> Emit:
    return lambda code, dtype, args: code.binary("fmul", dtype, args[0], code.number(factor, dtype))


def _bfloat16_bits(code: Code, x: str) -> str:
    """Return the bits of a float32, rounded so that its last 16 do not count; NaN stays NaN."""
    bits, single = np.dtype(np.uint32), np.dtype(np.float32)
    whole = code.let(f"bitcast {code.type(single)} {x} to {code.type(bits)}")
    last = code.binary("lshr", bits, whole, code.number(16, bits))
    odd = code.binary("and", bits, last, code.number(1, bits))
    half = code.binary("add", bits, odd, code.number(0x7FFF, bits))
    near = code.binary("add", bits, whole, half)
    quiet = code.binary("or", bits, whole, code.number(1 << 22, bits))
    return code.select(_is_nan(code, single, x), bits, quiet, near)


def _bfloat16_round(code: Code, dtype: DType, args: list[str]) -> str:
    bits = np.dtype(np.uint32)
    near = code.binary("and", bits, _bfloat16_bits(code, args[0]), code.number(0xFFFF0000, bits))
    return code.let(f"bitcast {code.type(bits)} {near} to {code.type(dtype)}")


def _bfloat16_pair(code: Code, dtype: DType, args: list[str]) -> str:
    """Two numbers as bfloat16 in 32 bits, the first in the lower half."""
    bits = np.dtype(np.uint32)
    low, high = (_bfloat16_bits(code, x) for x in args)
    low = code.binary("lshr", bits, low, code.number(16, bits))
    return code.binary(
        "or", bits, low, code.binary("and", bits, high, code.number(0xFFFF0000, bits))
    )


COMPARE: dict[str, Emit] = {
    "less": _compare("olt", "slt", "ult"),
    "less_equal": _compare("ole", "sle", "ule"),
    "greater": _compare("ogt", "sgt", "ugt"),
    "greater_equal": _compare("oge", "sge", "uge"),
    "equal": _compare("oeq", "eq"),
    "not_equal": _compare("une", "ne"),
}

SCALARS: dict[str, Emit] = {
    "add": _by_kind("fadd", "add"),
    "subtract": _by_kind("fsub", "sub"),
    "multiply": _by_kind("fmul", "mul"),
    "divide": _by_kind("fdiv", "sdiv"),
    "negative": _negative,
    "square": _square,
    "reciprocal": lambda code, dtype, args: code.binary(
        "fdiv", dtype, code.number(1, dtype), args[0]
    ),
    "absolute": _absolute,
    "fabs": _absolute,
    "sign": _sign,
    "maximum": _extreme("maximum", "smax", "umax"),
    "minimum": _extreme("minimum", "smin", "umin"),
    "fmax": _extreme("maxnum", "smax", "umax"),
    "fmin": _extreme("minnum", "smin", "umin"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "rint": _intrinsic("rint"),
    "copysign": _intrinsic("copysign"),
    **{name: _math(name) for name in OWN},
    "fmod": _math("fmod"),
    **COMPARE,
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": lambda code, dtype, args: code.binary(
        "xor", BOOL, code.truth(dtype, args[0]), code.number(True, BOOL)
    ),
    "isnan": _test(_is_nan),
    "isinf": _test(_is_infinite),
    "isfinite": _test(_is_finite),
    "invert": _invert,
    "bitwise_and": _by_kind("and", "and"),
    "bitwise_or": _by_kind("or", "or"),
    "bitwise_xor": _by_kind("xor", "xor"),
    "left_shift": _shift("shl", "shl"),
    "right_shift": _shift("lshr", "ashr"),
    "xlogy": _times_log("log"),
    "xlog1py": _times_log("log1p"),
    "chain_product": _chain_product,
    **{name: _scaled(math.pi / 180) for name in ("deg2rad", "radians")},
    **{name: _scaled(180 / math.pi) for name in ("rad2deg", "degrees")},
    "bfloat16_round": _bfloat16_round,
    "bfloat16_pair": _bfloat16_pair,
    "where": lambda code, dtype, args: code.select(args[0], dtype, args[1], args[2]),
    "astype": lambda code, dtype, args: args[0],
    "discrete_astype": lambda code, dtype, args: args[0],
}  # fmt: skip
"""The instruction of each operation, by name."""


def _bits(code: Code, dtype: DType, args: list[str]) -> str:
    whole = code.type(np.dtype(f"u{dtype.itemsize}"))
    return code.let(f"bitcast {code.type(dtype)} {args[0]} to {whole}")


INSTRUCTIONS: dict[str, Emit] = {**SCALARS, "bits": _bits}
"""What expressions are made of: operations, and the bits of a number as an integer."""

_WHOLE = {
    "add", "subtract", "multiply", "negative", "square", "absolute", "sign", "maximum", "minimum",
    "fmax", "fmin", "invert", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift",
    "right_shift", "where", "astype", "discrete_astype", "isnan", "isinf", "isfinite",
}  # fmt: skip
_TRUTHS = {
    "maximum", "minimum", "invert", "bitwise_and", "bitwise_or", "bitwise_xor", "where", "astype",
    "discrete_astype",
}  # fmt: skip


def takes(name: str, working: DType) -> bool:
    """Whether the instruction `name` is right for values of dtype `working`."""
    if working.kind == "f":
        return name not in ("invert", "bitwise_and", "bitwise_or", "bitwise_xor")
    if name in COMPARE or name.startswith("logical"):
        return True
    return name in (_TRUTHS if working.kind == "b" else _WHOLE)


COMPARISONS = {
    *COMPARE, "logical_and", "logical_or", "logical_xor", "logical_not",
    "isnan", "isinf", "isfinite",
}  # fmt: skip
"""Operations whose result is boolean, whatever they work on."""

CHEAP = {
    "add", "subtract", "multiply", "negative", "square", "absolute", "fabs", "maximum", "minimum",
    "where", "astype", "discrete_astype", "bitwise_and", "bitwise_or", "bitwise_xor", "invert",
    "chain_product", *COMPARISONS,
}  # fmt: skip
"""Operations that are as quick to do again as to store and load."""
