"""L-BFGS over all samples at once: SciPy's iteration, the gradient as machine code."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.native.compile import Compiled
from pullback.passes.cost import worth_compiling
from pullback.sklearn.steps import Plan, Samples, graph_of, objective
from pullback.transform.reverse import value_and_grad


def minimise(
    plan: Plan, model: Any, samples: Samples, alpha: float, tol: float, max_iter: int, max_fun: int
) -> tuple[Any, Any]:
    """Return the trained model, and SciPy's account of the iteration.

    Source: Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for bound constrained
    optimization", SIAM Journal on Scientific Computing 16, 1995.
    """
    import scipy.optimize

    leaves, structure = pytree.flatten(model)
    dtype = samples.inputs.dtype
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    strength = np.array(alpha)

    def unpacked(flat: Any) -> Any:
        parts = np.split(flat.astype(dtype), ends)
        pairs = zip(parts, leaves, strict=True)
        return pytree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in pairs])

    gradient = graph_of(_gradient, plan, model, samples, strength)
    run: Any = _compiled(plan) if worth_compiling(gradient, max_iter) else gradient

    def function(flat: Any) -> tuple[float, Any]:
        value, slopes = run(unpacked(flat), samples, strength)
        return float(value), _packed(slopes)

    result = scipy.optimize.minimize(
        function,
        _packed(model),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    return unpacked(result.x), result


def _packed(tree: Any) -> Any:
    return np.concatenate([leaf.ravel() for leaf in pytree.leaves(tree)]).astype(np.float64)


def _gradient(plan: Plan, model: Any, samples: Samples, alpha: Any) -> Any:
    return value_and_grad(lambda model: objective(plan.loss, model, samples, alpha)[0])(model)


@functools.lru_cache(maxsize=32)
def _compiled(plan: Plan) -> Compiled:
    run = functools.partial(_gradient, plan)
    functools.update_wrapper(run, _gradient)
    return Compiled(run, (), (), plan.threads, plan.matmul_precision)
