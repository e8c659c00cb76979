"""Implicit differentiation: solutions of equations, found by any solver.

Where F(x, theta) = 0 defines x(theta), its derivative is dx = -(dF/dx)^-1 (dF/dtheta) dtheta,
whatever way x was found. (Blondel et al., Efficient and modular implicit differentiation,
NeurIPS 2022; Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008, chapter 15.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.arrays import is_array
from pullback.core.aval import aval_of, is_differentiable
from pullback.core.buffer import unwrap
from pullback.core.errors import NotDifferentiableError, ShapeError
from pullback.core.op import Op, call
from pullback.core.tracer import Tracer
from pullback.transform.batching import vmap
from pullback.transform.foreign import each_example
from pullback.transform.forward import jvp
from pullback.transform.inputs import flat_arrays
from pullback.transform.linear_solve import Solver, like, solve_with
from pullback.transform.reverse import grad, vjp


def custom_root(
    equation: Callable[..., Any], solve: Callable[..., Any], linear_solve: Solver | None = None
) -> Callable[..., Any]:
    """Return `root(x0, *theta)`, the root x of `equation(x, *theta) = 0`, differentiable by theta.

    `solve(x0, *theta)` finds the root from the guess `x0`, on plain NumPy arrays: any function,
    e.g. of SciPy. `equation` is NumPy code and returns a pytree like x; x0 and theta are pytrees.
    Both modes and all orders follow from the equation at the root by the implicit function
    theorem; the solver's steps are not recorded, and x0 has no influence on derivatives. They are
    as exact as the root is. `linear_solve(matvec, b)` solves systems with the Jacobian dF/dx and
    its transpose; by default the Jacobian is formed and factored.
    Raises NotDifferentiableError where the equation or the solver closes over a traced value
    (pass it as one of `theta`), or where dF/dx is singular; ShapeError and TreeError where the
    equation or the solver return something unlike x0.

    >>> import numpy as np, pullback as pb
    >>> from scipy.optimize import brentq
    >>> def equation(x, a):
    ...     return x**3 - a
    >>> root = pb.custom_root(equation, lambda x0, a: brentq(equation, 0.0, 10.0, args=(a,)))
    >>> pb.grad(root, argnums=1)(1.0, 8.0).round(6)  # a ** (-2 / 3) / 3
    np.float64(0.083333)
    """
    solver = linear_solve or dense_solve

    def root(x0: Any, *theta: Any) -> Any:
        return _Root(equation, solve, solver, x0, theta).apply()

    return root


def fixed_point(
    step: Callable[..., Any], solve: Callable[..., Any], linear_solve: Solver | None = None
) -> Callable[..., Any]:
    """Return `point(x0, *theta)`, the x with `step(x, *theta) = x`, differentiable by theta.

    As `custom_root` for the equation step(x, theta) - x = 0, whose interface and errors it has.

    >>> import numpy as np, pullback as pb
    >>> def heron(x, a):
    ...     return (x + a / x) / 2
    >>> def iterate(x, a):
    ...     for _ in range(50):
    ...         x = heron(x, a)
    ...     return x
    >>> pb.grad(pb.fixed_point(heron, iterate), argnums=1)(1.0, 4.0)
    np.float64(0.25)
    """

    def equation(x: Any, *theta: Any) -> Any:
        return pytree.map(lambda new, old: new - old, step(x, *theta), x)

    return custom_root(equation, solve, linear_solve)


def argmin(
    objective: Callable[..., Any], solve: Callable[..., Any], linear_solve: Solver | None = None
) -> Callable[..., Any]:
    """Return `minimum(x0, *theta)`, where a scalar `objective(x, *theta)` is least, differentiable.

    As `custom_root` for the equation that the gradient by x is 0, whose interface and errors it
    has; the systems to solve have the Hessian, which is symmetric.

    >>> import numpy as np, pullback as pb
    >>> from scipy.optimize import minimize
    >>> def objective(x, a):
    ...     return np.sum((x - a) ** 2) + np.sum(x**2)
    >>> def solve(x0, a):
    ...     return minimize(objective, x0, args=(a,), jac=pb.grad(objective)).x
    >>> minimum = pb.argmin(objective, solve)
    >>> pb.jacobian(minimum, argnums=1)(np.zeros(2), np.array([1.0, 2.0])).round(6)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    return custom_root(grad(objective), solve, linear_solve)


def dense_solve(matvec: Callable[[Any], Any], b: Any) -> Any:
    """Solve a linear system by forming its matrix, a column for each unknown."""
    leaves, structure = pytree.flatten(b)
    sizes = [leaf.size for leaf in leaves]
    dtype = np.result_type(*leaves)

    def split(v: Any) -> Any:
        parts = np.split(v, np.cumsum(sizes)[:-1].tolist())
        pairs = zip(parts, leaves, strict=True)
        return pytree.unflatten(
            structure, [np.reshape(p, x.shape).astype(x.dtype) for p, x in pairs]
        )

    def join(tree: Any) -> Any:
        return np.concatenate([np.ravel(x) for x in pytree.leaves(tree)])

    columns = vmap(lambda v: join(matvec(split(v))))(np.eye(sum(sizes), dtype=dtype))
    try:
        return split(np.linalg.solve(columns.T, join(b)))
    except np.linalg.LinAlgError:
        raise NotDifferentiableError(
            "the Jacobian of the equation by x is singular at the solution, which then is no "
            "differentiable function of the parameters (the implicit function theorem fails)"
        ) from None


class _Root:
    """One call of a root function; its arrays are the leaves of x0, then those in theta."""

    def __init__(
        self, equation: Any, solve: Any, linear_solve: Solver, x0: Any, theta: tuple[Any, ...]
    ) -> None:
        self.equation, self.solve, self.linear_solve = equation, solve, linear_solve
        self._x0, self._structure = flat_arrays(x0, "x0")
        self._theta, self._theta_tree = pytree.flatten(theta)
        self._dynamic = [i for i, leaf in enumerate(self._theta) if is_array(leaf)]

    def __repr__(self) -> str:
        return getattr(self.equation, "__name__", "equation")

    def apply(self) -> Any:
        """Solve, or record the solution where an argument is traced."""
        arrays = [self._theta[i] for i in self._dynamic]
        return pytree.unflatten(self._structure, root_op(*self._x0, *arrays, root=self))

    def run(self, *arrays: Any) -> tuple[Any, ...]:
        """Solve for plain arrays."""
        x0, theta = pytree.unflatten(self._structure, self._first(arrays)), self._parameters(arrays)
        self._check(self.equation(x0, *theta))
        found = self.solve(x0, *theta)
        self._refuse_traced(found, "the solver")
        return like(self._structure, found, self._first(arrays), "the solution returned by `solve`")

    def infer(self, *avals: Any) -> tuple[Any, ...]:
        """Return the avals of the solution, which are those of x0."""
        return tuple(self._first(avals))

    def push(self, tangents: Sequence[Any], x: Sequence[Any], arrays: Sequence[Any]) -> Any:
        """Return dx = -(dF/dx)^-1 (dF/dtheta) dtheta."""
        start = len(self._x0)
        moving = [i for i in range(start, len(arrays)) if tangents[i] is not None]
        if not moving:
            return tuple(np.zeros_like(v) for v in x)
        values, changes = [arrays[i] for i in moving], [tangents[i] for i in moving]
        _, change = jvp(self._by_parameters(moving, x, arrays), values, changes)
        solution = pytree.unflatten(self._structure, x)

        def matvec(v: Any) -> Any:
            return jvp(self._by_unknowns(arrays), (solution,), (v,))[1]

        found = solve_with(matvec, change, self.linear_solve)
        return tuple(-v for v in pytree.leaves(found))

    def pull(self, ct: Sequence[Any], x: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
        """Return the cotangents -(dF/dtheta)^T (dF/dx)^-T ct of theta; those of x0 are zero."""
        start = len(self._x0)
        moving = [
            i for i in range(start, len(arrays)) if is_differentiable(aval_of(arrays[i]).dtype)
        ]
        if not moving:
            return [None] * len(arrays)
        _, transposed = vjp(self._by_unknowns(arrays), pytree.unflatten(self._structure, x))
        cotangent = pytree.unflatten(self._structure, ct)
        adjoint = solve_with(lambda u: transposed(u)[0], cotangent, self.linear_solve)
        _, pullback = vjp(self._by_parameters(moving, x, arrays), *[arrays[i] for i in moving])
        found = dict(zip(moving, pullback(pytree.map(lambda a: -a, adjoint)), strict=True))
        return [found.get(i) for i in range(len(arrays))]

    def _by_unknowns(self, arrays: Sequence[Any]) -> Callable[[Any], Any]:
        """Return the equation as a function of x."""
        theta = self._parameters(arrays)
        return lambda x: self.equation(x, *theta)

    def _by_parameters(self, moving: Any, x: Any, arrays: Any) -> Callable[..., Any]:
        """Return the equation as a function of the arrays at the places `moving`."""
        solution = pytree.unflatten(self._structure, x)

        def residual(*values: Any) -> Any:
            full = list(arrays)
            for i, value in zip(moving, values, strict=True):
                full[i] = value
            return self.equation(solution, *self._parameters(full))

        return residual

    def _first(self, arrays: Sequence[Any]) -> list[Any]:
        return list(arrays[: len(self._x0)])

    def _parameters(self, arrays: Sequence[Any]) -> Any:
        leaves = list(self._theta)
        for i, value in zip(self._dynamic, arrays[len(self._x0) :], strict=True):
            leaves[i] = value
        return pytree.unflatten(self._theta_tree, leaves)

    def _check(self, residual: Any) -> None:
        """Raise unless the equation's value is like x0, and free of outer traces."""
        self._refuse_traced(residual, "the equation")
        leaves = pytree.match(self._structure, residual, "the value of the equation")
        for leaf, x in zip(leaves, self._x0, strict=True):
            if np.shape(leaf) != np.shape(x):
                raise ShapeError(
                    f"the equation returned the shape {np.shape(leaf)}, expected {np.shape(x)} as "
                    "x0 has: there must be as many equations as unknowns"
                )

    def _refuse_traced(self, tree: Any, name: str) -> None:
        if any(isinstance(unwrap(leaf), Tracer) for leaf in pytree.leaves(tree)):
            raise NotDifferentiableError(
                f"{name} closes over a traced value, whose derivative would be lost: pass it as "
                "an argument, root(x0, *theta), and take it from theta"
            )


root_op: Op = Op(  # not in the table of operations: its equation and solver are the user's
    name="root",
    kind="general",
    forward=lambda *arrays, root: root.run(*arrays),
    infer=lambda *avals, root: root.infer(*avals),
    vjp=lambda i, ct, out, args, params: params["root"].pull(ct, out, args)[i],
    jvp=lambda tangents, out, args, params: params["root"].push(tangents, out, args),
    batch=lambda args, batched, params: each_example(root_op, args, batched, params),
    notation=call("root"),
    samples=lambda rng: [],
    undefined_at="singular Jacobian of the equation: NotDifferentiableError",
    vjp_all=lambda ct, out, args, params: params["root"].pull(ct, out, args),
)
