"""Pseudo-inverses, least squares, ranks and condition numbers.

The rule is that of G. Golub, V. Pereyra, The differentiation of pseudo-inverses and nonlinear
least squares problems whose variables separate, 1973.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError, TracerError
from pullback.core.op import Op
from pullback.ops import matrices
from pullback.ops.batching import last_axes
from pullback.ops.families import general
from pullback.ops.matrices import adjoint, conjugate, inexact, matrix, square


def _pinv_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (a,), p, ph, ct = args, out, adjoint(out), ct.mT
    beyond_range = (ct - a @ (p @ ct)) @ p @ ph
    beyond_rows = ph @ p @ (ct - (ct @ p) @ a)
    return conjugate(beyond_range + beyond_rows) - p.mT @ ct.mT @ p.mT


def _pinv_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (a,), (da,), p, ph = args, tangents, out, adjoint(out)
    dah = adjoint(da)
    beyond_range = p @ ph @ (dah - (dah @ a) @ p)
    beyond_rows = (dah - p @ (a @ dah)) @ ph @ p
    return beyond_range + beyond_rows - p @ da @ p


pinv_op: Op = general(
    "pinv",
    lambda a, rcond: np.linalg.pinv(a, rcond=rcond),
    vjp=_pinv_vjp,
    jvp=_pinv_jvp,
    infer=lambda a, rcond: Aval((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype),
    batch=last_axes("pinv", 2),
    samples=lambda rng: [
        ((rng.normal(size=shape),), {"rcond": 1e-15})
        for shape in ((4, 2), (2, 4), (2, 1, 3, 3), (0, 3))
    ],
    undefined_at="matrices below full rank: the derivative among matrices of equal rank",
)


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """Moore-Penrose inverse; `rcond` is relative to the largest singular value."""
    a = matrix(a, "pinv")
    if rtol is not np._NoValue:
        if rcond is not None:
            raise ValueError("pinv: expected rcond or rtol, got both")
        rcond = _default_rcond(a) if rtol is None else rtol
    cutoff = 1e-15 if rcond is None else rcond
    if np.ndim(cutoff) > 0:
        raise ValueError("rcond: expected one number for all matrices; loop, or use pb.vmap")
    if hermitian:
        a = matrices.hermitian(square(a, "pinv"))
    return pinv_op(a, rcond=float(cutoff))


def _default_rcond(a: Any) -> float:
    return float(max(a.shape[-2:]) * np.finfo(a.dtype).eps)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """Return how many singular values exceed the tolerance: piecewise constant."""
    if tol is not None and rtol is not None:
        raise ValueError("matrix_rank: expected tol or rtol, got both")
    if A.ndim < 2:
        return np.any(A != 0).astype(np.int64)
    a = inexact(A)
    s = np.linalg.svd(a, compute_uv=False, hermitian=hermitian)
    if tol is None:
        relative = _default_rcond(a) if rtol is None else np.asarray(rtol)[..., None]
        tol = np.max(s, axis=-1, keepdims=True, initial=0) * relative
    else:
        tol = np.asarray(tol)[..., None]
    return np.count_nonzero(s > tol, axis=-1)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Least-squares solution, residuals, rank and singular values, as NumPy's tuple.

    The shape of the residuals depends on the rank, which `pb.trace` and `pb.vmap` do not know:
    there it is that of full rank, with NaN in place of the residuals where the rank is lower.
    """
    a, b = matrix(a, "lstsq"), inexact(b)
    right = b[:, None] if b.ndim == 1 else b
    if a.ndim != 2 or right.ndim != 2 or a.shape[0] != right.shape[0]:
        raise ShapeError(
            f"lstsq: expected a matrix a and a vector or matrix b of as many rows, got {a.shape} "
            f"and {b.shape}; stacks of matrices are for np.linalg.pinv(a) @ b or pb.vmap"
        )
    rcond = _default_rcond(a) if rcond is None else float(rcond)
    x = pinv_op(a, rcond=rcond) @ right
    s = np.linalg.svdvals(a)
    rank = np.sum(s > rcond * np.max(s, initial=0)).astype(np.intc)
    residuals = _residuals(a, x, right, rank)
    return x[:, 0] if b.ndim == 1 else x, residuals, rank, s


def _residuals(a: Any, x: Any, b: Any, rank: Any) -> Any:
    m, n = a.shape
    squares = np.sum(np.square(np.abs(b - a @ x)), axis=0)
    if m <= n:
        return squares[:0]
    try:
        return squares if int(rank) == n else squares[:0]
    except TracerError:  # not known yet
        return np.where(rank == n, squares, np.nan)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Condition number in the norm `p` of matrices, by default the largest singular value."""
    x = matrix(x, "cond")
    if 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError("cond: expected matrices that are not empty")
    if p in (None, 2, -2):
        s = np.linalg.svdvals(x)
        with np.errstate(all="ignore"):  # singular matrices: infinite
            return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    inverse = np.linalg.inv(square(x, "cond"))
    return np.linalg.matrix_norm(x, ord=p) * np.linalg.matrix_norm(inverse, ord=p)
