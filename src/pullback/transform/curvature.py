"""Products with the Gauss-Newton and the Fisher matrix, without the matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from pullback.core import pytree
from pullback.core.errors import ConfigError
from pullback.transform.custom import stop_gradient
from pullback.transform.forward import jvp
from pullback.transform.linearize import Linearization
from pullback.transform.reverse import grad

Family = Literal["categorical", "bernoulli", "gaussian", "poisson"]


def _log_sum_exp(eta: Any) -> Any:
    largest = stop_gradient(np.max(eta, axis=-1, keepdims=True))  # it cancels
    return np.log(np.sum(np.exp(eta - largest), axis=-1, keepdims=True)) + largest


_LOG_PARTITION: dict[str, Callable[[Any], Any]] = {
    "categorical": _log_sum_exp,
    "bernoulli": lambda eta: np.logaddexp(eta, 0.0),
    "gaussian": lambda eta: eta**2 / 2,
    "poisson": np.exp,
}


def gnvp(
    model: Callable[..., Any],
    loss: Callable[[Any], Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
) -> tuple[Any, ...]:
    """Return the product of the generalised Gauss-Newton matrix of `loss(model(*primals))`.

    The matrix is G = J^T H J, with the Jacobian J of the model and the Hessian H of the scalar
    loss by the model's outputs: the Hessian without the model's second derivatives, positive
    semidefinite where the loss is convex. `primals` and `tangents` are tuples with one pytree per
    argument of the model, as is the result. (Schraudolph, Fast curvature matrix-vector products,
    Neural Computation 14, 2002; Martens, Deep learning via Hessian-free optimization, ICML 2010.)
    Raises ShapeError where the loss is no scalar or tangents do not fit, DTypeError for integers.

    >>> import numpy as np, pullback as pb
    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> w, v = np.zeros(2), np.array([1.0, 0.0])
    >>> pb.gnvp(lambda w: x @ w, lambda y: np.sum(y**2) / 2, (w,), (v,))
    (array([3., 3.]),)
    """
    recorded = Linearization(model, primals)
    pushed = recorded.push(*tangents)
    _, curved = jvp(grad(loss), (recorded.out,), (pushed,))
    return recorded.pull(curved)


def fisher_vp(
    model: Callable[..., Any],
    family: Family,
    primals: Sequence[Any],
    tangents: Sequence[Any],
) -> tuple[Any, ...]:
    """Return the product of the Fisher information matrix of `model`'s predictive distribution.

    The outputs of the model are natural parameters of a `family`: "categorical" (logits on the
    last axis), "bernoulli" (logits), "gaussian" (means, of unit variance) or "poisson" (log
    rates). There the Fisher matrix E[(d log p)(d log p)^T], over targets drawn from the model and
    summed over the examples, is J^T A'' J with the log-partition function A: it equals the
    Gauss-Newton matrix of the negative log-likelihood, for any targets. (Martens, New insights
    and perspectives on the natural gradient method, JMLR 21, 2020, section 9.)
    Divide by the number of examples for that of a mean loss.
    Raises ConfigError for another family, ShapeError or DTypeError as `gnvp`.

    >>> import numpy as np, pullback as pb
    >>> pb.fisher_vp(lambda w: w, "bernoulli", (np.zeros(2),), (np.array([1.0, 2.0]),))
    (array([0.25, 0.5 ]),)
    """
    if family not in _LOG_PARTITION:
        raise ConfigError(f"family: expected one of {sorted(_LOG_PARTITION)}, got {family!r}")
    log_partition = _LOG_PARTITION[family]

    def total(outputs: Any) -> Any:
        parts = [np.sum(log_partition(eta)) for eta in pytree.leaves(outputs)]
        return sum(parts[1:], parts[0])

    return gnvp(model, total, primals, tangents)
