"""One step of training as a pure function of model, optimizer's state and minibatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.nn.losses import l2_penalty
from pullback.nn.stateful import combine, partition, training_call
from pullback.optim.optimizer import Optimizer
from pullback.transform.reverse import value_and_grad

Step = Callable[..., tuple[Any, Any, Any]]


def make_step(loss: Callable[..., Any], optimizer: Optimizer, l2: float = 0.0) -> Step:
    """Return the step (model, state, x, t) -> (new model, new state, loss of the data).

    A fifth argument are the weights of the samples, whose mean over all data is 1: see `weighted`.

    The model is called by `training_call`, so that its own state moves on, too; `state` is that of
    `optimizer.init(partition(model)[0])`. Not shown in the loss, `l2` draws the weights to 0.

    >>> import numpy as np
    >>> from pullback import nn, optim
    >>> model, optimizer = nn.Linear(np.ones((1, 1))), optim.sgd(0.1)
    >>> step = make_step(nn.mean_squared_error, optimizer)
    >>> x = np.ones((2, 1))
    >>> model, state, loss = step(model, optimizer.init(model), x, 0 * x)
    >>> float(loss), model.weight
    (1.0, array([[0.8]]))
    """

    def step(model: Any, state: Any, x: Any, t: Any, weights: Any = None) -> tuple[Any, Any, Any]:
        def objective(model: Any) -> tuple[Any, Any, Any]:
            outputs, trained = training_call(model, x)
            value = loss(outputs, t) if weights is None else weighted(loss, outputs, t, weights)
            total = value + l2 * l2_penalty(partition(model)[0]) if l2 else value
            return total, value, trained

        return descend(objective, optimizer, model, state)

    return step


def descend(
    objective: Callable[[Any], tuple[Any, Any, Any]], optimizer: Optimizer, model: Any, state: Any
) -> tuple[Any, Any, Any]:
    """Take a step down; return the new model, the optimizer's new state, and the value to show.

    `objective` gives for a model what is to become smaller, the value to show, both 0-d, and the
    model with its own state moved on, as `training_call` returns it.
    """
    parameters, remembered = partition(model)

    def total(parameters: Any) -> tuple[Any, Any]:
        value, shown, trained = objective(combine(parameters, remembered))
        return value, (shown, partition(trained)[1])

    (_, (shown, after)), gradient = value_and_grad(total, has_aux=True)(parameters)
    parameters, state = optimizer.update(gradient, state, parameters)
    return combine(parameters, after), state, shown


def weighted(loss: Callable[..., Any], outputs: Any, t: Any, weights: Any) -> Any:
    """Return the mean loss of a minibatch, weighted so that its mean over all is that of the data.

    With the n weights of all data of mean 1, the weighted mean of the data is sum(w l) / n, and
    that of b of them has to be sum(w l) / b for its expectation to be the same: the weighted mean
    of the minibatch times the mean of its weights, which may be 0.

    >>> from pullback.nn import mean_squared_error
    >>> y, t = np.array([[1.0], [2.0]]), np.zeros((2, 1))
    >>> [float(weighted(mean_squared_error, y, t, np.array(w))) for w in ([1.0, 0.5], [0.0, 0.0])]
    [1.5, 0.0]
    """
    share = np.mean(weights)
    value = loss(outputs, t, sample_weight=np.where(share > 0, weights, 1))
    return value * share.astype(value.dtype)
