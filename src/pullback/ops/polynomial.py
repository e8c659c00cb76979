"""Polynomials given by their coefficients, the highest power first (numpy.poly1d's convention).

Leading zeros of sums and products are kept, unlike in NumPy: they have derivatives, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError, ShapeError, TracerError
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import general, match
from pullback.ops.values import as_array, concrete


def _coefficients(name: str, p: Any) -> Any:
    p = np.atleast_1d(as_array(p))
    if p.ndim != 1:
        raise ShapeError(f"{name}: expected a sequence of coefficients, got shape {p.shape}")
    return p


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Return the polynomial's value at `x`, by Horner's scheme."""
    p, x = _coefficients("p", p), as_array(x)
    y = np.zeros_like(x)
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """Return the sum of two polynomials."""
    return np.add(*_same_length(a1, a2))


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """Return the difference of two polynomials."""
    return np.subtract(*_same_length(a1, a2))


def _same_length(a1: Any, a2: Any) -> list[Any]:
    both = [_coefficients("a1", a1), _coefficients("a2", a2)]
    n = max(p.shape[0] for p in both)
    return [np.pad(p, (n - p.shape[0], 0)) for p in both]


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """Return the product of two polynomials."""
    return np.convolve(_coefficients("a1", a1), _coefficients("a2", a2))


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """Return quotient and remainder of a division of polynomials."""
    u, v = _coefficients("u", u) + 0.0, _coefficients("v", v) + 0.0
    n, m = u.shape[0], v.shape[0]
    if n < m:
        return np.zeros(1, np.result_type(u, v)), u
    quotient = []
    for _ in range(n - m + 1):
        factor = u[0] / v[0]
        quotient.append(factor)
        u = np.concatenate([u[1:m] - factor * v[1:], u[m:]])
    return np.stack(quotient), u if u.shape[0] else np.zeros(1, u.dtype)


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """Return the m-th derivative of a polynomial."""
    if m < 0:
        raise ValueError(f"m: expected how often to differentiate, at least 0, got {m}")
    p = _coefficients("p", p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """Return the m-th integral of a polynomial, with the constants `k`."""
    if m < 0:
        raise ValueError(f"m: expected how often to integrate, at least 0, got {m}")
    p = _coefficients("p", p)
    constants = np.zeros(m, p.dtype) if k is None else np.atleast_1d(as_array(k))
    if constants.shape[0] == 1:
        constants = np.broadcast_to(constants, (m,))
    if constants.shape[0] < m:
        raise ValueError(f"k: expected one constant or at least {m}, got {constants.shape[0]}")
    for i in range(m):
        p = p / np.arange(p.shape[0], 0, -1)
        p = np.concatenate([p, constants[i : i + 1]])
    return p


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """Return the polynomial with the given roots, or the characteristic one of a matrix."""
    zeros = np.atleast_1d(as_array(seq_of_zeros))
    if zeros.ndim == 2:
        zeros = np.linalg.eigvals(zeros)
    p = np.ones(1, np.result_type(zeros, np.float32))
    for k in range(zeros.shape[0]):
        p = np.pad(p, (0, 1)) - zeros[k] * np.pad(p, (1, 0))
    return p


# roots


def _all_roots(p: Any) -> Any:
    dtype = np.result_type(p.dtype, np.complex64)
    if p.ndim == 1:
        return np.roots(p).astype(dtype)
    n = p.shape[-1] - 1  # the roots are the eigenvalues of the companion matrix
    companion = np.zeros((*p.shape[:-1], n, n), p.dtype)
    companion[..., 0, :] = -p[..., 1:] / p[..., :1]
    companion[..., np.arange(1, n), np.arange(n - 1)] = 1
    found = np.linalg.eigvals(companion).astype(dtype)
    last = np.argsort(found == 0, axis=-1, kind="stable")  # np.roots puts roots at 0 at the end
    return np.take_along_axis(found, last, axis=-1)


def _values(p: Any, x: Any) -> Any:
    """Return the values of the polynomials of the last axis of `p` at the numbers there in `x`."""
    y = np.zeros_like(x)
    for k in range(p.shape[-1]):
        y = y * x + p[..., k : k + 1]
    return y


def _slope(p: Any, roots: Any) -> Any:
    """Return the derivatives of the polynomials at their roots."""
    return _values(p[..., :-1] * np.arange(p.shape[-1] - 1, 0, -1, dtype=p.dtype), roots)


def _roots_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    # p(r) = 0, so that dr = -sum over k of r**(n - k) dp[k] / p'(r)
    (p,) = args
    exponents = np.arange(p.shape[-1] - 1, -1, -1, dtype=out.dtype)
    powers = out[..., None, :] ** exponents[:, None]
    return match(np.sum(powers * (-ct / _slope(p, out))[..., None, :], axis=-1), p)


def _roots_samples(rng: np.random.Generator) -> Any:
    cubic = np.array([1.0, -3.5, 2.0, 0.7])
    return [
        ((cubic,), {}),
        ((np.array([2.0, 0.3, 1.0]),), {}),
        ((np.array([1.0, 2.0, 0.0]),), {}),
        ((np.stack([cubic, 2 * cubic + 0.1]),), {}),
    ]


roots_op: Op = general(
    "roots",
    _all_roots,
    vjp=_roots_vjp,
    jvp=lambda tangents, out, args, params: -_values(tangents[0], out) / _slope(args[0], out),
    infer=lambda p: Aval((*p.shape[:-1], p.shape[-1] - 1), np.result_type(p.dtype, np.complex64)),
    batch=last_axes("roots", 1),
    samples=_roots_samples,
    undefined_at="a root that occurs twice: infinite or NaN",
)


@implements(np.roots)
def roots(p: Any) -> Any:
    """Return the roots, complex; real where the values are known and all of them are real.

    In a graph or under vmap, where values are not known, the dtype is always complex.
    """
    p = _coefficients("p", p)
    try:
        values = concrete(p, "np.roots")
    except TracerError:
        return roots_op(p)
    if values.size < 2:
        return np.zeros(0, values.dtype)
    if values[0] == 0:
        raise NotDifferentiableError(
            "np.roots: the leading coefficient is 0, so that a root lies at infinity and the "
            "others have no derivative in it; leave the zero out, with p[1:]"
        )
    found = roots_op(p)
    return np.real(found) if np.isrealobj(np.roots(values)) else found


@implements(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None,
    cov: Any = False,
) -> Any:  # fmt: skip
    """Return the polynomial of degree `deg` of least squares through the points (x, y)."""
    if full or cov:
        raise NotDifferentiableError(
            "np.polyfit: full=True and cov=True have no derivative rule; the coefficients alone do"
        )
    x, y = (np.astype(as_array(v), np.float64) if as_array(v).dtype.kind in "iub" else as_array(v)
            for v in (x, y))  # fmt: skip
    if deg < 0 or x.ndim != 1 or y.ndim not in (1, 2) or x.shape[0] != y.shape[0] or not x.size:
        raise ShapeError(
            f"polyfit: expected a degree of at least 0, a vector x that is not empty, and y with "
            f"as many rows, got deg={deg} and shapes {x.shape} and {y.shape}"
        )
    powers, targets = np.vander(x, deg + 1), y
    if w is not None:
        w = as_array(w)
        powers = powers * w[:, None]
        targets = targets * (w[:, None] if y.ndim == 2 else w)
    scale = np.sqrt(np.sum(powers * powers, axis=0))  # columns of one length, as NumPy does
    if rcond is None:
        rcond = x.shape[0] * float(np.finfo(x.dtype).eps)
    solution = np.linalg.lstsq(powers / scale, targets, rcond)[0]
    return (solution.T / scale).T
