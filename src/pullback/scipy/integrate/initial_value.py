"""Initial value problems in SciPy's signatures, differentiable in all that they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.integrate

from pullback.core import pytree
from pullback.core.errors import DTypeError, ShapeError
from pullback.core.tracer import Tracer
from pullback.ops.values import as_array, concrete
from pullback.scipy.integrate.adjoint import Field, Method, Problem, double, solution_op

ODEINT_TOLERANCE = 1.49012e-8  # SciPy's, the root of float64's precision


class Solution(NamedTuple):
    """The times `t` and the values `y` at them, of shape (components, times)."""

    t: Any
    y: Any


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Sequence[Any],
    y0: Any,
    method: Method = "RK45",
    t_eval: Any = None,
    *,
    args: Sequence[Any] | None = None,
    rtol: float = 1e-3,
    atol: float = 1e-6,
) -> Solution:
    """Solve dy/dt = fun(t, y, *args) from y(t_span[0]) = y0, as `scipy.integrate.solve_ivp`.

    `y0` has shape (n,), `fun` returns an array or list of that length, and `args` are pytrees.
    `t_eval` are the times of the result, in the direction of `t_span`; without it they are the
    integrator's own steps. The result is differentiable, in both modes and any order, in `y0`,
    `args`, `t_span` and `t_eval`; traced values reach `fun` through `args` only. `method`, `rtol`
    and `atol` are SciPy's and hold for the derivatives too, whose error is of their size: gradients
    want tighter ones than SciPy's defaults. Computes in float64.

    Raises ShapeError, DTypeError or ConfigError for arguments that do not fit, TracerError where
    `fun` uses a traced value from outside, DivergenceError where the integrator gives up.

    The variational equation serves forward mode, the adjoint equation reverse mode (Chen et al.,
    Neural ordinary differential equations, 2018).

    >>> import numpy as np, pullback as pb
    >>> def position(frequency):
    ...     oscillator = lambda t, y, w: [y[1], -w * w * y[0]]
    ...     return solve_ivp(
    ...         oscillator, (0.0, 2.0), [1.0, 0.0], t_eval=[2.0], args=(frequency,), rtol=1e-9,
    ...         atol=1e-9,
    ...     ).y[0, 0]
    >>> bool(np.isclose(pb.grad(position)(1.5), -2 * np.sin(3.0)))
    True
    """
    start, end = t_span
    field, parameters = _separated(fun, () if args is None else args)
    problem = Problem(field, method, rtol, atol)
    y0 = _vector("y0", y0)
    if t_eval is None:
        inner = _own_steps(problem, (start, end), y0, parameters)
        times = _vector("t_span", [start, *inner, end])
        return Solution(times, solution_op(y0, times, *parameters, problem=problem).T)
    t_eval = _vector("t_eval", t_eval)
    _check_inside(t_eval, start, end)
    times = np.concatenate([_vector("t_span", [start]), t_eval])
    states = solution_op(y0, times, *parameters, problem=problem)
    return Solution(t_eval, states[1:].T)


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    args: Sequence[Any] = (),
    *,
    tfirst: bool = False,
    rtol: float = ODEINT_TOLERANCE,
    atol: float = ODEINT_TOLERANCE,
) -> Any:
    """Solve dy/dt = func(y, t, *args) from y(t[0]) = y0, as `scipy.integrate.odeint`.

    With `tfirst` it is func(t, y, *args). `t` has shape (m,) and `y0` shape (n,), or () for one
    equation; the result has shape (m, n). Differentiable as `solve_ivp` is, which this is with the
    method LSODA; the same errors are raised.

    >>> import numpy as np, pullback as pb
    >>> times = np.array([0.0, 1.0])
    >>> gradient = pb.grad(lambda k: odeint(lambda y, t, k: -k * y, 1.0, times, (k,))[-1, 0])(0.5)
    >>> bool(np.isclose(gradient, -np.exp(-0.5)))
    True
    """
    in_order = func if tfirst else (lambda t, y, *args: func(y, t, *args))
    field, parameters = _separated(in_order, args if isinstance(args, (tuple, list)) else (args,))
    problem = Problem(field, "LSODA", rtol, atol)
    y0 = as_array(y0)
    return solution_op(
        _vector("y0", np.reshape(y0, (1,)) if y0.ndim == 0 else y0),
        _vector("t", t),
        *parameters,
        problem=problem,
    )


def _separated(fun: Callable[..., Any], args: Sequence[Any]) -> tuple[Field, list[Any]]:
    """Return the right side as a function of (t, y, *traced leaves), and these leaves."""
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"args: expected a tuple of arguments, got {type(args).__name__}; write args=(k,)"
        )
    leaves, structure = pytree.flatten(tuple(args))
    traced = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tracer)]
    for i in traced:
        if leaves[i].dtype.kind == "c":
            raise DTypeError("args: expected real arrays, got a traced complex one")

    def field(t: Any, y: Any, *parameters: Any) -> Any:
        full = list(leaves)
        for i, x in zip(traced, parameters, strict=True):
            full[i] = x
        slope = as_array(fun(t, y, *pytree.unflatten(structure, full)))
        return np.reshape(slope, y.shape) if slope.size == y.size else slope

    field.__name__ = getattr(fun, "__name__", "field")
    return field, [leaves[i] for i in traced]


def _vector(name: str, x: Any) -> Any:
    """Return `x` as a vector of float64."""
    x = as_array(x)
    if x.ndim != 1 or x.shape[0] == 0:
        raise ShapeError(f"{name}: expected a vector of at least one number, got shape {x.shape}")
    if x.dtype.kind not in "fiu":
        raise DTypeError(
            f"{name}: expected real numbers, got {x.dtype}; write a complex equation as one of its "
            "real and imaginary parts"
        )
    return double(x)


def _own_steps(
    problem: Problem, span: tuple[Any, Any], y0: Any, parameters: Sequence[Any]
) -> list[float]:
    """Return the times between the ends of `span` that the integrator chooses; constants."""
    purpose = "solve_ivp without t_eval"
    start, end, initial, *values = concrete([*span, y0, *parameters], purpose)
    found = scipy.integrate.solve_ivp(
        lambda t, y: problem.field(t, y, *values),
        (float(start), float(end)),
        initial,
        method=problem.method,
        rtol=problem.rtol,
        atol=problem.atol,
    )
    return list(found.t[1:-1])


def _check_inside(t_eval: Any, start: Any, end: Any) -> None:
    """Raise ShapeError where a known time lies outside the span; graphs are checked when run."""
    if any(isinstance(x, Tracer) for x in (t_eval, start, end)):
        return
    if np.min(t_eval) < min(start, end) or np.max(t_eval) > max(start, end):
        raise ShapeError(
            f"t_eval: expected times within t_span = ({start}, {end}), got from "
            f"{np.min(t_eval)} to {np.max(t_eval)}"
        )
