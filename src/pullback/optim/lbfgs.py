"""L-BFGS as an optimizer: for training on whole data sets, one gradient an update."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.checks import check_positive
from pullback.core.flat import Flat
from pullback.optim.optimizer import (
    LearningRate,
    Optimizer,
    Rate,
    State,
    check_gradients,
    check_parameters,
)

_CURVED = 1e-10
"""Pairs whose product y^T s is not above this say nothing of the curvature, and are left out."""


def lbfgs(learning_rate: LearningRate = 1.0, history: int = 10) -> Optimizer:
    """L-BFGS with steps of fixed length: p <- p - r H g, H the inverse Hessian of `history` pairs.

    H follows from the last changes s of the parameters and y of the gradient, by the recursion of
    two loops; the first step is r min(1, 1 / |g|_1) g. There is no line search, since an update
    sees one gradient: let each be that of all data (`batch_size=len(data)`). Where the function can
    be called as often as one likes, `minimize` has a line search.
    Source: Nocedal and Wright, "Numerical optimization", 2006, algorithm 7.4 and equation 7.20.

    >>> optimizer, params = lbfgs(), np.array([3.0, 4.0])
    >>> state = optimizer.init(params)
    >>> for _ in range(15):
    ...     params, state = optimizer.update(np.array([1.0, 20.0]) * params, state, params)
    >>> np.abs(params).max() < 1e-9
    np.True_
    """
    rate_of = Rate(learning_rate)
    check_positive(history=history)

    def init(params: Any) -> State:
        check_parameters(params)
        flat = Flat.of(params, "params")
        zeros = np.zeros(flat.size, flat.dtype)
        pairs = np.zeros((history, flat.size), flat.dtype)
        return rate_of.init() | {"gradient": zeros, "change": zeros, "S": pairs, "Y": pairs}

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        check_gradients(grads, params)
        flat = Flat.of(params, "params")
        first = state["step"] == 0
        g, s, S, Y = flat.join(grads), state["change"], state["S"], state["Y"]
        y = g - state["gradient"]
        curved = np.logical_and(np.logical_not(first), np.sum(y * s) > _CURVED)
        S, Y = (np.where(curved, _shifted(A, a), A) for A, a in ((S, s), (Y, y)))
        shortened = np.minimum(1, 1 / np.maximum(np.sum(np.abs(g)), np.finfo(flat.dtype).tiny))
        length = (rate_of(state) * np.where(first, shortened, 1)).astype(flat.dtype)
        s = -length * _inverse_hessian_product(g, S, Y)
        known = {"gradient": g, "change": s, "S": S, "Y": Y}
        return flat.split(flat.join(params) + s), rate_of.after(state) | known

    return Optimizer(init, update)


def _shifted(rows: Any, newest: Any) -> Any:
    return np.concatenate([rows[1:], newest[None]])


def _inverse_hessian_product(g: Any, S: Any, Y: Any) -> Any:
    """Return H g by the recursion of two loops; rows of zeros stand for pairs not seen yet."""
    curvature = np.sum(S * Y, axis=1)
    rho = _over(1, curvature)
    newest = np.sum(Y[-1] * Y[-1])
    q, alphas = g, []
    for i in reversed(range(len(S))):
        alphas.append(rho[i] * np.sum(S[i] * q))
        q = q - alphas[-1] * Y[i]
    r = q * np.where(newest > 0, _over(curvature[-1], newest), 1).astype(g.dtype)
    for i in range(len(S)):
        beta = rho[i] * np.sum(Y[i] * r)
        r = r + (alphas.pop() - beta) * S[i]
    return r


def _over(a: Any, b: Any) -> Any:
    """Return a / b, and 0 where b is 0."""
    return np.where(b > 0, a / np.where(b > 0, b, 1), 0)
