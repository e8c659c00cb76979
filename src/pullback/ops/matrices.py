"""Words of linear algebra that its rules are written in: all act on the last two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.aval import Aval
from pullback.core.errors import DTypeError, ShapeError
from pullback.ops.batching import last_axes
from pullback.ops.families import general, same_as_first


def matrix(x: Any, function: str) -> Any:
    """Return `x` as floating or complex matrices.

    Raises ShapeError where it is a vector, DTypeError where LAPACK has no such numbers.
    """
    x = inexact(x)
    if x.dtype.char not in "fdFD":
        raise DTypeError(
            f"{function}: expected float32, float64, complex64 or complex128, which are LAPACK's "
            f"numbers, got {x.dtype}; convert it with x.astype(np.float32)"
        )
    if x.ndim < 2:
        raise ShapeError(
            f"{function}: expected a matrix, or several stacked along leading axes, got an array "
            f"of shape {x.shape}; a row is x[None, :], a column x[:, None]"
        )
    return x


def square(x: Any, function: str) -> Any:
    """Return `x` as floating or complex square matrices, or raise ShapeError."""
    x = matrix(x, function)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{function}: expected square matrices, got {x.shape[-2]} rows and {x.shape[-1]} "
            "columns; np.linalg.lstsq, pinv and svd take any"
        )
    return x


def inexact(x: Any) -> Any:
    """Return `x` as an array or tracer of a floating or complex dtype; integers as float64."""
    x = array_of(x)
    return x if x.dtype.kind in "fc" else np.astype(x, np.float64)


def adjoint(x: Any) -> Any:
    """Return the conjugate transpose."""
    return np.conjugate(x.mT) if x.dtype.kind == "c" else x.mT


def conjugate(x: Any) -> Any:
    """Return the complex conjugate; a real array is its own."""
    return np.conjugate(x) if x.dtype.kind == "c" else x


def symmetric(x: Any) -> Any:
    """Return the Hermitian part, (x + x*) / 2."""
    return (x + adjoint(x)) / 2


def skew(x: Any) -> Any:
    """Return the skew-Hermitian part, (x - x*) / 2."""
    return (x - adjoint(x)) / 2


def on_diagonal(n: int) -> Any:
    """Return the mask of the main diagonal of n by n matrices."""
    return np.eye(n, dtype=np.bool_)


def diagonal(x: Any) -> Any:
    """Return the main diagonals, as vectors along the last axis."""
    return np.diagonal(x, axis1=-2, axis2=-1)


def diagonal_matrix(x: Any) -> Any:
    """Return matrices with the vectors along the last axis on their diagonals."""
    return np.where(on_diagonal(x.shape[-1]), x[..., None, :], 0)


def padded(x: Any, rows: int, columns: int) -> Any:
    """Return `x` with zeros below and to the right, up to so many rows and columns."""
    m, n = x.shape[-2:]
    if (m, n) == (rows, columns):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, rows - m), (0, columns - n)])


def safe_reciprocal(x: Any, scale: Any) -> Any:
    """Return 1 / x, and 0 where x is 0 to the rounding errors of numbers as large as `scale`."""
    tiny = np.abs(x) <= scale * (x.shape[-1] * float(np.finfo(x.dtype).eps))
    return np.where(tiny, 0, 1 / np.where(tiny, 1, x))


def real_dtype(aval: Aval) -> Any:
    """Return the dtype of the real part."""
    return np.empty(0, aval.dtype).real.dtype


def regular(rng: np.random.Generator) -> Any:
    """Draw matrices that are well away from singular ones."""
    return [
        ((rng.normal(size=shape) + 3 * np.eye(shape[-1]),), {})
        for shape in ((3, 3), (2, 1, 2, 2), (0, 0), (2, 0, 3, 3))
    ]


def positive_definite(rng: np.random.Generator, *shape: int) -> Any:
    """Draw symmetric matrices with the eigenvalues 1, 2, 3, ..."""
    q = np.linalg.qr(rng.normal(size=shape))[0]
    return (q * np.arange(1.0, shape[-1] + 1)) @ q.mT


def _mirror(a: Any, lower: bool) -> Any:
    kept = np.tril(a, -1) if lower else np.triu(a, 1)
    main = np.real(diagonal(a)).astype(a.dtype)
    return kept + np.conj(np.swapaxes(kept, -1, -2)) + diagonal_matrix(main)


def _mirror_samples(rng: np.random.Generator) -> Any:
    # with one row every change keeps the matrix Hermitian, as the derivative assumes
    return [
        ((rng.normal(size=shape),), {"lower": lower})
        for shape in ((1, 1), (4, 1, 1), (0, 0))
        for lower in (True, False)
    ]


hermitian_op = general(
    "hermitian",
    _mirror,
    vjp=lambda i, ct, out, args, params: symmetric(ct),
    jvp=lambda tangents, out, args, params: symmetric(tangents[0]),
    infer=lambda a, lower: same_as_first(a),
    batch=last_axes("hermitian", 2),
    samples=_mirror_samples,
    undefined_at="one triangle is read, which stands for both: they share the gradient",
)


def hermitian(a: Any, lower: bool = True) -> Any:
    """Return the Hermitian matrices of which `a` holds the lower or the upper triangle.

    NumPy's functions of Hermitian matrices read one triangle only. The derivative is that of
    (a + a*) / 2, which agrees where a is Hermitian, and whose gradient is Hermitian again.
    """
    return hermitian_op(a, lower=lower)
