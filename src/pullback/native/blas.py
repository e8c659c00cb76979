"""Matrix products by BLAS, through the function pointers that SciPy exports."""

from __future__ import annotations

import ctypes
import functools

from pullback.core.aval import DType
from pullback.native.code import Code, number, type_of
from pullback.native.steps import Matmul


@functools.cache
def pointer(name: str) -> int:
    """Return the address of a BLAS routine."""
    from scipy.linalg import cython_blas

    routines: dict[str, object] = dict(cython_blas.__pyx_capi__)
    capsule = routines[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(capsule, get_name(capsule)))


def routine(dtype: DType) -> str:
    """Return the name of the routine for matrices of `dtype`."""
    return "sgemm" if dtype.itemsize == 4 else "dgemm"


def write_call(code: Code, step: Matmul, target: str, out: str, a: str, b: str) -> None:
    """Write the call of the routine at `target` for one product.

    BLAS counts columns first, so that it computes b.T @ a.T.
    """
    dtype = step.out.dtype
    yes, no = (_byte(code, letter) for letter in "TN")
    sizes = {n: _integer(code, n) for n in (step.m, step.n, step.k)}
    scale = _real(code, step.scale, dtype)
    keep = _real(code, 1.0 if step.add else 0.0, dtype)
    rows_a = step.m if step.a_transposed else step.k
    rows_b = step.k if step.b_transposed else step.n
    args = [
        yes if step.b_transposed else no,
        yes if step.a_transposed else no,
        sizes[step.n], sizes[step.m], sizes[step.k],
        scale, b, sizes[rows_b], a, sizes[rows_a], keep, out, sizes[step.n],
    ]  # fmt: skip
    code.line(f"call void {target}({', '.join(f'ptr {a}' for a in args)})")


def _byte(code: Code, letter: str) -> str:
    name = f"@letter_{letter}"
    code.module.declare(name, f"{name} = private constant i8 {ord(letter)}")
    return name


def _integer(code: Code, n: int) -> str:
    name = f"@int_{n}"
    code.module.declare(name, f"{name} = private constant i32 {n}")
    return name


def _real(code: Code, x: float, dtype: DType) -> str:
    text = number(x, dtype)
    name = f"@real_{type_of(dtype)}_{text}"
    code.module.declare(name, f"{name} = private constant {type_of(dtype)} {text}")
    return name
