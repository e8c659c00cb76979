"""Abstract values: what is known of an array before it is computed."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

Shape = tuple[int, ...]
DType = np.dtype[Any]

_SHORT = {"float": "f", "complex": "c", "int": "i", "uint": "u"}


class Aval:
    """Shape and dtype of an array; `weak` marks a Python scalar, which never widens a dtype.

    There is one of each kind only, so that they are compared quickly.

    >>> Aval((3, 4), np.float32)
    f32[3,4]
    >>> Aval((3, 4), np.float32) is Aval([3, 4], "f4")
    True
    """

    __slots__ = ("dtype", "shape", "weak")

    shape: Shape
    dtype: DType
    weak: bool

    def __new__(cls, shape: Any, dtype: Any, weak: bool = False) -> Aval:
        try:
            return _known[shape, dtype, weak]
        except (KeyError, TypeError):
            return _made(tuple(map(int, shape)), np.dtype(dtype), bool(weak))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an Aval cannot be changed: make another, Aval(..., {name}=...)")

    def __reduce__(self) -> tuple[Any, ...]:
        return Aval, (self.shape, self.dtype, self.weak)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    def __repr__(self) -> str:
        name = self.dtype.name
        kind = name.rstrip("0123456789")
        bits = name[len(kind) :]
        text = _SHORT.get(kind, kind) + bits
        return text + ("*" if self.weak else "") + "[" + ",".join(map(str, self.shape)) + "]"


_known: dict[Any, Aval] = {}


def _made(shape: Shape, dtype: DType, weak: bool) -> Aval:
    if dtype.kind != "V":
        dtype = np.dtype(dtype.str)  # the one that NumPy shares
    aval = object.__new__(Aval)
    for name, value in (("shape", shape), ("dtype", dtype), ("weak", weak)):
        object.__setattr__(aval, name, value)
    return _known.setdefault((shape, dtype, weak), aval)


_WEAK = {float: np.dtype("f8"), int: np.dtype("i8"), complex: np.dtype("c16")}


def aval_of(x: Any) -> Aval:
    """Return the abstract value of an array, a NumPy scalar, a Python scalar or a tracer."""
    if isinstance(x, Aval):
        return x
    if isinstance(x, (bool, np.generic, np.ndarray)):
        a = np.asarray(x)
        return Aval(a.shape, a.dtype)
    for kind, dtype in _WEAK.items():
        if isinstance(x, kind):
            return Aval((), dtype, weak=True)
    found: Aval | None = getattr(x, "aval", None)
    if found is not None:
        return found
    a = np.asarray(x)
    return Aval(a.shape, a.dtype)


def promotion_key(aval: Aval) -> Any:
    """Return what NumPy's promotion takes: the dtype, or a Python scalar type if weak."""
    if not aval.weak:
        return aval.dtype
    return {"i": int, "f": float, "c": complex}[aval.dtype.kind]


@functools.cache
def _example(kind: type) -> Any:
    return kind(0)


def result_type(*avals: Aval) -> DType:
    """Return NumPy's common dtype of `avals`, weak ones as Python scalars (NEP 50)."""
    keys = [promotion_key(a) for a in avals]
    return np.result_type(*[_example(k) if isinstance(k, type) else k for k in keys])


def is_bfloat16(dtype: DType) -> bool:
    """Whether `dtype` is the bfloat16 of ml_dtypes, which NumPy does not count as floating."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_differentiable(dtype: DType) -> bool:
    """Whether arrays of `dtype` have derivatives: floating and complex ones do."""
    return dtype.kind in "fc" or is_bfloat16(dtype)
