"""The solution of an ordinary differential equation as one operation with both derivative rules.

For dy/dt = f(t, y, p) with y(t_0) = y_0:

- forward mode integrates the variational equation ds/dt = (df/dy) s + (df/dp) dp beside y;
- reverse mode integrates the adjoint da/dt = -a (df/dy) from the last time to the first, where
  the cotangent of each time is added on the way, and the cotangent of p, the integral of
  a (df/dp) (Pontryagin et al., The mathematical theory of optimal processes, 1962; Chen, Rubanova,
  Bettencourt, Duvenaud, Neural ordinary differential equations, 2018, appendix B). The solution
  is integrated back beside it, from the values known at each time.

Both are initial value problems again, so the rules are this operation, and higher derivatives are
its rules' derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy.integrate

from pullback.core.aval import Aval
from pullback.core.errors import ConfigError, DivergenceError, ShapeError, TracerError
from pullback.core.graph import Graph
from pullback.core.op import Op, call, define
from pullback.core.tracer import Tracer
from pullback.core.tracing import trace
from pullback.ops.batching import batch_size, spread
from pullback.ops.families import match
from pullback.ops.values import as_array
from pullback.passes import simplify
from pullback.transform.batching import vmap
from pullback.transform.forward import jvp
from pullback.transform.reverse import vjp

Field = Callable[..., Any]
Method = Literal["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"]


@dataclass(frozen=True, slots=True)
class Problem:
    """The right side `field(t, y, *parameters)`, an array like `y`, and how it is integrated."""

    field: Field
    method: Method
    rtol: float
    atol: float

    def of(self, field: Field) -> Problem:
        """Return the problem of another right side, integrated the same way."""
        return replace(self, field=field)

    def __str__(self) -> str:
        return f"{getattr(self.field, '__name__', 'field')} by {self.method}"


def double(x: Any) -> Any:
    """Return `x` in float64: rounding in less would be seen by the integrators as roughness."""
    x = as_array(x)
    return x if x.dtype == np.float64 else np.astype(x, np.float64)


def _integrate(y0: Any, times: Any, *parameters: Any, problem: Problem) -> Any:
    """Return the solution at each of `times`, of shape (times, y), which go in one direction."""
    times, parameters = double(times), tuple(map(double, parameters))
    steps = np.diff(times)
    if not (np.all(steps >= 0) or np.all(steps <= 0)):
        raise ConfigError(f"t: expected times in increasing or decreasing order, got {times}")
    start = np.asarray(y0, np.float64)
    if not np.any(steps):
        return np.broadcast_to(start, (len(times), *start.shape)).copy()

    def field(t: float, y: Any) -> Any:
        time = np.asarray(t) if isinstance(problem.field, Graph) else t  # its quick path
        slope = problem.field(time, y, *parameters)
        if isinstance(slope, Tracer):
            raise TracerError(
                "the right side of the differential equation uses a traced value that is not among "
                "its arguments: pass it through args=, as in solve_ivp(lambda t, y, k: -k * y, "
                "t_span, y0, args=(k,))"
            )
        if np.shape(slope) != start.shape:
            raise ShapeError(
                f"the right side of the differential equation: expected a result of shape "
                f"{start.shape}, as y has, got {np.shape(slope)}"
            )
        return slope

    first = field(times[0], start)
    if not np.all(np.isfinite(first)):  # SciPy's integrators would never end
        raise DivergenceError(
            f"the right side of the differential equation is not finite at the start: "
            f"{first} at t = {times[0]}, y = {start}"
        )
    new = np.concatenate([[True], steps != 0])
    found = scipy.integrate.solve_ivp(
        field,
        (times[0], times[-1]),
        start,
        method=problem.method,
        t_eval=times[new],
        rtol=problem.rtol,
        atol=problem.atol,
    )
    if not found.success:
        raise DivergenceError(
            f"the differential equation could not be integrated from {times[0]} to {times[-1]}: "
            f"{found.message} Try method='Radau' for a stiff equation, or other tolerances."
        )
    return found.y.T[np.cumsum(new) - 1]


def _variational_rule(
    tangents: Sequence[Any], out: Any, args: Sequence[Any], params: Mapping[str, Any]
) -> Any:
    problem: Problem = params["problem"]
    y0, times, *parameters = map(double, args)
    dy0, dtimes, *dparameters = [None if t is None else double(t) for t in tangents]
    field, n, count = problem.field, y0.shape[0], len(parameters)
    moving = [i for i, d in enumerate(dparameters) if d is not None]

    def variational(t: Any, state: Any, *given: Any) -> Any:
        y, s, values, directions = state[:n], state[n:], given[:count], given[count:]

        def along(y: Any, *some: Any) -> Any:
            full = list(values)
            for i, x in zip(moving, some, strict=True):
                full[i] = x
            return field(t, y, *full)

        primals = (y, *(values[i] for i in moving))
        return np.concatenate(jvp(along, primals, (s, *directions)))

    s0 = np.zeros_like(y0) if dy0 is None else dy0
    if dtimes is not None:  # a later start passes less of the way
        s0 = s0 - dtimes[0] * field(times[0], y0, *parameters)
    given = [*parameters, *(dparameters[i] for i in moving)]
    together = as_graph(variational, 2 * n, given)
    states = solution_op(np.concatenate([y0, s0]), times, *given, problem=problem.of(together))
    s = states[:, n:]
    if dtimes is not None:
        s = s + dtimes[:, None] * _slopes(field, times, out, parameters)
    return s


def _adjoint_rule(
    ct: Any, out: Any, args: Sequence[Any], params: Mapping[str, Any]
) -> Sequence[Any]:
    problem: Problem = params["problem"]
    y0, times, *parameters = map(double, args)
    field, n, last = problem.field, y0.shape[0], times.shape[0] - 1

    def adjoint(t: Any, state: Any, *parameters: Any) -> Any:
        y, a = state[:n], state[n : 2 * n]
        slope, pull = vjp(lambda *moving: field(t, *moving), y, *parameters)
        back = [-np.ravel(cotangent) for cotangent in pull(a)]
        return np.concatenate([slope, *back])

    sizes = [int(np.prod(np.shape(p))) for p in parameters]
    backwards = problem.of(as_graph(adjoint, 2 * n + sum(sizes), parameters))
    a, sums = ct[last], np.zeros(sum(sizes))
    arriving = np.zeros(n)
    for i in range(last, 0, -1):
        start = np.concatenate([out[i], a, sums])
        way = np.stack([times[i], times[i - 1]])
        end = solution_op(start, way, *parameters, problem=backwards)[-1]
        arriving, sums = end[n : 2 * n], end[2 * n :]
        a = arriving + ct[i - 1]
    pieces = np.split(sums, np.cumsum(sizes)[:-1]) if sizes else []
    cotangents = [
        np.reshape(piece, np.shape(p)) for piece, p in zip(pieces, parameters, strict=True)
    ]
    seen = np.concatenate([-arriving[None], ct[1:]])  # a later start passes less of the way
    of_times = np.sum(seen * _slopes(field, times, out, parameters), axis=1)
    found = [a, of_times, *cotangents]
    return [match(cotangent, x) for cotangent, x in zip(found, args, strict=True)]


def as_graph(field: Field, size: int, parameters: Sequence[Any]) -> Field:
    """Return `field` as a graph, which runs with less overhead; itself where it needs values."""
    avals = [Aval(p.shape, np.float64) for p in parameters]
    try:
        graph = trace(field, Aval((), np.float64), Aval((size,), np.float64), *avals)
    except TracerError:  # an `if` on a value, which has one at every step
        return field
    return simplify(graph)


def _slopes(field: Field, times: Any, states: Any, parameters: Sequence[Any]) -> Any:
    """Return the right side at each time."""
    return np.stack([field(t, y, *parameters) for t, y in zip(times, states, strict=True)])


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
    """Integrate all examples as one equation, with common steps."""
    problem: Problem = params["problem"]
    if batched[1]:
        return _batch_of_times(args, batched, problem)
    size = batch_size(args, batched)
    y0 = spread([args[0], *args[2:]], [batched[0], *batched[2:]])[0]
    n = y0.shape[1]
    axes = (None, 0, *(0 if b else None for b in batched[2:]))

    def together(t: Any, states: Any, *parameters: Any) -> Any:
        each = vmap(problem.field, axes)
        return np.ravel(each(t, np.reshape(states, (size, n)), *parameters))

    out = solution_op(np.ravel(y0), args[1], *args[2:], problem=problem.of(together))
    return np.moveaxis(np.reshape(out, (-1, size, n)), 1, 0)


def _batch_of_times(args: Sequence[Any], batched: Sequence[bool], problem: Problem) -> Any:
    """Integrate from one time to the next in a time scaled to [0, 1], common to all examples."""

    def scaled(part: Any, y: Any, begin: Any, end: Any, *parameters: Any) -> Any:
        length = end - begin
        return length * problem.field(begin + part * length, y, *parameters)

    y0, times, *parameters = spread(args, batched)
    unit, flags = np.array([0.0, 1.0]), [True, False, True, True, *[True] * len(parameters)]
    states = [y0]
    for i in range(times.shape[1] - 1):
        given = [states[-1], unit, times[:, i], times[:, i + 1], *parameters]
        way = _batch(given, flags, {"problem": problem.of(scaled)})
        states.append(way[:, -1])
    return np.stack(states, axis=1)


def _pendulum(t: Any, y: Any, *parameters: Any) -> Any:
    return np.stack([y[1], -np.sin(y[0]) - sum(np.sum(p) for p in parameters) * y[1]])


def _samples(rng: np.random.Generator) -> Any:
    problem = Problem(_pendulum, "DOP853", 1e-11, 1e-11)
    y0 = rng.normal(size=2)
    return [
        ((y0, np.array([0.1, 0.4, 0.9]), rng.uniform(size=()), rng.uniform(size=2)), problem),
        ((y0, np.array([0.5, 0.0])), problem),
        ((y0, np.array([0.5])), problem),
    ]


solution_op = define(
    Op(
        name="solve_ivp",
        kind="general",
        forward=_integrate,
        infer=lambda y0, times, *p, problem: Aval((*times.shape, *y0.shape), np.float64),
        vjp=lambda i, ct, out, args, params: _adjoint_rule(ct, out, args, params)[i],
        jvp=_variational_rule,
        batch=_batch,
        notation=call("solve_ivp"),
        samples=lambda rng: [(args, {"problem": problem}) for args, problem in _samples(rng)],
        undefined_at="",
        vjp_all=_adjoint_rule,
    )
)
