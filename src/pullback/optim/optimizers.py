"""Optimizers: each states its recurrence for a parameter p, gradient g and learning rate r.

t = 1, 2, ... counts the updates; products and roots are elementwise. The learning rate is a number
or a schedule (see `pullback.optim.schedules`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.errors import ConfigError
from pullback.optim.optimizer import (
    LearningRate,
    Optimizer,
    check_fraction,
    check_positive,
    like,
    per_leaf,
)

Slots = tuple[Any, ...]


def sgd(learning_rate: LearningRate = 0.01) -> Optimizer:
    """Gradient descent: p <- p - r g.

    Source: Robbins and Monro, "A stochastic approximation method", Annals of Mathematical
    Statistics 22, 1951.

    >>> optimizer = sgd(0.5)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> optimizer.update({"w": np.array([2.0, 0.0])}, optimizer.init(params), params)[0]
    {'w': array([0., 2.])}
    """

    def rule(p: Any, g: Any, rate: Any, t: Any, slots: Slots) -> tuple[Any, Slots]:
        return p - rate * g, ()

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

    def rule(p: Any, g: Any, rate: Any, t: Any, slots: Slots) -> tuple[Any, Slots]:
        v = decay * slots[0] + g
        return p - rate * v, (v,)

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

    def rule(p: Any, g: Any, rate: Any, t: Any, slots: Slots) -> tuple[Any, Slots]:
        v = decay * slots[0] + g
        return p - rate * (g + decay * v), (v,)

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
) -> Optimizer:
    """Adam with decoupled weight decay w, of all parameters: p <- (1 - r w) p, then Adam's step.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    >>> optimizer = adamw(0.1, weight_decay=0.5)
    >>> params = np.array([1.0])
    >>> optimizer.update(np.array([0.0]), optimizer.init(params), params)[0]
    array([0.95])
    """
    check_fraction(beta1=beta1, beta2=beta2)
    check_positive(eps=eps)
    if not weight_decay >= 0:
        raise ConfigError(f"weight_decay: expected a number >= 0, got {weight_decay}.")

    def rule(p: Any, g: Any, rate: Any, t: Any, slots: Slots) -> tuple[Any, Slots]:
        m = beta1 * slots[0] + (1 - beta1) * g
        v = beta2 * slots[1] + (1 - beta2) * (g * g)
        # The corrections are computed in float64 and then take the parameter's precision.
        m_scale, v_scale = (like(1 / (1 - beta**t), p) for beta in (beta1, beta2))
        decayed = p * (1 - rate * weight_decay) if weight_decay else p
        return decayed - (rate * m_scale) * m / (np.sqrt(v * v_scale) + eps), (m, v)

    return per_leaf(rule, learning_rate, ("mean", "square"))


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

    def rule(p: Any, g: Any, rate: Any, t: Any, slots: Slots) -> tuple[Any, Slots]:
        v = decay * slots[0] + (1 - decay) * (g * g)
        return p - rate * g / (np.sqrt(v) + eps), (v,)

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

    def rule(p: Any, g: Any, rate: Any, t: Any, slots: Slots) -> tuple[Any, Slots]:
        s = slots[0] + g * g
        return p - rate * g / (np.sqrt(s) + eps), (s,)

    return per_leaf(rule, learning_rate, ("square",))


OPTIMIZERS = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
}
"""The optimizers by name; each can be called with a learning rate alone."""
