"""The QR factorisation.

S. Walter, L. Lehmann, Algorithmic differentiation of linear algebra functions with application in
optimum experimental design, 2010. With C = Q* dA R^-1, the factor Q turns by the skew matrix W that
has the lower triangle of C, so that dR = (C - W) R is triangular again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import general
from pullback.ops.matrices import adjoint, conjugate, matrix, on_diagonal, padded, skew

QRResult: Any = type(np.linalg.qr(np.eye(1)))


def _square_part(r: Any) -> Any:
    return r[..., : r.shape[-1], :]


def _divided(x: Any, r: Any) -> Any:
    """Return x r^-1."""
    return np.linalg.solve(r.mT, x.mT).mT


def _imaginary_diagonal(x: Any) -> Any:
    """Return i times the imaginary part of the diagonal; zero for real matrices."""
    return np.where(on_diagonal(x.shape[-1]), skew(x), 0)


def _qr_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (cq, cr), (q, r) = ct, out
    n, inner = r.shape[-1], q.mT @ cq
    turn = inner - cr @ r.mT
    main = _imaginary_diagonal(turn)
    change = (np.tril(2 * skew(turn), -1) + main)[..., :n] + cr @ _square_part(r).mT
    if q.shape[-1] == n:  # columns of the argument move beyond the range of q
        ca = conjugate(q) @ (change - inner) + cq
    else:
        ca = conjugate(q) @ change
    return _divided(ca, _square_part(r).mT)


def _qr_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (da,), (q, r) = tangents, out
    p, n = q.shape[-1], r.shape[-1]
    moved = _divided(da, _square_part(r))
    change = padded(adjoint(q) @ moved, p, p)
    lower = np.tril(change, -1)
    turn = lower - adjoint(lower) + _imaginary_diagonal(change)
    dq = q @ turn if p > n else q @ (turn - change) + moved
    return dq, np.triu(change - turn)[..., :n] @ _square_part(r)


def _qr_infer(a: Aval, complete: bool) -> Any:
    *loops, m, n = a.shape
    p = m if complete else n
    return Aval((*loops, m, p), a.dtype), Aval((*loops, p, n), a.dtype)


def _qr_samples(rng: np.random.Generator) -> Any:
    # with one more row than columns the completed basis is unique up to sign
    cases: list[tuple[tuple[int, ...], bool]] = [((3, 3), False), ((4, 2), False), ((3, 2), True)]
    cases += [((2, 1, 3, 2), False), ((2, 0), False)]
    return [
        ((rng.normal(size=shape) + 2 * np.eye(shape[-2], shape[-1]),), {"complete": complete})
        for shape, complete in cases
    ]


qr_op: Op = general(
    "qr",
    lambda a, complete: tuple(np.linalg.qr(a, mode="complete" if complete else "reduced")),
    vjp=_qr_vjp,
    jvp=_qr_jvp,
    infer=_qr_infer,
    batch=last_axes("qr", 2),
    samples=_qr_samples,
    undefined_at="columns that depend on each other: LinAlgError or infinite",
)


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthonormal Q and upper triangular R of a = Q R, as QRResult; R alone for mode 'r'.

    Beyond the range of a tall matrix the complete basis is free to turn; derivatives do not turn
    it. A wide matrix is factored by its first columns, which must be independent.
    """
    if mode not in ("reduced", "complete", "r"):
        raise NotDifferentiableError(
            f"mode: expected 'reduced', 'complete' or 'r', got {mode!r}, which has no derivative "
            "rule: the factors in LAPACK's storage are made from Q and R"
        )
    a = matrix(a, "qr")
    m, n = a.shape[-2:]
    q, r = qr_op(a[..., :m], complete=mode == "complete" and m > n)
    if m < n:
        r = np.concatenate([r, adjoint(q) @ a[..., m:]], axis=-1)
    return r if mode == "r" else QRResult(q, r)
