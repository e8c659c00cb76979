"""`scipy.linalg` for traced code.

The functions here take arrays and traced values, also stacks of matrices along leading axes, with
SciPy's signatures; the derivatives are those of `numpy.linalg` where NumPy has the function. The
options `overwrite_a`, `overwrite_b` and `check_finite` are taken and have no effect: nothing is
overwritten, and numbers that are not finite are computed with. Any other name is SciPy's own.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.linalg import expm
>>> pb.grad(lambda t: expm(t * np.array([[0.0, 1.0], [-1.0, 0.0]]))[0, 1])(0.0).round(6)
np.float64(1.0)
"""

from __future__ import annotations

from typing import Any

import numpy as _np
import scipy.linalg as _linalg

from pullback.core.errors import ShapeError as _ShapeError
from pullback.ops import scipy_linalg as _rules
from pullback.ops.matrices import adjoint as _adjoint
from pullback.ops.matrices import hermitian as _hermitian
from pullback.ops.matrices import inexact as _inexact
from pullback.ops.matrices import square as _square

_FORMS: dict[Any, str] = {0: "N", 1: "T", 2: "C", "N": "N", "T": "T", "C": "C"}


def _as_columns(a: Any, b: Any, function: str) -> tuple[Any, bool]:
    """Return the right side `b` as a matrix, and whether it was a vector."""
    b = _inexact(b)
    columns = b[:, None] if b.ndim == 1 else b
    if b.ndim == 0 or columns.shape[-2] != a.shape[-1]:
        raise _ShapeError(
            f"{function}: expected b with {a.shape[-1]} rows, as a of shape {a.shape} has, got "
            f"{b.shape}; a stack of vectors is solved as b[..., None]"
        )
    return columns, b.ndim == 1


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False,
    unit_diagonal: bool = False, overwrite_b: bool = False, check_finite: bool = True,
) -> Any:  # fmt: skip
    """Solution x of a @ x = b where `a` is triangular; the other triangle is not read.

    `trans` solves with the transpose ('T' or 1) or the conjugate transpose ('C' or 2) instead.
    """
    a = _square(a, "solve_triangular")
    if trans not in _FORMS:
        raise ValueError(f"trans: expected 'N', 'T', 'C' or 0, 1, 2, got {trans!r}")
    if _FORMS[trans] != "N":
        a, lower = a.mT if _FORMS[trans] == "T" else _adjoint(a), not lower
    columns, was_vector = _as_columns(a, b, "solve_triangular")
    options = {"lower": bool(lower), "unit_diagonal": bool(unit_diagonal)}
    x = _rules.triangular_op(a, columns, **options)
    return x[..., 0] if was_vector else x


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Upper triangular factor U of a = U* U, or the lower one L of a = L L*."""
    return _np.linalg.cholesky(_square(a, "cholesky"), upper=not lower)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """Cholesky factor for cho_solve, and which triangle it is; zeros are in the other one."""
    return cholesky(a, lower), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solution x of a @ x = b, from the Cholesky factor of `a`."""
    factor, lower = c_and_lower
    first, second = ("N", "C") if lower else ("C", "N")
    halfway = solve_triangular(factor, b, first, lower)
    return solve_triangular(factor, halfway, second, lower)


def solve(
    a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
    check_finite: bool = True, assume_a: str | None = None, transposed: bool = False,
) -> Any:  # fmt: skip
    """Solution x of a @ x = b, or of a.T @ x = b where `transposed`.

    `assume_a` is None or 'general', or 'symmetric', 'hermitian' or 'positive definite': then the
    upper triangle of `a` is read, or the lower one. Raises ValueError for other structures.
    """
    a = _square(a, "solve")
    kind = "gen" if assume_a is None else assume_a
    if kind in ("her", "hermitian", "pos", "positive definite") or (
        kind in ("sym", "symmetric") and a.dtype.kind != "c"
    ):
        a = _hermitian(a, lower=lower)
    elif kind not in ("gen", "general"):
        raise ValueError(
            f"assume_a: expected None, 'general', 'symmetric' (real), 'hermitian' or "
            f"'positive definite', got {assume_a!r}; None solves all of them"
        )
    columns, was_vector = _as_columns(a, b, "solve")
    x = _np.linalg.solve(a.mT if transposed else a, columns)
    return x[..., 0] if was_vector else x


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Inverse of square matrices."""
    return _np.linalg.inv(_square(a, "inv"))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Determinant of square matrices, in double precision as SciPy's."""
    a = _square(a, "det")
    return _np.linalg.det(a.astype(_np.result_type(a.dtype, _np.float64)))


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solution x of a @ x + x @ b = q; R. Bartels, G. Stewart, 1972."""
    a, b, q = _square(a, "solve_sylvester"), _square(b, "solve_sylvester"), _inexact(q)
    if q.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise _ShapeError(
            f"q: expected {a.shape[-1]} rows as a and {b.shape[-1]} columns as b, got {q.shape}"
        )
    return _rules.sylvester_op(a, b, q)


def expm(A: Any) -> Any:
    """Exponential of square matrices."""
    return _rules.expm_op(_square(A, "expm"))


def sqrtm(A: Any) -> Any:
    """Principal square root of square matrices.

    Raises DTypeError for a real matrix whose root is complex.
    """
    return _rules.sqrtm_op(_square(A, "sqrtm"))


def __getattr__(name: str) -> Any:
    return getattr(_linalg, name)


def __dir__() -> list[str]:
    return sorted({n for n in (*globals(), *dir(_linalg)) if not n.startswith("_")})
