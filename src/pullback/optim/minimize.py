"""Minimisation of functions that are not random: quasi-Newton and Newton methods of SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from pullback.core.checks import check_positive
from pullback.core.errors import ConfigError, DivergenceError
from pullback.core.flat import Flat
from pullback.native.compile import compile
from pullback.transform.higher import hvp
from pullback.transform.reverse import value_and_grad

Method = Literal["lbfgs", "newton-cg"]
_SCIPY_NAMES = {"lbfgs": "L-BFGS-B", "newton-cg": "trust-ncg"}
_MAX_TRUST_RADIUS = 1e10


class Minimum(NamedTuple):
    """What `minimize` found.

    `params` are like those it began with, and `value` is the function there; `gradient` is the
    largest entry of the gradient, by absolute value. `evaluations` counts values with gradients,
    `products` those of the Hessian with a vector. `converged` holds where the gradient is within
    the tolerance, or rounding lets the method come no nearer; `message` says why it stopped.
    """

    params: Any
    value: float
    gradient: float
    iterations: int
    evaluations: int
    products: int
    converged: bool
    message: str


def minimize(
    function: Callable[..., Any],
    params: Any,
    args: Sequence[Any] = (),
    *,
    method: Method = "lbfgs",
    tolerance: float = 1e-6,
    iterations: int = 1000,
    history: int = 10,
    callback: Callable[[Any, float], None] | None = None,
    compiled: bool = True,
) -> Minimum:
    """Minimise `function(params, *args)`, a scalar, from `params`, a pytree of floating arrays.

    `method` is
    - "lbfgs": the quasi-Newton method with limited memory, of `history` pairs, and a line search by
      the strong Wolfe conditions: Liu and Nocedal, "On the limited memory BFGS method for large
      scale optimization", Mathematical Programming 45, 1989; in SciPy L-BFGS-B without bounds.
    - "newton-cg": Newton's method, each step solved by conjugate gradients and cut short at the
      border of a trust region, so that it suits functions that are not convex as well: Steihaug,
      "The conjugate gradient method and trust regions in large scale optimization", SIAM Journal
      on Numerical Analysis 20, 1983; in SciPy trust-ncg.

    Newton's method takes products of the Hessian with vectors, `pb.hvp`, never the Hessian. Value,
    gradient and products are traced once and run as machine code, or with `compiled=False` by
    NumPy; the iterations are SciPy's, in float64, whatever the dtypes of `params`, which the result
    has again. They end where all entries of the gradient are within `tolerance`, or after
    `iterations`. `callback(params, value)` is called after each; StopIteration from it ends them.
    Arrays that change from call to call belong into `args`.

    Raises ConfigError for options that do not fit, DTypeError for parameters that are not
    floating, ShapeError where the function gives no scalar, DivergenceError where the value or the
    gradient at the start is not finite.

    >>> rosenbrock = lambda p: (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2
    >>> found = minimize(rosenbrock, {"x": np.array(-1.2), "y": np.array(1.0)}, method="newton-cg")
    >>> found.converged, {name: value.round(4) for name, value in found.params.items()}
    (True, {'x': np.float64(1.0), 'y': np.float64(1.0)})
    """
    from scipy import optimize

    if method not in _SCIPY_NAMES:
        raise ConfigError(f"method: expected one of {', '.join(_SCIPY_NAMES)}, got {method!r}.")
    check_positive(tolerance=tolerance, iterations=iterations, history=history)
    objective = _Objective(function, params, args, compiled)

    def look(intermediate_result: Any) -> None:
        value, gradient = objective(intermediate_result.x)
        if callback is not None:
            callback(objective.flat.split(intermediate_result.x), value)
        if _largest(gradient) <= tolerance:
            raise StopIteration

    options: dict[str, Any] = {"maxiter": iterations, "gtol": tolerance}
    if method == "lbfgs":
        options |= {"maxcor": history, "ftol": 0.0, "maxfun": np.inf}
    else:
        options |= {"max_trust_radius": _MAX_TRUST_RADIUS}
    start = objective.start(params)
    if _largest(objective(start)[1]) <= tolerance:
        return objective.minimum(start, 0, True, "the gradient at the start is within tolerance")
    solve: Any = optimize.minimize
    result = solve(
        objective,
        start,
        jac=True,
        hessp=None if method == "lbfgs" else objective.product,
        method=_SCIPY_NAMES[method],
        callback=look,
        options=options,
    )
    near = _largest(objective(result.x)[1]) <= tolerance
    message = "the gradient is within tolerance" if near else str(result.message)
    return objective.minimum(result.x, result.nit, near or bool(result.success), message)


class _Objective:
    """A function of a pytree as one of a vector, with its gradient and Hessian products."""

    def __init__(
        self, function: Callable[..., Any], params: Any, args: Sequence[Any], compiled: bool
    ) -> None:
        self.flat = flat = Flat.of(params, "params")
        self.args = tuple(args)
        self.evaluations = self.products = 0
        self._known: tuple[Any, tuple[float, Any]] | None = None
        ready = compile if compiled else lambda f: f

        def of_vector(vector: Any, *args: Any) -> Any:
            return function(flat.split(vector), *args)

        def product(x: Any, v: Any, *args: Any) -> Any:
            return hvp(lambda x: of_vector(x, *args), (x,), (v,))[0]

        self._value_and_gradient: Any = ready(value_and_grad(of_vector))
        self._product: Any = ready(product)

    def start(self, params: Any) -> Any:
        """Return `params` as a vector, where value and gradient are finite."""
        x = np.asarray(self.flat.join(params), np.float64)
        value, gradient = self(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            what = "gradient has entries that are" if np.isfinite(value) else f"value is {value},"
            raise DivergenceError(
                f"params: expected a start where value and gradient are finite; the {what} not "
                "finite. Start elsewhere; pb.diagnose tells where a gradient goes wrong"
            )
        return x

    def __call__(self, x: Any) -> tuple[float, Any]:
        """Return value and gradient at x, those of the last x from memory."""
        if self._known is None or not np.array_equal(self._known[0], x):
            value, gradient = self._value_and_gradient(np.array(x), *self.args)
            self.evaluations += 1
            self._known = np.array(x), (float(value), np.asarray(gradient))
        return self._known[1]

    def product(self, x: Any, v: Any) -> Any:
        """Return the product of the Hessian at x with v."""
        self.products += 1
        return self._product(np.array(x), np.asarray(v), *self.args)

    def minimum(self, x: Any, iterations: int, converged: bool, message: str) -> Minimum:
        """Return what was found at x."""
        value, gradient = self(x)
        return Minimum(
            self.flat.split(x), value, _largest(gradient), int(iterations), self.evaluations,
            self.products, converged, message,
        )  # fmt: skip


def _largest(gradient: Any) -> float:
    return float(np.max(np.abs(gradient), initial=0.0))
