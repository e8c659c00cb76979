"""SciPy's linear algebra: triangular systems, exponentials, roots and Sylvester's equation.

Imported with `pullback.scipy.linalg`, since SciPy is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg as sl

from pullback.core.aval import Aval, result_type
from pullback.core.errors import DTypeError
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import broadcast_shapes, general, match, same_as_first
from pullback.ops.matrices import positive_definite, regular


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of matrices take stacks of them; its result is like its last argument."""

    def stacked(*arrays: Any, **params: Any) -> Any:
        loops = np.broadcast_shapes(*[a.shape[:-2] for a in arrays])
        arrays = tuple(np.broadcast_to(a, (*loops, *a.shape[-2:])) for a in arrays)
        out = np.empty(arrays[-1].shape, np.result_type(*arrays))
        for index in np.ndindex(loops) if out.size else ():
            out[index] = function(*[a[index] for a in arrays], **params)
        return out

    return stacked


# triangular systems


def _triangle(x: Any, lower: bool, unit_diagonal: bool) -> Any:
    """Return the part of `x` that solve_triangular reads."""
    return np.tril(x, -int(unit_diagonal)) if lower else np.triu(x, int(unit_diagonal))


def _solve_infer(a: Aval, b: Aval, **params: Any) -> Aval:
    loops = broadcast_shapes("solve_triangular", a.shape[:-2], b.shape[:-2])
    return Aval((*loops, *b.shape[-2:]), result_type(a, b))


def _solve_vjp_all(ct: Any, out: Any, args: Any, params: Any) -> Any:
    a, b = args
    cb = triangular_op(a.mT, ct, **{**params, "lower": not params["lower"]})
    return match(_triangle(-(cb @ out.mT), **params), a), match(cb, b)


def _solve_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (da, db), (a, _) = tangents, args
    moved = None if da is None else _triangle(da, **params) @ out
    right = db if moved is None else -moved if db is None else db - moved
    return np.broadcast_to(triangular_op(a, right, **params), out.shape)


def _triangular_samples(rng: np.random.Generator) -> Any:
    shapes = [((3, 3), (3, 2)), ((2, 1, 3, 3), (4, 3, 1)), ((3, 3), (2, 3, 1)), ((0, 0), (0, 2))]
    return [
        ((rng.normal(size=a) + 3 * np.eye(a[-1]), rng.normal(size=b)),
         {"lower": lower, "unit_diagonal": unit})
        for a, b in shapes for lower, unit in ((True, False), (False, False), (True, True))
    ]  # fmt: skip


triangular_op: Op = general(
    "solve_triangular",
    _each(
        lambda a, b, lower, unit_diagonal: sl.solve_triangular(
            a, b, lower=lower, unit_diagonal=unit_diagonal, check_finite=False
        )
    ),
    infer=_solve_infer,
    jvp=_solve_jvp,
    batch=last_axes("solve_triangular", 2, 2),
    samples=_triangular_samples,
    undefined_at="a zero on the diagonal: LinAlgError",
    vjp_all=_solve_vjp_all,
)


# a @ x + x @ b = q


def _sylvester_infer(a: Aval, b: Aval, q: Aval) -> Aval:
    loops = broadcast_shapes("solve_sylvester", a.shape[:-2], b.shape[:-2], q.shape[:-2])
    return Aval((*loops, *q.shape[-2:]), result_type(a, b, q))


def _sylvester_vjp_all(ct: Any, out: Any, args: Any, params: Any) -> Any:
    a, b, q = args
    cq = sylvester_op(a.mT, b.mT, ct)
    return match(-(cq @ out.mT), a), match(-(out.mT @ cq), b), match(cq, q)


def _sylvester_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (da, db, dq), (a, b, q) = tangents, args
    right = np.zeros_like(q) if dq is None else dq
    right = right if da is None else right - da @ out
    right = right if db is None else right - out @ db
    return np.broadcast_to(sylvester_op(a, b, right), out.shape)


def _sylvester_samples(rng: np.random.Generator) -> Any:
    def draw(n: int, *loops: int) -> Any:
        return rng.normal(size=(*loops, n, n)) + 3 * np.eye(n)

    return [
        ((draw(3), draw(2), rng.normal(size=(3, 2))), {}),
        ((draw(2, 4), draw(2), rng.normal(size=(3, 1, 2, 2))), {}),
        ((draw(0), draw(2), np.zeros((0, 2))), {}),
    ]


sylvester_op: Op = general(
    "solve_sylvester",
    _each(sl.solve_sylvester),
    infer=_sylvester_infer,
    jvp=_sylvester_jvp,
    batch=last_axes("solve_sylvester", 2, 2, 2),
    samples=_sylvester_samples,
    undefined_at="eigenvalues of a and -b that are equal: infinite",
    vjp_all=_sylvester_vjp_all,
)


# functions of matrices


def _expm_change(a: Any, e: Any) -> Any:
    """Return the Frechet derivative of expm at `a` along `e`, a block of one larger exponential.

    A. Al-Mohy, N. Higham, Computing the Frechet derivative of the matrix exponential, 2009, (1.3).
    """
    n = a.shape[-1]
    top = np.concatenate([a, e], axis=-1)
    bottom = np.concatenate([np.zeros_like(a), a], axis=-1)
    return expm_op(np.concatenate([top, bottom], axis=-2))[..., :n, n:]


expm_op: Op = general(
    "expm",
    lambda a: sl.expm(a).astype(a.dtype, copy=False) if a.size else a.copy(),
    vjp=lambda i, ct, out, args, params: _expm_change(args[0].mT, ct),
    jvp=lambda tangents, out, args, params: _expm_change(args[0], tangents[0]),
    infer=same_as_first,
    batch=last_axes("expm", 2),
    samples=regular,
)


def _root(a: Any) -> Any:
    root = sl.sqrtm(a)
    if root.dtype.kind == "c" and a.dtype.kind != "c":
        raise DTypeError(
            "sqrtm: a real matrix with negative eigenvalues has a complex root only; expected a "
            "complex matrix, write sqrtm(a.astype(complex))"
        )
    return root


sqrtm_op: Op = general(
    "sqrtm",
    _each(_root),
    vjp=lambda i, ct, out, args, params: sylvester_op(out.mT, out.mT, ct),
    jvp=lambda tangents, out, args, params: sylvester_op(out, out, tangents[0]),
    infer=same_as_first,
    batch=last_axes("sqrtm", 2),
    samples=lambda rng: [
        ((positive_definite(rng, *shape) + 0.2 * rng.normal(size=shape),), {})
        for shape in ((3, 3), (2, 1, 2, 2), (0, 0))
    ],
    undefined_at="singular matrices: infinite",
)
