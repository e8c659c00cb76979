"""Determinants and their logarithms.

The derivative of a determinant is its cofactors, which singular matrices have too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import general, same_as_first
from pullback.ops.matrices import (
    adjoint,
    conjugate,
    diagonal,
    on_diagonal,
    real_dtype,
    regular,
    square,
)

SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


def _per_matrix(a: Aval) -> Aval:
    return Aval(a.shape[:-2], a.dtype)


def _cofactor(a: Any) -> Any:
    """Return the matrices of cofactors, d det(a) / d a, for singular matrices too."""
    try:
        inverse = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return _cofactor_by_svd(a)
    condition = np.linalg.norm(a, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
    if np.all(condition < np.finfo(a.dtype).eps ** -0.5):
        return np.linalg.det(a)[..., None, None] * inverse.mT
    return _cofactor_by_svd(a)


def _cofactor_by_svd(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a)
    others = np.prod(np.where(on_diagonal(a.shape[-1]), 1, s[..., None, :]), axis=-1)
    turn = np.linalg.det(u) * np.linalg.det(vh)
    return turn[..., None, None] * (conjugate(u) * others[..., None, :]) @ conjugate(vh)


def _cofactor_change(a: Any, e: Any) -> Any:
    """Return the derivative of the cofactors along `e`, for matrices of any rank.

    Where the matrix is regular it is written with the inverse, right to every order; elsewhere in
    the bases of the singular vectors, where the matrix is diagonal and the derivative of a minor a
    product of the other singular values, which is exact where repeated ones are not moved further.
    """
    n = a.shape[-1]
    u, s, vh = np.linalg.svd(a)
    invertible = np.min(s, axis=-1, initial=np.inf) > (
        np.max(s, axis=-1, initial=0) * float(np.finfo(a.dtype).eps) ** 0.5
    )
    invertible = invertible[..., None, None]
    same = on_diagonal(n)

    x = np.linalg.inv(np.where(invertible, a, same.astype(a.dtype)))
    xe = x @ e
    by_inverse = (_trace(xe) * x - xe @ x).mT * np.linalg.det(a)[..., None, None]

    left_out = same[:, None, :] | same[None, :, :]
    others = np.where(same, 0, np.prod(np.where(left_out, 1, s[..., None, None, :]), axis=-1))
    turned = adjoint(u) @ e @ adjoint(vh)
    main = (others @ diagonal(turned)[..., None])[..., 0]
    change = np.where(same, main[..., None, :], -others * turned)
    turn = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    by_svd = (turn * (adjoint(vh) @ change @ adjoint(u))).mT
    return np.where(invertible, by_inverse, by_svd)


def _trace(x: Any) -> Any:
    return np.sum(diagonal(x), axis=-1)[..., None, None]


cofactor_op: Op = general(
    "cofactor",
    _cofactor,
    # the second derivative of the determinant is symmetric
    vjp=lambda i, ct, out, args, params: _cofactor_change(args[0], ct),
    jvp=lambda tangents, out, args, params: _cofactor_change(args[0], tangents[0]),
    infer=same_as_first,
    batch=last_axes("cofactor", 2),
    samples=regular,
    undefined_at="singular matrices with equal singular values: second derivatives not exact",
)

det_op: Op = general(
    "det",
    np.linalg.det,
    vjp=lambda i, ct, out, args, params: ct[..., None, None] * cofactor_op(args[0]),
    jvp=lambda tangents, out, args, params: np.sum(
        cofactor_op(args[0]) * tangents[0], axis=(-2, -1)
    ),
    infer=_per_matrix,
    batch=last_axes("det", 2),
    samples=regular,
)


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """Determinant of square matrices; its gradient, the cofactors, exists for singular ones too."""
    return det_op(square(a, "det"))


def _slogdet_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (ct_sign, ct_log), (a,) = ct, args
    if a.dtype.kind == "c":  # d log det = tr(a^-1 da): its real part moves log, the other sign
        ct_log = ct_log - 1j * np.real(1j * ct_sign * out[0])
    return ct_log[..., None, None] * np.linalg.inv(a).mT


def _slogdet_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    change = np.sum(diagonal(np.linalg.solve(args[0], tangents[0])), axis=-1)
    if change.dtype.kind != "c":
        return None, change
    return 1j * out[0] * np.imag(change), np.real(change)


slogdet_op: Op = general(
    "slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    vjp=_slogdet_vjp,
    jvp=_slogdet_jvp,
    infer=lambda a: (_per_matrix(a), Aval(a.shape[:-2], real_dtype(a))),
    batch=last_axes("slogdet", 2),
    samples=regular,
    undefined_at="singular matrices: LinAlgError",
)


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """Sign and logarithm of the absolute value of the determinant, as NumPy's SlogdetResult."""
    return SlogdetResult(*slogdet_op(square(a, "slogdet")))
