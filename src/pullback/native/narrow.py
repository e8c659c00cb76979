"""Floats of 16 bits, float16 and the bfloat16 of ml_dtypes: stored as such, computed as float32.

Each result is rounded to the nearest one, ties to even, as the interpreter rounds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pullback.core.aval import DType, is_bfloat16

if TYPE_CHECKING:
    from pullback.native.code import Code

SINGLE, BITS, SHORT = np.dtype("f4"), np.dtype("u4"), np.dtype("u2")
_INFINITE, _QUIET = 0x7F800000, 0x7FC00000
_MAGNITUDE, _SIGN = 0x7FFFFFFF, 0x80000000


def is_narrow(dtype: DType) -> bool:
    """Whether `dtype` is a float of 16 bits."""
    return dtype == np.float16 or is_bfloat16(dtype)


def widened(code: Code, x: str, dtype: DType) -> str:
    """Write the cast of the bits `x` of a narrow float to float32."""
    bits = code.cast(x, SHORT, BITS)
    if dtype.kind != "f":
        return _float(code, _integer(code, "shl", bits, 16))
    sign = _integer(code, "shl", _integer(code, "and", bits, 0x8000), 16)
    moved = _integer(code, "shl", _integer(code, "and", bits, 0x7FFF), 13)
    # the exponents differ by 112; a product is right for the least numbers too
    scaled = code.binary("fmul", SINGLE, _float(code, moved), code.number(2.0**112, SINGLE))
    infinite = _compare(code, "uge", moved, 0x7C00 << 13)
    special = _integer(code, "or", moved, _INFINITE)
    size = code.select(infinite, BITS, special, _bits(code, scaled))
    return _float(code, code.binary("or", BITS, size, sign))


def narrowed(code: Code, x: str, dtype: DType) -> str:
    """Write the cast of a float32 to the bits of a narrow float."""
    bits = _bits(code, x)
    size = _integer(code, "and", bits, _MAGNITUDE)
    is_nan = _compare(code, "ugt", size, _INFINITE)
    if dtype.kind != "f":
        rounded = _integer(code, "lshr", _rounded(code, bits, 16), 16)
        quiet = code.number(_QUIET >> 16, BITS)
        return code.cast(code.select(is_nan, BITS, quiet, rounded), BITS, SHORT)
    normal = _rounded(code, _integer(code, "sub", size, 112 << 23), 13)
    normal = _integer(code, "lshr", normal, 13)
    # adding a half moves what a small number has to the last bits, rounded
    moved = code.let(f"fadd {code.type(SINGLE)} {_float(code, size)}, {code.number(0.5, SINGLE)}")
    small = _integer(code, "sub", _bits(code, moved), 0x3F000000)
    chosen = code.select(_compare(code, "ult", size, 0x38800000), BITS, small, normal)
    too_large = _compare(code, "uge", size, 0x47800000)
    chosen = code.select(too_large, BITS, code.number(0x7C00, BITS), chosen)
    chosen = code.select(is_nan, BITS, code.number(0x7E00, BITS), chosen)
    sign = _integer(code, "lshr", _integer(code, "and", bits, _SIGN), 16)
    return code.cast(code.binary("or", BITS, chosen, sign), BITS, SHORT)


def _rounded(code: Code, bits: str, dropped: int) -> str:
    """Round to the bits above the last `dropped` ones, which are to be cut off."""
    odd = _integer(code, "and", _integer(code, "lshr", bits, dropped), 1)
    half = _integer(code, "add", bits, (1 << (dropped - 1)) - 1)
    return code.binary("add", BITS, half, odd)


def _integer(code: Code, name: str, x: str, y: int) -> str:
    return code.binary(name, BITS, x, code.number(y, BITS))


def _compare(code: Code, predicate: str, x: str, y: int) -> str:
    return code.let(f"icmp {predicate} {code.type(BITS)} {x}, {code.number(y, BITS)}")


def _bits(code: Code, x: str) -> str:
    return code.let(f"bitcast {code.type(SINGLE)} {x} to {code.type(BITS)}")


def _float(code: Code, x: str) -> str:
    return code.let(f"bitcast {code.type(BITS)} {x} to {code.type(SINGLE)}")
