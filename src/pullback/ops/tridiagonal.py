"""Systems of linear equations with three diagonals, solved in linear time.

Imported when pullback.scipy.interpolate is first used, since SciPy is slow to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.linalg

from pullback.core.aval import Aval, result_type
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import broadcast_shapes, general, match


def _solve(lower: Any, main: Any, upper: Any, b: Any) -> Any:
    """Return x with A x = b, the diagonals of A being given; leading axes broadcast."""
    loops = np.broadcast_shapes(*(d.shape[:-1] for d in (lower, main, upper)), b.shape[:-2])
    n, columns = b.shape[-2:]
    # all systems of a batch are one, whose blocks do not touch
    bands = np.zeros((3, *loops, n), np.result_type(lower, main, upper))
    bands[0, ..., 1:], bands[1], bands[2, ..., :-1] = upper, main, lower
    right = np.broadcast_to(b, (*loops, n, columns)).reshape(bands[0].size, columns)
    if right.size == 0:
        return np.zeros((*loops, n, columns), np.result_type(bands, b))
    x = scipy.linalg.solve_banded((1, 1), bands.reshape(3, -1), right)
    return x.reshape(*loops, n, columns)


def _infer(lower: Aval, main: Aval, upper: Aval, b: Aval) -> Aval:
    loops = broadcast_shapes(
        "solve_tridiagonal", *(d.shape[:-1] for d in (lower, main, upper)), b.shape[:-2]
    )
    return Aval((*loops, *b.shape[-2:]), result_type(lower, main, upper, b))


def _vjp(i: int, ct: Any, x: Any, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
    # A' w = ct gives the cotangent w of b; that of A is -w x' (M. Giles, 2008, section 2.3.1)
    lower, main, upper, _ = args
    w = solve_tridiagonal(upper, main, lower, ct)
    cotangent = [
        lambda: -np.sum(w[..., 1:, :] * x[..., :-1, :], axis=-1),
        lambda: -np.sum(w * x, axis=-1),
        lambda: -np.sum(w[..., :-1, :] * x[..., 1:, :], axis=-1),
        lambda: w,
    ][i]()
    return match(cotangent, args[i])


def _jvp(tangents: Sequence[Any], x: Any, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
    # A dx = db - dA x
    lower, main, upper, _ = args
    dlower, dmain, dupper, db = tangents
    right = np.zeros_like(x) if db is None else db
    none = np.zeros_like(x[..., :1, :])
    if dlower is not None:
        right = right - np.concatenate([none, dlower[..., None] * x[..., :-1, :]], axis=-2)
    if dmain is not None:
        right = right - dmain[..., None] * x
    if dupper is not None:
        right = right - np.concatenate([dupper[..., None] * x[..., 1:, :], none], axis=-2)
    return solve_tridiagonal(lower, main, upper, right)


def _samples(rng: np.random.Generator) -> Any:
    def system(n: int, columns: int, *loops: int) -> Any:
        lower, upper = rng.normal(size=(*loops, n - 1)), rng.normal(size=(*loops, n - 1))
        return (lower, 4 + rng.uniform(size=n), upper, rng.normal(size=(*loops, n, columns)))

    return [(system(4, 2), {}), (system(2, 1), {}), (system(3, 2, 2), {}), (system(3, 0), {})]


solve_tridiagonal: Op = general(
    "solve_tridiagonal",
    _solve,
    vjp=_vjp,
    jvp=_jvp,
    infer=_infer,
    batch=last_axes("solve_tridiagonal", 1, 1, 1, 2),
    samples=_samples,
    undefined_at="a singular matrix: an error",
)
