"""Checking derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError, GradientError
from pullback.transform.forward import jvp
from pullback.transform.inputs import flat_arrays
from pullback.transform.reverse import vjp


def check_grads(
    function: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
) -> None:
    """Check derivatives of `function` at `args` up to `order` against central differences.

    In each mode the derivative along a random direction is compared, and then, recursively, the
    derivative of the derivative. `args` are pytrees of floating or complex arrays, one per
    argument. Step and tolerances default to what the least precise dtype among them allows.
    Raises GradientError (an AssertionError) naming the mode and the order where they differ.

    >>> import numpy as np, pullback as pb
    >>> pb.check_grads(lambda x: np.sin(x) * x, (np.array([0.5, 1.0]),), order=2)
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown:
        raise ConfigError(f"modes: expected 'fwd' and/or 'rev', got {sorted(unknown)}")
    leaves, _ = flat_arrays(tuple(args), "args")
    precision = max((np.finfo(aval_of(x).dtype).eps for x in leaves), default=1e-16)
    step = float(eps if eps is not None else precision ** (1 / 3))
    tolerance = float(precision ** (1 / 2) * 30)
    tolerances = (atol if atol is not None else tolerance, rtol if rtol is not None else tolerance)
    rng = np.random.default_rng(seed)
    _check(function, tuple(args), order, tuple(modes), step, tolerances, rng, ())


def _check(
    function: Any, args: Any, order: int, modes: Any, eps: float, tol: Any, rng: Any, path: Any
) -> None:
    if order < 1:
        return
    if "fwd" in modes:
        _check_forward(function, args, eps, tol, rng, (*path, "fwd"))
        tangents = _random_like(args, rng)

        def pushed(*primals: Any) -> Any:
            return jvp(function, primals, tangents)

        _check(pushed, args, order - 1, modes, eps, tol, rng, (*path, "fwd"))
    if "rev" in modes:
        _check_reverse(function, args, eps, tol, rng, (*path, "rev"))
        cotangent = _random_like(function(*args), rng)

        def pulled(*primals: Any) -> Any:
            out, pullback = vjp(function, *primals)
            return out, pullback(cotangent)

        _check(pulled, args, order - 1, modes, eps, tol, rng, (*path, "rev"))


def _check_forward(function: Any, args: Any, eps: float, tol: Any, rng: Any, path: Any) -> None:
    tangents = _random_like(args, rng)
    _, found = jvp(function, args, tangents)
    expected = _difference(function, args, tangents, eps)
    for a, b in zip(pytree.leaves(found), pytree.leaves(expected), strict=True):
        _compare(a, b, tol, path)


def _check_reverse(function: Any, args: Any, eps: float, tol: Any, rng: Any, path: Any) -> None:
    out, pullback = vjp(function, *args)
    cotangent = _random_like(out, rng)
    tangents = _random_like(args, rng)
    expected = _difference(function, args, tangents, eps)
    _compare(_dot(pullback(cotangent), tangents), _dot(cotangent, expected), tol, path)


def _difference(function: Any, args: Any, tangents: Any, eps: float) -> Any:
    plus = function(*pytree.map(lambda x, t: x + eps * t, args, tangents))
    minus = function(*pytree.map(lambda x, t: x - eps * t, args, tangents))
    return pytree.map(lambda p, m: (np.asarray(p) - np.asarray(m)) / (2 * eps), plus, minus)


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
    if not np.allclose(found, expected, atol=tol[0], rtol=tol[1], equal_nan=True):
        worst = np.max(np.abs(np.asarray(found) - np.asarray(expected)))
        raise GradientError(
            f"derivative of order {len(path)} in mode {' of '.join(path)} differs from central "
            f"differences by up to {worst:.3g} (atol {tol[0]:.1g}, rtol {tol[1]:.1g}): "
            f"got {np.asarray(found)!r}, expected {np.asarray(expected)!r}"
        )
