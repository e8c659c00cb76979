"""Elementary functions without branches, for LLVM's loop vectoriser.

Ranges are reduced as in Cody and Waite, "Software Manual for the Elementary Functions", 1980;
the polynomials are those of the Cephes library (Moshier, 1989), and Taylor's for exp in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import DType
from pullback.native.code import Code, Module, math_name, type_of, vector_type


class _Reals:
    """Arithmetic on values of one floating dtype, so that formulas read as such."""

    def __init__(self, code: Code, dtype: DType) -> None:
        self.code, self.dtype, self.type = code, dtype, code.type(dtype)
        self.bits = np.dtype(f"i{dtype.itemsize}")

    def number(self, x: Any) -> str:
        return self.code.number(x, self.dtype)

    def add(self, x: str, y: str) -> str:
        return self.code.let(f"fadd {self.type} {x}, {y}")

    def subtract(self, x: str, y: str) -> str:
        return self.code.let(f"fsub {self.type} {x}, {y}")

    def multiply(self, x: str, y: str) -> str:
        return self.code.let(f"fmul {self.type} {x}, {y}")

    def divide(self, x: str, y: str) -> str:
        return self.code.let(f"fdiv {self.type} {x}, {y}")

    def fused(self, x: str, y: str, z: str) -> str:
        """Return x * y + z, rounded once where the machine can."""
        return self.code.intrinsic("fmuladd", self.dtype, [x, y, z])

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """Return a polynomial by Horner's scheme, the highest coefficient first."""
        value = self.number(coefficients[0])
        for c in coefficients[1:]:
            value = self.fused(value, x, self.number(c))
        return value

    def size(self, x: str) -> str:
        return self.code.intrinsic("fabs", self.dtype, [x])

    def choose(self, predicate: str, x: str, y: str, then: str, otherwise: str) -> str:
        """Return `then` where x compares so with y, else `otherwise`."""
        c = self.code.let(f"fcmp {predicate} {self.type} {x}, {y}")
        return self.code.select(c, self.dtype, then, otherwise)

    def to_bits(self, x: str) -> str:
        return self.code.let(f"bitcast {self.type} {x} to {self.code.type(self.bits)}")

    def from_bits(self, x: str) -> str:
        return self.code.let(f"bitcast {self.code.type(self.bits)} {x} to {self.type}")

    def integer(self, name: str, x: str, y: int | str) -> str:
        other = self.code.number(y, self.bits) if isinstance(y, int) else y
        return self.code.binary(name, self.bits, x, other)

    @property
    def fraction_bits(self) -> int:
        return 23 if self.dtype.itemsize == 4 else 52

    @property
    def bias(self) -> int:
        return 127 if self.dtype.itemsize == 4 else 1023


def _reduced_exp(f: _Reals, x: str) -> tuple[str, str]:
    """Return whole n and m with exp(x) = 2**n (1 + m), for x within exp's range."""
    single = f.dtype.itemsize == 4
    # adding 1.5 * 2**fraction_bits rounds to a whole number and leaves it in the last bits
    magic = f.number(1.5 * 2.0**f.fraction_bits)
    shifted = f.fused(x, f.number(1 / math.log(2.0)), magic)
    n = f.subtract(shifted, magic)
    whole = f.integer("sub", f.to_bits(shifted), f.to_bits(magic))
    # log(2) in two parts, of which the first has few bits, so that n times it is exact
    high, low = (
        (0.693359375, -2.12194440e-4)
        if single
        else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    )
    r = f.fused(n, f.number(-low), f.fused(n, f.number(-high), x))
    if single:
        coefficients = [
            1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
            5.0000001201e-1,
        ]  # fmt: skip
    else:
        coefficients = [1 / math.factorial(k) for k in range(13, 1, -1)]
    return whole, f.fused(f.multiply(r, r), f.polynomial(r, coefficients), r)


def _power_of_two(f: _Reals, exponent: str) -> str:
    return f.from_bits(f.integer("shl", f.integer("add", exponent, f.bias), f.fraction_bits))


def _exp(f: _Reals, x: str) -> str:
    low, high = (-104.0, 89.0) if f.dtype.itemsize == 4 else (-746.0, 710.0)
    x = f.choose("olt", x, f.number(low), f.number(low), x)  # NaN compares with nothing and stays
    x = f.choose("ogt", x, f.number(high), f.number(high), x)
    whole, m = _reduced_exp(f, x)
    # 2**whole in two factors, since one alone may be out of range where the result is not
    half = f.integer("ashr", whole, 1)
    scaled = f.multiply(f.add(m, f.number(1)), _power_of_two(f, half))
    return f.multiply(scaled, _power_of_two(f, f.integer("sub", whole, half)))


def _expm1(f: _Reals, x: str) -> str:
    single = f.dtype.itemsize == 4
    low, high = (-40.0, 85.0) if single else (-80.0, 700.0)
    y = f.choose("olt", x, f.number(low), f.number(low), x)
    y = f.choose("ogt", y, f.number(high), f.number(high), y)
    whole, m = _reduced_exp(f, y)
    scale = _power_of_two(f, whole)
    near = f.fused(scale, m, f.subtract(scale, f.number(1)))
    near = f.choose("oeq", x, f.number(0), x, near)  # keeps the sign of zero
    return f.choose("ogt", x, f.number(high), _exp(f, x), near)


def _log(f: _Reals, x: str) -> str:
    single = f.dtype.itemsize == 4
    tiny = float(np.finfo(f.dtype).tiny)
    scale = 2.0**f.fraction_bits
    y = f.choose("olt", x, f.number(tiny), f.multiply(x, f.number(scale)), x)
    shift = f.choose("olt", x, f.number(tiny), f.number(-float(f.fraction_bits)), f.number(0))
    # x = m * 2**e with m from sqrt(1/2) to sqrt(2)
    root_half = int(np.asarray(math.sqrt(0.5), f.dtype).view(f.bits))
    bits = f.to_bits(y)
    exponent = f.integer("ashr", f.integer("sub", bits, root_half), f.fraction_bits)
    m = f.from_bits(f.integer("sub", bits, f.integer("shl", exponent, f.fraction_bits)))
    e = f.add(f.code.cast(exponent, f.bits, f.dtype), shift)
    r = f.subtract(m, f.number(1))
    z = f.multiply(r, r)
    if single:
        p = f.polynomial(r, (
            7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
            -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
        ))  # fmt: skip
        p = f.multiply(f.multiply(r, z), p)
        low, high = -2.12194440e-4, 0.693359375
    else:
        top = f.polynomial(r, (
            1.01875663804580931796e-4, 4.97494994976747001425e-1, 4.70579119878881725854e0,
            1.44989225341610930846e1, 1.79368678507819816313e1, 7.70838733755885391666e0,
        ))  # fmt: skip
        bottom = f.polynomial(r, (
            1.0, 1.12873587189167450590e1, 4.52279145837532221105e1, 8.29875266912776603211e1,
            7.11544750618563894466e1, 2.31251620126765340583e1,
        ))  # fmt: skip
        p = f.multiply(r, f.divide(f.multiply(z, top), bottom))
        low, high = -2.121944400546905827679e-4, 0.693359375
    p = f.fused(e, f.number(low), p)
    p = f.fused(z, f.number(-0.5), p)
    p = f.fused(e, f.number(high), f.add(r, p))
    infinity = f.number(math.inf)
    p = f.choose("oeq", x, infinity, infinity, p)
    p = f.choose("oeq", x, f.number(0), f.number(-math.inf), p)
    return f.choose("ult", x, f.number(0), f.number(math.nan), p)


def _log1p(f: _Reals, x: str) -> str:
    # what rounding took from 1 + x comes back to first order (Goldberg, "What every computer
    # scientist should know about floating-point arithmetic", 1991)
    one = f.number(1)
    total = f.add(x, one)
    lost = f.divide(f.subtract(x, f.subtract(total, one)), total)
    lost = f.choose("ogt", total, f.number(0), lost, f.number(0))
    lost = f.choose("olt", x, f.number(math.inf), lost, f.number(0))
    near = f.add(_log(f, total), lost)
    return f.choose("oeq", x, f.number(0), x, near)


def _tanh(f: _Reals, x: str) -> str:
    size = f.size(x)
    z = f.multiply(x, x)
    if f.dtype.itemsize == 4:
        p = f.polynomial(z, (
            -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
            -3.33332819422e-1,
        ))  # fmt: skip
    else:
        top = f.polynomial(z, (
            -9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3,
        ))  # fmt: skip
        bottom = f.polynomial(z, (
            1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3,
        ))  # fmt: skip
        p = f.divide(top, bottom)
    small = f.fused(f.multiply(z, p), x, x)
    e = _exp(f, f.add(size, size))
    large = f.subtract(f.number(1), f.divide(f.number(2), f.add(e, f.number(1))))
    value = f.choose("olt", size, f.number(0.625), small, large)
    return f.code.intrinsic("copysign", f.dtype, [value, x])  # that of zero too


OWN: dict[str, Callable[[_Reals, str], str]] = {
    "exp": _exp, "expm1": _expm1, "log": _log, "log1p": _log1p, "tanh": _tanh,
}  # fmt: skip
"""The functions written here; all others are the C library's, one element at a time."""


def define_used(module: Module) -> None:
    """Define every function of ours that the module calls."""
    for name, dtype, lanes in module.math:
        t = vector_type(type_of(dtype), lanes)
        code = Code(module, math_name(name, dtype, lanes), f"{t} %x", f"internal {t}", lanes=lanes)
        result = OWN[name](_Reals(code, dtype), "%x")
        code.finish(f"ret {t} {result}")
