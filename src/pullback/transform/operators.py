"""Jacobians and Hessians as linear operators of SciPy, for its iterative solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.flat import Flat
from pullback.transform.linearize import Linearization
from pullback.transform.reverse import grad

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


def jacobian_operator(function: Callable[..., Any], x: Any) -> LinearOperator:
    """Return the Jacobian of `function` at `x` as a `scipy.sparse.linalg.LinearOperator`.

    It has shape (m, n) for m output and n input elements; pytrees are raveled and joined, leaf by
    leaf in order. `matvec` pushes a tangent forward and `rmatvec` pulls a cotangent back through
    one recorded run of the function, so lsqr, lsmr, gmres and svds run on it as they are.
    Raises DTypeError for integer and complex inputs or outputs.

    >>> import numpy as np, pullback as pb
    >>> J = pb.jacobian_operator(lambda x: np.cumsum(x**2), np.array([1.0, 2.0]))
    >>> J @ np.array([1.0, 1.0]), J.T @ np.array([0.0, 1.0])
    (array([2., 6.]), array([2., 4.]))
    """
    from scipy.sparse.linalg import LinearOperator

    recorded = Linearization(function, (x,))
    columns = Flat(recorded.leaves, recorded.in_tree, "x")
    rows = Flat(recorded.out_leaves, recorded.out_tree, "the value of the function")
    return LinearOperator(
        shape=(rows.size, columns.size),
        dtype=np.result_type(rows.dtype, columns.dtype),
        matvec=lambda v: rows.join(recorded.push(*columns.split(v))),
        rmatvec=lambda u: columns.join(recorded.pull(rows.split(u))),
    )


def hessian_operator(function: Callable[..., Any], x: Any) -> LinearOperator:
    """Return the Hessian of a scalar `function` at `x` as a `scipy.sparse.linalg.LinearOperator`.

    It has shape (n, n) for n elements of `x`; a pytree is raveled and joined, leaf by leaf in
    order. The gradient is computed and recorded once, and each product pushes a tangent through
    the record, so cg, minres, eigsh (Lanczos) and lobpcg run on it at about the cost of a gradient
    each. (Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6(1), 1994.)
    Raises ShapeError where the value is no scalar, DTypeError for integer and complex `x`.

    >>> import numpy as np, pullback as pb
    >>> from scipy.sparse.linalg import cg
    >>> H = pb.hessian_operator(lambda x: np.sum(x**4) / 12, np.array([1.0, 2.0]))
    >>> step, failed = cg(H, np.array([1.0, 1.0]))
    >>> step
    array([1.  , 0.25])
    """
    from scipy.sparse.linalg import LinearOperator

    recorded = Linearization(grad(function), (x,))
    flat = Flat(recorded.leaves, recorded.in_tree, "x")

    def product(v: Any) -> Any:
        return flat.join(recorded.push(*flat.split(v)))

    return LinearOperator(
        shape=(flat.size, flat.size), dtype=flat.dtype, matvec=product, rmatvec=product
    )
