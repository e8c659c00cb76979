"""Checking derivatives against central differences and the complex step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError, GradientError
from pullback.transform.forward import jvp
from pullback.transform.inputs import copied, flat_arrays
from pullback.transform.reverse import vjp

Method = Literal["auto", "central", "complex-step"]
Tolerances = tuple[float, float]

TINY = 1e-20
"""The complex step: its square vanishes beside 1 in every precision, and it is no subnormal."""


def check_grads(
    function: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
    method: Method = "auto",
) -> None:
    """Check derivatives of `function` at `args` up to `order` against numerical ones.

    In each mode the derivative along a random direction is compared, and then, recursively, the
    derivative of the derivative. `args` are pytrees of floating or complex arrays, one per
    argument. Step and tolerances default to what the least precise dtype among them allows.

    `method` "central" takes the difference (f(x + eps v) - f(x - eps v)) / (2 eps), good to about
    eps^2. "complex-step" takes Im f(x + i h v) / h, which no cancellation spoils, so it is good to
    rounding, but right for analytic functions only (Squire and Trapp, Using complex variables to
    estimate derivatives of real functions, SIAM Review 40(1), 1998). "auto" takes central
    differences and, unless tolerances are given, refines them by the complex step where `function`
    accepts complex numbers and both agree (they do not where it is not analytic): the tolerances
    are then sharper, 1e-9 instead of 4e-7 in float64.
    Raises GradientError (an AssertionError) naming the mode and the order where they differ,
    ConfigError for an unknown mode or method and for the complex step with complex `args`.

    >>> import numpy as np, pullback as pb
    >>> pb.check_grads(lambda x: np.sin(x) * x, (np.array([0.5, 1.0]),), order=2)
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown:
        raise ConfigError(f"modes: expected 'fwd' and/or 'rev', got {sorted(unknown)}")
    if method not in get_args(Method):
        raise ConfigError(f"method: expected one of {get_args(Method)}, got {method!r}")
    leaves, _ = flat_arrays(tuple(args), "args")
    dtypes = [aval_of(x).dtype for x in leaves]
    is_complex = any(dtype.kind == "c" for dtype in dtypes)
    if method == "complex-step" and is_complex:
        raise ConfigError('method="complex-step" needs real args, got complex ones; use "central"')
    precision = max((float(np.finfo(dtype).eps) for dtype in dtypes), default=1e-16)
    if method == "auto" and (is_complex or atol is not None or rtol is not None):
        method = "central"  # nothing to refine, or no use of it
    numerical = _Numerical(
        method,
        eps if eps is not None else precision ** (1 / 3),
        _tolerances(atol, rtol, 30 * precision ** (1 / 2)),
        _tolerances(atol, rtol, 30 * precision ** (2 / 3)),
    )
    rng = np.random.default_rng(seed)
    _check(function, tuple(args), order, tuple(modes), numerical, rng, ())


def _tolerances(atol: float | None, rtol: float | None, default: float) -> Tolerances:
    return (default if atol is None else atol, default if rtol is None else rtol)


@dataclass(frozen=True)
class _Numerical:
    """How to find a numerical derivative, and how close the one to check must come."""

    method: Method
    eps: float
    coarse: Tolerances
    sharp: Tolerances

    def derivative(self, function: Any, args: Any, tangents: Any) -> tuple[Any, Tolerances]:
        """Return the derivative along `tangents`, and its tolerances."""
        if self.method == "complex-step":
            if any(aval_of(y).dtype.kind == "c" for y in pytree.leaves(function(*copied(args)))):
                raise ConfigError(
                    'method="complex-step" needs a function of real values, got complex ones; '
                    'use "central"'
                )
            return _complex_step(function, args, tangents), self.sharp
        central = _central_difference(function, args, tangents, self.eps)
        if self.method == "auto":
            try:
                refined = _complex_step(function, args, tangents)
            except Exception:  # whatever a function does that was not written for complex numbers
                return central, self.coarse
            pairs = zip(pytree.leaves(refined), pytree.leaves(central), strict=True)
            if all(_close(a, b, self.coarse) for a, b in pairs):
                return refined, self.sharp
        return central, self.coarse


def _check(
    function: Any, args: Any, order: int, modes: Any, numerical: _Numerical, rng: Any, path: Any
) -> None:
    if order < 1:
        return
    if "fwd" in modes:
        _check_forward(function, args, numerical, rng, (*path, "fwd"))
        tangents = _random_like(args, rng)

        def pushed(*primals: Any) -> Any:
            return jvp(function, primals, tangents)

        _check(pushed, args, order - 1, modes, numerical, rng, (*path, "fwd"))
    if "rev" in modes:
        _check_reverse(function, args, numerical, rng, (*path, "rev"))
        cotangent = _random_like(function(*copied(args)), rng)

        def pulled(*primals: Any) -> Any:
            out, pullback = vjp(function, *primals)
            return out, pullback(cotangent)

        _check(pulled, args, order - 1, modes, numerical, rng, (*path, "rev"))


def _check_forward(function: Any, args: Any, numerical: _Numerical, rng: Any, path: Any) -> None:
    tangents = _random_like(args, rng)
    _, found = jvp(function, args, tangents)
    expected, tol = numerical.derivative(function, args, tangents)
    for a, b in zip(pytree.leaves(found), pytree.leaves(expected), strict=True):
        _compare(a, b, tol, path)


def _check_reverse(function: Any, args: Any, numerical: _Numerical, rng: Any, path: Any) -> None:
    out, pullback = vjp(function, *args)
    cotangent = _random_like(out, rng)
    tangents = _random_like(args, rng)
    expected, tol = numerical.derivative(function, args, tangents)
    _compare(_dot(pullback(cotangent), tangents), _dot(cotangent, expected), tol, path)


def _central_difference(function: Any, args: Any, tangents: Any, eps: float) -> Any:
    plus = function(*pytree.map(lambda x, t: x + eps * t, args, tangents))
    minus = function(*pytree.map(lambda x, t: x - eps * t, args, tangents))
    return pytree.map(lambda p, m: (np.asarray(p) - np.asarray(m)) / (2 * eps), plus, minus)


def _complex_step(function: Any, args: Any, tangents: Any) -> Any:
    moved = pytree.map(lambda x, t: x + 1j * (TINY * t), args, tangents)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        return pytree.map(lambda y: np.imag(np.asarray(y)) / TINY, function(*moved))


def _random_like(tree: Any, rng: np.random.Generator) -> Any:
    def draw(x: Any) -> Any:
        aval = aval_of(x)
        value: Any = rng.standard_normal(aval.shape)
        if aval.dtype.kind == "c":
            value = value + 1j * rng.standard_normal(aval.shape)
        return np.asarray(value).astype(aval.dtype)[()]

    return pytree.map(draw, tree)


def _dot(first: Any, second: Any) -> Any:
    pairs = zip(pytree.leaves(first), pytree.leaves(second), strict=True)
    return sum((np.sum(np.real(np.asarray(a) * np.asarray(b))) for a, b in pairs), 0.0)


def _compare(found: Any, expected: Any, tol: Any, path: Sequence[str]) -> None:
    if not _close(found, expected, tol):
        worst = np.max(np.abs(np.asarray(found) - np.asarray(expected)))
        raise GradientError(
            f"derivative of order {len(path)} in mode {' of '.join(path)} differs from its "
            f"numerical value by up to {worst:.3g} (atol {tol[0]:.1g}, rtol {tol[1]:.1g}): "
            f"got {np.asarray(found)!r}, expected {np.asarray(expected)!r}"
        )


def _close(found: Any, expected: Any, tol: Tolerances) -> bool:
    return np.allclose(found, expected, atol=tol[0], rtol=tol[1], equal_nan=True)
