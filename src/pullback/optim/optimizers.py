"""Optimizers: each states its recurrence for a parameter p, gradient g and learning rate r.

t = 1, 2, ... counts the updates; products and roots are elementwise. The learning rate is a number
or a schedule (see `pullback.optim.schedules`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.checks import check_fraction, check_positive
from pullback.optim.optimizer import (
    At,
    Choice,
    LearningRate,
    Optimizer,
    Slots,
    check_weight_decay,
    like,
    per_leaf,
)


def sgd(learning_rate: LearningRate = 0.01) -> Optimizer:
    """Gradient descent: p <- p - r g.

    Source: Robbins and Monro, "A stochastic approximation method", Annals of Mathematical
    Statistics 22, 1951.

    >>> optimizer = sgd(0.5)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> optimizer.update({"w": np.array([2.0, 0.0])}, optimizer.init(params), params)[0]
    {'w': array([0., 2.])}
    """

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        return p - at.rate * g, ()

    return per_leaf(rule, learning_rate)


def momentum(learning_rate: LearningRate = 0.01, decay: float = 0.9) -> Optimizer:
    """Gradient descent with momentum m: v <- m v + g, p <- p - r v.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
    Computational Mathematics and Mathematical Physics 4, 1964.

    >>> optimizer = momentum(0.1, decay=0.5)
    >>> params, g = np.array([1.0]), np.array([1.0])
    >>> params, state = optimizer.update(g, optimizer.init(params), params)
    >>> params, state = optimizer.update(g, state, params)
    >>> params, state["velocity"]
    (array([0.75]), array([1.5]))
    """
    check_fraction(decay=decay)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        v = decay * slots[0] + g
        return p - at.rate * v, (v,)

    return per_leaf(rule, learning_rate, ("velocity",))


def nesterov(learning_rate: LearningRate = 0.01, decay: float = 0.9) -> Optimizer:
    """Nesterov's accelerated gradient with momentum m: v <- m v + g, p <- p - r (g + m v).

    Source: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum
    in deep learning", ICML 2013, with the point of evaluation as the parameter.

    >>> optimizer = nesterov(0.1, decay=0.5)
    >>> params, g = np.array([1.0]), np.array([1.0])
    >>> optimizer.update(g, optimizer.init(params), params)[0]
    array([0.85])
    """
    check_fraction(decay=decay)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        v = decay * slots[0] + g
        return p - at.rate * (g + decay * v), (v,)

    return per_leaf(rule, learning_rate, ("velocity",))


def adam(
    learning_rate: LearningRate = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Optimizer:
    """Adam: m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - r m' / (sqrt(v') + eps).

    m' = m / (1 - b1^t) and v' = v / (1 - b2^t) are without the bias of the moments' zero start.
    Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    >>> optimizer = adam(0.1)
    >>> params = np.array([1.0, 2.0])
    >>> optimizer.update(np.array([5.0, -0.01]), optimizer.init(params), params)[0].round(4)
    array([0.9, 2.1])
    """
    return adamw(learning_rate, beta1, beta2, eps, weight_decay=0.0)


def adamw(
    learning_rate: LearningRate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    decays: Choice | None = None,
) -> Optimizer:
    """Adam with decoupled weight decay w: p <- (1 - r w) p, then Adam's step.

    `decays(path, parameter)` chooses the parameters that decay, by default all; `is_weight` leaves
    out biases and the scales of norms.
    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    >>> optimizer = adamw(0.1, weight_decay=0.5)
    >>> params = np.array([1.0])
    >>> optimizer.update(np.array([0.0]), optimizer.init(params), params)[0]
    array([0.95])
    """
    check_fraction(beta1=beta1, beta2=beta2)
    check_positive(eps=eps)
    check_weight_decay(weight_decay)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        m, v, m_scale, v_scale = _moments(g, at, slots, beta1, beta2)
        return at.decayed(p) - (at.rate * m_scale) * m / (np.sqrt(v * v_scale) + eps), (m, v)

    return per_leaf(rule, learning_rate, ("mean", "square"), weight_decay, decays)


def lion(
    learning_rate: LearningRate = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    decays: Choice | None = None,
) -> Optimizer:
    """Lion: p <- p - r (sign(b1 m + (1 - b1) g) + w p), then m <- b2 m + (1 - b2) g.

    Every entry moves by r: a third to a tenth of Adam's learning rate suits, with a weight decay w
    three to ten times as large. `decays` as for `adamw`.
    Source: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2.

    >>> optimizer = lion(0.1)
    >>> params = np.array([1.0, 2.0])
    >>> optimizer.update(np.array([5.0, -0.01]), optimizer.init(params), params)[0]
    array([0.9, 2.1])
    """
    check_fraction(beta1=beta1, beta2=beta2)
    check_weight_decay(weight_decay)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        (m,) = slots
        direction = np.sign(beta1 * m + (1 - beta1) * g)
        return at.decayed(p) - at.rate * direction, (beta2 * m + (1 - beta2) * g,)

    return per_leaf(rule, learning_rate, ("mean",), weight_decay, decays)


def lamb(
    learning_rate: LearningRate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    decays: Choice | None = None,
) -> Optimizer:
    """LAMB: Adam's step u = m' / (sqrt(v') + eps) + w p, as long as p: p <- p - r |p| / |u| u.

    The norms are those of a whole parameter, such as the weights of a layer; where one of them is 0
    the ratio is 1. For large batches. `decays` as for `adamw`.
    Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
    ICLR 2020, algorithm 2, with the identity for phi.

    >>> optimizer = lamb(0.1)
    >>> params = np.array([3.0, 4.0])
    >>> optimizer.update(np.array([7.0, 7.0]), optimizer.init(params), params)[0].round(4)
    array([2.6464, 3.6464])
    """
    check_fraction(beta1=beta1, beta2=beta2)
    check_positive(eps=eps)
    check_weight_decay(weight_decay)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        m, v, m_scale, v_scale = _moments(g, at, slots, beta1, beta2)
        u = m_scale * m / (np.sqrt(v * v_scale) + eps)
        if at.weight_decay:
            u = u + at.weight_decay * p
        length, step_length = (np.sqrt(np.sum(x * x)) for x in (p, u))
        usable = np.logical_and(length > 0, step_length > 0)
        ratio = np.where(usable, length / np.where(usable, step_length, 1), 1).astype(p.dtype)
        return p - (at.rate * ratio) * u, (m, v)

    return per_leaf(rule, learning_rate, ("mean", "square"), weight_decay, decays)


def rmsprop(
    learning_rate: LearningRate = 0.01, decay: float = 0.99, eps: float = 1e-8
) -> Optimizer:
    """RMSProp with decay d: v <- d v + (1 - d) g^2, p <- p - r g / (sqrt(v) + eps).

    Source: Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5, 2012.

    >>> optimizer = rmsprop(0.1, decay=0.75)
    >>> params = np.array([1.0])
    >>> optimizer.update(np.array([5.0]), optimizer.init(params), params)[0].round(4)
    array([0.8])
    """
    check_fraction(decay=decay)
    check_positive(eps=eps)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        v = decay * slots[0] + (1 - decay) * (g * g)
        return p - at.rate * g / (np.sqrt(v) + eps), (v,)

    return per_leaf(rule, learning_rate, ("square",))


def adagrad(learning_rate: LearningRate = 0.01, eps: float = 1e-10) -> Optimizer:
    """Adagrad: s <- s + g^2, p <- p - r g / (sqrt(s) + eps).

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", Journal of Machine Learning Research 12, 2011.

    >>> optimizer = adagrad(0.1)
    >>> params = np.array([1.0])
    >>> optimizer.update(np.array([5.0]), optimizer.init(params), params)[0].round(4)
    array([0.9])
    """
    check_positive(eps=eps)

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        s = slots[0] + g * g
        return p - at.rate * g / (np.sqrt(s) + eps), (s,)

    return per_leaf(rule, learning_rate, ("square",))


def _moments(g: Any, at: At, slots: Slots, beta1: float, beta2: float) -> tuple[Any, ...]:
    """Return the moments m and v of Adam, and the factors that take away their bias."""
    m = beta1 * slots[0] + (1 - beta1) * g
    v = beta2 * slots[1] + (1 - beta2) * (g * g)
    # The corrections are computed in float64 and then take the parameter's precision.
    return m, v, *(like(1 / (1 - beta**at.t), g) for beta in (beta1, beta2))


OPTIMIZERS = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
    "lion": lion,
    "lamb": lamb,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
}
"""The optimizers by name; each can be called with a learning rate alone."""
