"""Numbers under construction: arithmetic on them writes instructions, so formulas stay formulas.

A formula is written once and works in float32 and float64; it has no branches, so that LLVM's loop
vectoriser takes it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.aval import DType
from pullback.native.code import BOOL, Code


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Something computed by the function under construction."""

    code: Code
    dtype: DType
    name: str


class Truth(Value):
    """A condition."""

    def _with(self, name: str, other: str) -> Truth:
        return Truth(self.code, BOOL, self.code.binary(name, BOOL, self.name, other))

    def __and__(self, other: Truth) -> Truth:
        return self._with("and", other.name)

    def __or__(self, other: Truth) -> Truth:
        return self._with("or", other.name)

    def __invert__(self) -> Truth:
        return self._with("xor", self.code.number(True, BOOL))


class Whole(Value):
    """An integer as wide as the reals are."""

    def _like(self, n: Whole | int) -> str:
        return n.name if isinstance(n, Whole) else self.code.number(n, self.dtype)

    def _with(self, name: str, x: Whole | int, y: Whole | int) -> Whole:
        made = self.code.binary(name, self.dtype, self._like(x), self._like(y))
        return Whole(self.code, self.dtype, made)

    def __add__(self, other: Whole | int) -> Whole:
        return self._with("add", self, other)

    def __sub__(self, other: Whole | int) -> Whole:
        return self._with("sub", self, other)

    def __neg__(self) -> Whole:
        return self._with("sub", 0, self)

    def __lshift__(self, count: int) -> Whole:
        return self._with("shl", self, count)

    def __rshift__(self, count: int) -> Whole:
        return self._with("ashr", self, count)

    def __xor__(self, other: Whole | int) -> Whole:
        return self._with("xor", self, other)

    def within(self, low: int, high: int) -> Whole:
        """Return the nearest integer from `low` to `high`."""
        raised = self.code.intrinsic("smax", self.dtype, [self.name, self._like(low)])
        kept = self.code.intrinsic("smin", self.dtype, [raised, self._like(high)])
        return Whole(self.code, self.dtype, kept)

    def is_odd(self) -> Truth:
        """Whether the last bit is set."""
        last = self.code.let(
            f"trunc {self.code.type(self.dtype)} {self.name} to {self.code.type(BOOL)}"
        )
        return Truth(self.code, BOOL, last)


class Real(Value):
    """A floating-point number."""

    def like(self, x: Real | float) -> Real:
        """Return a literal of this dtype; a number that is under construction is itself."""
        if isinstance(x, Real):
            return x
        return Real(self.code, self.dtype, self.code.number(x, self.dtype))

    def pick(self, single: Any, double: Any) -> Any:
        """Return what is for float32, or what is for float64."""
        return single if self.dtype.itemsize == 4 else double

    def _with(self, name: str, x: Real | float, y: Real | float) -> Real:
        t = self.code.type(self.dtype)
        instruction = f"{name} {t} {self.like(x).name}, {self.like(y).name}"
        return Real(self.code, self.dtype, self.code.let(instruction))

    def __add__(self, other: Real | float) -> Real:
        return self._with("fadd", self, other)

    def __radd__(self, other: float) -> Real:
        return self._with("fadd", other, self)

    def __sub__(self, other: Real | float) -> Real:
        return self._with("fsub", self, other)

    def __rsub__(self, other: float) -> Real:
        return self._with("fsub", other, self)

    def __mul__(self, other: Real | float) -> Real:
        return self._with("fmul", self, other)

    def __rmul__(self, other: float) -> Real:
        return self._with("fmul", other, self)

    def __truediv__(self, other: Real | float) -> Real:
        return self._with("fdiv", self, other)

    def __rtruediv__(self, other: float) -> Real:
        return self._with("fdiv", other, self)

    def __neg__(self) -> Real:
        t = self.code.type(self.dtype)
        return Real(self.code, self.dtype, self.code.let(f"fneg {t} {self.name}"))

    def compare(self, predicate: str, other: Real | float) -> Truth:
        """Compare by one of LLVM's predicates: "olt" is less and no NaN, "ult" less or NaN."""
        t = self.code.type(self.dtype)
        name = self.code.let(f"fcmp {predicate} {t} {self.name}, {self.like(other).name}")
        return Truth(self.code, BOOL, name)

    def __lt__(self, other: Real | float) -> Truth:
        return self.compare("olt", other)

    def __gt__(self, other: Real | float) -> Truth:
        return self.compare("ogt", other)

    def __le__(self, other: Real | float) -> Truth:
        return self.compare("ole", other)

    def __ge__(self, other: Real | float) -> Truth:
        return self.compare("oge", other)

    def equals(self, other: Real | float) -> Truth:
        """Whether both are the same number."""
        return self.compare("oeq", other)

    def is_nan(self) -> Truth:
        """Whether this is no number."""
        return self.compare("uno", self)

    def intrinsic(self, name: str, *others: Real | float) -> Real:
        """Return LLVM's own function `name` of this."""
        args = [self.name, *[self.like(x).name for x in others]]
        return Real(self.code, self.dtype, self.code.intrinsic(name, self.dtype, args))

    def __abs__(self) -> Real:
        return self.intrinsic("fabs")

    def sqrt(self) -> Real:
        """Return the square root."""
        return self.intrinsic("sqrt")

    def nearest(self) -> Real:
        """Return the nearest whole number, the even one of two."""
        return self.intrinsic("rint")

    def signed_as(self, other: Real) -> Real:
        """Return this with the sign of `other`, that of zero too."""
        return self.intrinsic("copysign", other)

    def within(self, low: float, high: float) -> Real:
        """Return the nearest number from `low` to `high`; NaN stays."""
        raised = choose(self < low, self.like(low), self)
        return choose(raised > high, raised.like(high), raised)

    # the bits of a number

    @property
    def fraction_bits(self) -> int:
        """How many bits of the number's memory are its fraction."""
        return 23 if self.dtype.itemsize == 4 else 52

    @property
    def bias(self) -> int:
        """What is added to the exponent in the number's memory."""
        return 127 if self.dtype.itemsize == 4 else 1023

    def bits(self) -> Whole:
        """Return the number's memory."""
        dtype = np.dtype(f"i{self.dtype.itemsize}")
        name = self.code.let(
            f"bitcast {self.code.type(self.dtype)} {self.name} to {self.code.type(dtype)}"
        )
        return Whole(self.code, dtype, name)

    def of_bits(self, bits: Whole) -> Real:
        """Return the number with this memory."""
        name = self.code.let(
            f"bitcast {self.code.type(bits.dtype)} {bits.name} to {self.code.type(self.dtype)}"
        )
        return Real(self.code, self.dtype, name)

    def of_whole(self, n: Whole) -> Real:
        """Return the number nearest to an integer."""
        return Real(self.code, self.dtype, self.code.cast(n.name, n.dtype, self.dtype))

    def truncated(self) -> Whole:
        """Return the integer that is left without the fraction, if it has room."""
        dtype = np.dtype(f"i{self.dtype.itemsize}")
        instruction = f"fptosi {self.code.type(self.dtype)} {self.name} to {self.code.type(dtype)}"
        return Whole(self.code, dtype, self.code.let(instruction))

    def power_of_two(self, exponent: Whole) -> Real:
        """Return 2**exponent, if that is a normal number."""
        return self.of_bits((exponent + self.bias) << self.fraction_bits)

    def ldexp(self, exponent: Whole) -> Real:
        """Return this times 2**exponent: one instruction of AVX-512, a call elsewhere."""
        made = self.code.ldexp(self.dtype, self.name, exponent.name)
        return Real(self.code, self.dtype, made)

    def rounded(self, scale: float) -> tuple[Whole, Real]:
        """Return `scale` times this, rounded, as an integer and as a number."""
        # adding 1.5 * 2**fraction_bits rounds to a whole number and leaves it in the last bits
        magic = 1.5 * 2.0**self.fraction_bits
        shifted = fused(self, scale, magic)
        return shifted.bits() - self.like(magic).bits(), shifted - magic

    def to(self, dtype: DType) -> Real:
        """Return the nearest number of another dtype."""
        return Real(self.code, dtype, self.code.cast(self.name, self.dtype, dtype))


def fused(x: Real, y: Real | float, z: Real | float) -> Real:
    """Return x * y + z, rounded once where the machine can do so quickly."""
    return x.intrinsic("fmuladd", y, z)


def exactly_fused(x: Real, y: Real | float, z: Real | float) -> Real:
    """Return x * y + z, rounded once."""
    return x.intrinsic("fma", y, z)


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """Return a polynomial by Horner's scheme, the highest coefficient first."""
    value = x.like(coefficients[0])
    for c in coefficients[1:]:
        value = fused(value, x, c)
    return value


def halved_polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """Return a polynomial by its even and odd powers, so that there is less to wait for."""
    square = x * x
    odd, even = coefficients[-2::-2][::-1], coefficients[::-2][::-1]
    return fused(polynomial(square, odd), x, polynomial(square, even))


def choose(condition: Truth, x: Real | float, y: Real | float) -> Real:
    """Return x where the condition holds, else y."""
    real = x if isinstance(x, Real) else y
    assert isinstance(real, Real)
    code, (a, b) = real.code, (real.like(v).name for v in (x, y))
    return Real(code, real.dtype, code.select(condition.name, real.dtype, a, b))
