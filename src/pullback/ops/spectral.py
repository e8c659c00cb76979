"""Eigenvalues, singular values and orthogonal factors of matrices.

Eigenvectors are defined up to a factor, those of equal eigenvalues up to a rotation. Derivatives
move them by nothing in these directions, so that what does not depend on the choice, like the sum
of all eigenvalues, has its right gradient, also where some are equal. A second derivative there
needs how equal eigenvalues part, which has no linear part: it lacks this contribution.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import TracerError
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import general
from pullback.ops.matrices import (
    adjoint,
    conjugate,
    diagonal,
    diagonal_matrix,
    hermitian,
    matrix,
    padded,
    positive_definite,
    real_dtype,
    safe_reciprocal,
    skew,
    square,
    symmetric,
)

EighResult: Any = type(np.linalg.eigh(np.eye(1)))
EigResult: Any = type(np.linalg.eig(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))

_STILL = (
    "their vectors do not turn into each other, which gradients of symmetric functions of the "
    "values do not need, but Hessians do"
)


def _reciprocal_gaps(w: Any) -> Any:
    """Return 1 / (w[j] - w[i]) at [i, j], and 0 where both are equal to rounding."""
    return safe_reciprocal(w[..., None, :] - w[..., :, None], _largest(w))


def _largest(w: Any) -> Any:
    return np.max(np.abs(w), axis=-1, initial=0)[..., None, None]


# Hermitian matrices: Giles, 2008, section 3.1


def _eigh_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (cw, cv), (w, v) = ct, out
    turn = _reciprocal_gaps(w) * (v.mT @ cv)
    return symmetric(conjugate(v) @ (diagonal_matrix(cw) + turn) @ v.mT)


def _eigh_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    w, v = out
    change = adjoint(v) @ symmetric(tangents[0]) @ v
    return np.real(diagonal(change)), v @ (_reciprocal_gaps(w) * change)


eigh_op: Op = general(
    "eigh",
    lambda a: tuple(np.linalg.eigh(symmetric(a))),
    vjp=_eigh_vjp,
    jvp=_eigh_jvp,
    infer=lambda a: (Aval(a.shape[:-1], real_dtype(a)), Aval(a.shape, a.dtype)),
    batch=last_axes("eigh", 2),
    samples=lambda rng: [
        ((positive_definite(rng, 3, 3),), {}),
        ((positive_definite(rng, 2, 1, 2, 2),), {}),
        ((np.zeros((0, 0)),), {}),
        ((np.zeros((0, 2, 2)),), {}),
    ],
    undefined_at=f"equal eigenvalues: {_STILL}",
)


def _lower(UPLO: str) -> bool:
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f"UPLO: expected 'L' or 'U', the triangle that is read, got {UPLO!r}")
    return UPLO.upper() == "L"


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues in ascending order and eigenvectors of Hermitian matrices, as EighResult."""
    return EighResult(*eigh_op(hermitian(square(a, "eigh"), lower=_lower(UPLO))))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of Hermitian matrices, in ascending order."""
    return eigh(a, UPLO).eigenvalues


# general matrices: unit eigenvectors whose largest component is real, as LAPACK chooses them


def _is_largest(v: Any) -> Any:
    """Return the mask of the largest component of each eigenvector."""
    return np.arange(v.shape[-1])[:, None] == np.argmax(np.abs(v), axis=-2)[..., None, :]


def _component(mask: Any, v: Any) -> Any:
    return np.sum(np.where(mask, v, 0), axis=-2, keepdims=True)


def _eig_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (cw, cv), (w, v), (a,) = ct, out, args
    if a.shape[-1] == 0:
        return np.zeros_like(a)
    largest = _is_largest(v)
    scale = np.sum(cv * v, axis=-2, keepdims=True)
    phase = -1j * np.imag(scale) / _component(largest, v)
    cv = cv - np.conjugate(v) * np.real(scale) - np.where(largest, -phase, 0)
    inner = diagonal_matrix(cw) + _reciprocal_gaps(w) * (v.mT @ cv)
    ca = np.linalg.solve(v.mT, inner @ v.mT)
    return ca if a.dtype.kind == "c" else np.real(ca)


def _eig_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    w, v = out
    if v.shape[-1] == 0:
        return None
    change = np.linalg.solve(v, tangents[0] @ v)
    dv = v @ (_reciprocal_gaps(w) * change)
    largest = _is_largest(v)
    growth = np.real(np.sum(np.conjugate(v) * dv, axis=-2, keepdims=True))
    phase = np.imag(_component(largest, dv) / _component(largest, v))
    return diagonal(change), dv - v * (growth + 1j * phase)


def _complex_eig(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    dtype = _complex_dtype(a)
    return w.astype(dtype), v.astype(dtype)


def _complex_dtype(a: Any) -> Any:
    return np.result_type(a.dtype, np.complex64)


def _eig_samples(rng: np.random.Generator) -> Any:
    real = rng.normal(size=(3, 3)) + np.diag([0.0, 4.0, 9.0])
    turning = rng.normal(size=(2, 2, 2)) + np.array([[0.0, 5.0], [-5.0, 1.0]])
    mixed = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) + np.diag([0.0, 4.0, 9.0])
    return [((a,), {}) for a in (real, turning, mixed, np.zeros((0, 0)), np.zeros((0, 2, 2)))]


eig_op: Op = general(
    "eig",
    _complex_eig,
    vjp=_eig_vjp,
    jvp=_eig_jvp,
    infer=lambda a: (Aval(a.shape[:-1], _complex_dtype(a)), Aval(a.shape, _complex_dtype(a))),
    batch=last_axes("eig", 2),
    samples=_eig_samples,
    undefined_at=(
        f"equal eigenvalues: {_STILL}; "
        "matrices without a basis of eigenvectors: LinAlgError or infinite"
    ),
)


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """Eigenvalues and eigenvectors, as EigResult.

    Complex, but real as in NumPy where the matrix and its eigenvalues are. Under `pb.trace` and
    `pb.vmap`, which do not know the numbers, they are complex always.
    """
    a = square(a, "eig")
    w, v = eig_op(a)
    if a.dtype.kind == "f" and _are_zero(np.imag(w)):
        w, v = np.real(w), np.real(v)
    return EigResult(w, v)


def _are_zero(x: Any) -> bool:
    try:
        return not np.any(x)
    except TracerError:  # not known yet
        return False


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices, complex or real as those of `eig`."""
    return eig(a).eigenvalues


# singular values: J. Townsend, Differentiating the singular value decomposition, 2016; complex as
# in Z. Wan, S. Zhang, Automatic differentiation for complex valued SVD, 2019


def _turns(s: Any, n: int) -> Any:
    """Return 1 / (s[j] - s[i]) and 1 / (s[j] + s[i]) at [i, j] of n values, s and zeros."""
    s = padded(s[..., None, :], 1, n)[..., 0, :]
    scale = _largest(s)
    sums = safe_reciprocal(s[..., None, :] + s[..., :, None], scale)
    return _reciprocal_gaps(s), sums


def _svd_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (cu, cs, cvh), (u, s, vh) = ct, out
    p, q = u.shape[-1], vh.shape[-2]
    n = max(p, q)
    gaps, sums = _turns(s, n)
    left = padded(u.mT @ cu, n, n)
    right = padded(-(cvh @ vh.mT), n, n)
    inner = symmetric(gaps * (left + right)) + skew(sums * (left - right))
    inner = inner[..., :p, :q] + padded(diagonal_matrix(cs), p, q)
    ca = conjugate(u) @ inner @ conjugate(vh)
    if params["full_matrices"]:
        return ca
    inverse = safe_reciprocal(s, _largest(s)[..., 0])[..., None, :]
    beyond_u = cu - conjugate(u) @ (u.mT @ cu)
    beyond_v = cvh - (cvh @ vh.mT) @ conjugate(vh)
    return ca + (beyond_u * inverse) @ conjugate(vh) + (conjugate(u) * inverse) @ beyond_v


def _svd_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (da,), (u, s, vh) = tangents, out
    p, q = u.shape[-1], vh.shape[-2]
    n = max(p, q)
    gaps, sums = _turns(s, n)
    change = adjoint(u) @ da @ adjoint(vh)
    ds = np.real(diagonal(change))
    even, odd = gaps * symmetric(padded(change, n, n)), sums * skew(padded(change, n, n))
    du = u @ (even + odd)[..., :p, :p]
    dvh = -(even - odd)[..., :q, :q] @ vh
    if params["full_matrices"]:
        return du, ds, dvh
    inverse = safe_reciprocal(s, _largest(s)[..., 0])[..., None, :]
    beyond_u = da @ adjoint(vh) - u @ change
    beyond_v = adjoint(u) @ da - change @ vh
    return du + beyond_u * inverse, ds, dvh + inverse.mT * beyond_v


def _svd_infer(a: Aval, full_matrices: bool) -> Any:
    *loops, m, n = a.shape
    k = min(m, n)
    p, q = (m, n) if full_matrices else (k, k)
    s = Aval((*loops, k), real_dtype(a))
    return Aval((*loops, m, p), a.dtype), s, Aval((*loops, q, n), a.dtype)


def _svd_samples(rng: np.random.Generator) -> Any:
    def draw(*shape: int) -> Any:
        *_, m, n = shape
        return (rng.normal(size=shape) + 2 * np.eye(m, n) * np.arange(1, n + 1),)

    reduced, full = {"full_matrices": False}, {"full_matrices": True}
    return [
        (draw(4, 2), reduced), (draw(2, 4), reduced), (draw(2, 1, 3, 2), reduced),
        # with one more row or column than the other the completed basis is unique up to sign
        (draw(3, 3), full), (draw(3, 2), full), (draw(2, 3), full),
        (draw(0, 3), reduced), (draw(0, 2, 2), full),
    ]  # fmt: skip


svd_op: Op = general(
    "svd",
    lambda a, full_matrices: tuple(np.linalg.svd(a, full_matrices=full_matrices)),
    vjp=_svd_vjp,
    jvp=_svd_jvp,
    infer=_svd_infer,
    batch=last_axes("svd", 2),
    samples=_svd_samples,
    undefined_at=(
        f"equal singular values: {_STILL}; zero ones: their vectors do not move beyond the range"
    ),
)


@implements(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Singular values in descending order, with their vectors as SVDResult.

    Beyond the range of a matrix that is not square the full bases are free to turn; derivatives
    do not turn them.
    """
    a = matrix(a, "svd")
    if hermitian:
        result = _hermitian_svd(a)
    else:
        result = SVDResult(*svd_op(a, full_matrices=bool(full_matrices and compute_uv)))
    return result if compute_uv else result.S


def _hermitian_svd(a: Any) -> Any:
    w, v = eigh(a)
    order = np.argsort(np.abs(w), axis=-1)[..., ::-1]
    w = np.take_along_axis(w, order, axis=-1)
    u = np.take_along_axis(v, order[..., None, :], axis=-1)
    return SVDResult(u, np.abs(w), adjoint(u * np.copysign(1.0, w)[..., None, :]))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values, in descending order."""
    return svd(x, compute_uv=False)
