"""custom_linear_solve: solve a linear system by any solver, and differentiate through it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of, is_differentiable
from pullback.core.errors import NotDifferentiableError, ShapeError, TreeError
from pullback.core.graph import Graph
from pullback.core.op import Op, call
from pullback.core.tracing import trace
from pullback.transform.control.closure import close
from pullback.transform.foreign import each_example
from pullback.transform.forward import jvp
from pullback.transform.inputs import flat_arrays, matching_leaves
from pullback.transform.reverse import vjp
from pullback.transform.transpose import check_linear, check_zero

Solver = Callable[[Callable[[Any], Any], Any], Any]


def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Solver,
    transpose_solve: Solver | None = None,
    symmetric: bool = False,
) -> Any:
    """Return the solution x of `matvec(x) = b`, found by `solve(matvec, b)`, differentiably.

    `b` and x are pytrees of floating arrays of the same structure and shapes. `matvec` is a linear
    function that can be traced, and may close over traced values: both modes differentiate x by
    them and by `b`, to any order. The solvers see plain NumPy arrays and may be any code, e.g. of
    SciPy. `transpose_solve(vecmat, ct)` solves the transposed system and is needed in reverse
    mode, unless the system is `symmetric`. No step of a solver is recorded: dx = A^-1 (db - dA x).
    (The interface is that of JAX's lax.custom_linear_solve.)
    Raises NotDifferentiableError where `matvec` is not linear or `transpose_solve` is missing,
    ShapeError and TreeError where what it returns, or the solver, is not like `b`.

    >>> import numpy as np, pullback as pb
    >>> from scipy.sparse.linalg import LinearOperator, cg
    >>> def conjugate_gradients(matvec, b):
    ...     return cg(LinearOperator((b.size, b.size), matvec, dtype=b.dtype), b, rtol=1e-12)[0]
    >>> def solution(d):
    ...     return pb.custom_linear_solve(
    ...         lambda x: d * x, np.array([1.0, 1.0]), conjugate_gradients, symmetric=True
    ...     )
    >>> pb.grad(lambda d: np.sum(solution(d)))(np.array([2.0, 4.0])).round(6)
    array([-0.25  , -0.0625])
    """
    leaves, structure = flat_arrays(b, "b")
    closed = close([matvec], pytree.unflatten(structure, leaves))
    graph, captured = closed.graphs[0], closed.captured
    unknowns = graph.arguments[len(captured) :]
    check_linear(graph, unknowns, "matvec of custom_linear_solve")
    if not captured:
        origin = graph.run([np.zeros(n.shape, n.dtype) for n in unknowns])
        check_zero(origin, "matvec of custom_linear_solve")
    return solved(
        _system(graph, structure, leaves, solve, transpose_solve, symmetric), leaves, captured
    )


def solve_with(matvec: Callable[[Any], Any], b: Any, solve: Solver) -> Any:
    """Return the solution for a `matvec` known to be linear, by a solver for its transpose too."""
    leaves, structure = flat_arrays(b, "b")
    closed = close([matvec], pytree.unflatten(structure, leaves))
    system = _system(closed.graphs[0], structure, leaves, solve, solve, False)
    return solved(system, leaves, closed.captured)


def solved(system: LinearSystem, b: Sequence[Any], coefficients: Sequence[Any]) -> Any:
    """Return the solution as a pytree."""
    return pytree.unflatten(system.structure, solve_op(*b, *coefficients, system=system))


def _system(
    graph: Graph,
    structure: Any,
    b: Sequence[Any],
    solve: Any,
    transpose_solve: Any,
    symmetric: bool,
) -> LinearSystem:
    if graph.out_tree != structure:
        raise TreeError(
            f"matvec must return a pytree like b: expected {structure}, got {graph.out_tree}"
        )
    for result, leaf in zip(graph.results, b, strict=True):
        if result.shape != np.shape(leaf):
            raise ShapeError(
                f"matvec must return arrays of the shapes of b: expected {np.shape(leaf)}, got "
                f"{result.shape}"
            )
    return LinearSystem(graph, structure, len(b), solve, transpose_solve, symmetric)


@dataclass(eq=False)
class LinearSystem:
    """The system A x = b, with the graph of (coefficients of A, x) -> A x, both as flat leaves."""

    graph: Graph
    structure: pytree.Structure
    size: int
    solve: Solver
    transpose_solve: Solver | None
    symmetric: bool

    def __repr__(self) -> str:
        return getattr(self.solve, "__name__", "solve")

    def split(self, arrays: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the leaves of b and the coefficients of A."""
        return list(arrays[: self.size]), list(arrays[self.size :])

    def run(self, *arrays: Any) -> tuple[Any, ...]:
        """Solve the system for plain arrays."""
        b, coefficients = self.split(arrays)

        def matvec(x: Any) -> Any:
            given = matching_leaves(self.structure, x, b, "the argument of matvec")
            return pytree.unflatten(self.structure, self.graph.run([*coefficients, *given]))

        found = self.solve(matvec, pytree.unflatten(self.structure, b))
        return like(self.structure, found, b, "the solution returned by `solve`")

    @functools.cached_property
    def transposed(self) -> LinearSystem:
        """The system with A^T in place of A."""
        if self.symmetric:
            return self
        if self.transpose_solve is None:
            raise NotDifferentiableError(
                "custom_linear_solve: reverse mode solves the transposed system. Give a solver of "
                "it with transpose_solve=..., or say symmetric=True if the system is symmetric."
            )
        avals = [n.aval for n in self.graph.arguments]
        unknowns = avals[len(avals) - self.size :]

        def transpose(*arrays: Any) -> Any:
            ct, coefficients = arrays[-self.size :], list(arrays[: -self.size])
            origin = [np.zeros(a.shape, a.dtype) for a in unknowns]
            _, pull = vjp(lambda *x: self.graph.run([*coefficients, *x]), *origin)
            return pull([c.astype(n.dtype) for c, n in zip(ct, self.graph.results, strict=True)])

        return LinearSystem(
            trace(transpose, *avals),
            self.structure,
            self.size,
            self.transpose_solve,
            self.solve,
            False,
        )

    def push(self, tangents: Sequence[Any], x: Sequence[Any], arrays: Sequence[Any]) -> Any:
        """Return dx = A^-1 (db - dA x)."""
        b, coefficients = self.split(arrays)
        db, changes = self.split(tangents)
        right = [np.zeros_like(v) if t is None else t for v, t in zip(b, db, strict=True)]
        moving = [i for i, t in enumerate(changes) if t is not None]
        if moving:
            _, change = jvp(
                self._product(coefficients, moving, x),
                [coefficients[i] for i in moving],
                [changes[i] for i in moving],
            )
            right = [r - c for r, c in zip(right, change, strict=True)]
        return solve_op(*right, *coefficients, system=self)

    def pull(self, ct: Sequence[Any], x: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
        """Return the cotangents: A^-T ct for b, and that of -A x for the coefficients of A."""
        _, coefficients = self.split(arrays)
        adjoint = list(solve_op(*ct, *coefficients, system=self.transposed))
        moving = [i for i, c in enumerate(coefficients) if is_differentiable(aval_of(c).dtype)]
        found: dict[int, Any] = {}
        if moving:
            start = [coefficients[i] for i in moving]
            _, pull = vjp(self._product(coefficients, moving, x), *start)
            found = dict(zip(moving, pull([-a for a in adjoint]), strict=True))
        return [*adjoint, *(found.get(i) for i in range(len(coefficients)))]

    def _product(self, coefficients: Any, moving: Any, x: Any) -> Callable[..., Any]:
        """Return A x as a function of the coefficients at the places `moving`."""

        def product(*values: Any) -> Any:
            full = list(coefficients)
            for i, value in zip(moving, values, strict=True):
                full[i] = value
            return self.graph.run([*full, *x])

        return product


def like(structure: Any, found: Any, models: Sequence[Any], name: str) -> tuple[Any, ...]:
    """Return the leaves of what a solver found, which must be like `models`, as new arrays."""
    leaves = pytree.match(structure, found, name)
    for leaf, model in zip(leaves, models, strict=True):
        if np.shape(leaf) != model.shape:
            raise ShapeError(f"{name} has shape {np.shape(leaf)}, expected {model.shape}")
    return tuple(np.array(x, m.dtype)[()] for x, m in zip(leaves, models, strict=True))


solve_op: Op = Op(  # not in the table of operations: its solvers are the user's
    name="linear_solve",
    kind="general",
    forward=lambda *arrays, system: system.run(*arrays),
    infer=lambda *avals, system: avals[: system.size],
    vjp=lambda i, ct, out, args, params: params["system"].pull(ct, out, args)[i],
    jvp=lambda tangents, out, args, params: params["system"].push(tangents, out, args),
    batch=lambda args, batched, params: each_example(solve_op, args, batched, params),
    notation=call("linear_solve"),
    samples=lambda rng: [],
    undefined_at="",
    vjp_all=lambda ct, out, args, params: params["system"].pull(ct, out, args),
)
