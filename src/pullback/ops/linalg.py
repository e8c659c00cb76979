"""Inverses, solutions and products of matrices.

The rules are those of M. Giles, An extended collection of matrix derivative results for forward
and reverse mode algorithmic differentiation, 2008; of the Cholesky factor those of I. Murray,
Differentiation of the Cholesky decomposition, 2016.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback.core.aval import Aval, result_type
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import broadcast_shapes, general, match, same_as_first
from pullback.ops.matrices import (
    adjoint,
    hermitian,
    inexact,
    on_diagonal,
    positive_definite,
    regular,
    square,
    symmetric,
)

inv_op: Op = general(
    "inv",
    np.linalg.inv,
    vjp=lambda i, ct, out, args, params: -(out.mT @ ct @ out.mT),
    jvp=lambda tangents, out, args, params: -(out @ tangents[0] @ out),
    infer=same_as_first,
    batch=last_axes("inv", 2),
    samples=regular,
    undefined_at="singular matrices: LinAlgError",
)


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """Inverse of square matrices."""
    return inv_op(square(a, "inv"))


def _solve_infer(a: Aval, b: Aval) -> Aval:
    loops = broadcast_shapes("solve", a.shape[:-2], b.shape[:-2])
    return Aval((*loops, *b.shape[-2:]), result_type(a, b))


def _solve_vjp_all(ct: Any, out: Any, args: Any, params: Any) -> Any:
    a, b = args
    cb = solve_op(a.mT, ct)
    return match(-(cb @ out.mT), a), match(cb, b)


def _solve_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (da, db), (a, _) = tangents, args
    right = db if da is None else -(da @ out) if db is None else db - da @ out
    change = solve_op(a, right)
    return change if change.shape == out.shape else np.broadcast_to(change, out.shape)


def _solve_samples(rng: np.random.Generator) -> Any:
    shapes = [((3, 3), (3, 2)), ((2, 1, 3, 3), (4, 3, 1)), ((3, 3), (2, 3, 1)), ((0, 0), (0, 2))]
    return [((rng.normal(size=a) + 3 * np.eye(a[-1]), rng.normal(size=b)), {}) for a, b in shapes]


solve_op: Op = general(
    "solve",
    np.linalg.solve,
    infer=_solve_infer,
    jvp=_solve_jvp,
    batch=last_axes("solve", 2, 2),
    samples=_solve_samples,
    undefined_at="singular matrices: LinAlgError",
    vjp_all=_solve_vjp_all,
)


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """Solution x of a @ x = b; `b` is a vector where it has one axis, else matrices."""
    a, b = square(a, "solve"), inexact(b)
    right = b[:, None] if b.ndim == 1 else b
    if b.ndim == 0 or right.shape[-2] != a.shape[-1]:
        raise ShapeError(
            f"solve: expected b with {a.shape[-1]} rows, as a of shape {a.shape} has, got "
            f"{b.shape}; a stack of vectors is solved as b[..., None]"
        )
    x = solve_op(a, right)
    return x[..., 0] if b.ndim == 1 else x


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """Solution x of tensordot(a, x, x.ndim) = b."""
    a, b = inexact(a), inexact(b)
    if axes is not None:
        moved = [i for i in range(a.ndim) if i not in axes]
        a = np.transpose(a, [*moved, *axes])
    shape = a.shape[b.ndim :]
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, -1)), np.ravel(b)), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """Inverse of `a` as a map from its last axes to its first `ind` ones."""
    if ind <= 0:
        raise ValueError(f"ind: expected a number of axes of at least 1, got {ind}")
    a = inexact(a)
    shape = a.shape[ind:] + a.shape[:ind]
    rows = int(np.prod(a.shape[:ind]))
    return np.reshape(np.linalg.inv(np.reshape(a, (rows, -1))), shape)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """Return the n-th power of square matrices, by repeated squaring; of the inverse for n < 0."""
    a, n = square(a, "matrix_power"), operator.index(n)
    if n == 0:
        return np.zeros_like(a) + np.eye(a.shape[-1], dtype=a.dtype)
    factor = inv_op(a) if n < 0 else a
    result, n = None, abs(n)
    while n:
        if n % 2:
            result = factor if result is None else result @ factor
        n //= 2
        factor = factor @ factor if n else factor
    return result


# Cholesky factor


def _half_lower(x: Any) -> Any:
    """Return the lower triangle with half of the diagonal."""
    return np.tril(x) - np.where(on_diagonal(x.shape[-1]), x, 0) / 2


def _cholesky_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    left = np.linalg.solve(out.mT, _half_lower(out.mT @ ct))
    return symmetric(np.linalg.solve(adjoint(out), left.mT).mT)


def _cholesky_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    left = np.linalg.solve(out, symmetric(tangents[0]))
    return out @ _half_lower(adjoint(np.linalg.solve(out, adjoint(left))))


cholesky_op: Op = general(
    "cholesky",
    lambda a: np.linalg.cholesky(symmetric(a)),
    vjp=_cholesky_vjp,
    jvp=_cholesky_jvp,
    infer=same_as_first,
    batch=last_axes("cholesky", 2),
    samples=lambda rng: [
        ((positive_definite(rng, 3, 3),), {}),
        ((positive_definite(rng, 2, 1, 2, 2),), {}),
        ((np.zeros((0, 0)),), {}),
    ],
    undefined_at="singular matrices: LinAlgError",
)


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """Lower triangular factor L of a = L L*, or U of a = U* U; reads that triangle of `a` only."""
    factor = cholesky_op(hermitian(square(a, "cholesky"), lower=not upper))
    return adjoint(factor) if upper else factor


# products, in the array API's signatures


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """Sum along the diagonals of matrices."""
    return np.trace(x, offset, axis1=-2, axis2=-1, dtype=dtype)


@implements(np.linalg.diagonal)
def linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """Diagonals of matrices."""
    return np.diagonal(x, offset, axis1=-2, axis2=-1)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """Transpose of matrices."""
    return np.swapaxes(x, -1, -2)


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Inner products of vectors along `axis`, the first conjugated."""
    x1, x2 = inexact(x1), inexact(x2)
    return np.sum(np.conjugate(np.moveaxis(x1, axis, -1)) * np.moveaxis(x2, axis, -1), axis=-1)


@implements(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    """Product of matrices."""
    return np.matmul(x1, x2)


@implements(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Cross product of vectors with three components."""
    return np.cross(x1, x2, axis=axis)


@implements(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Product over the given axes."""
    return np.tensordot(x1, x2, axes=axes)
