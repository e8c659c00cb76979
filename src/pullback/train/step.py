"""One step of training as a pure function of model, optimizer's state and minibatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.nn.losses import l2_penalty
from pullback.nn.stateful import combine, partition, training_call
from pullback.optim.optimizer import Optimizer
from pullback.transform.reverse import value_and_grad

Step = Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]


def make_step(loss: Callable[[Any, Any], Any], optimizer: Optimizer, l2: float = 0.0) -> Step:
    """Return the step (model, state, x, t) -> (new model, new state, loss of the data).

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

    def step(model: Any, state: Any, x: Any, t: Any) -> tuple[Any, Any, Any]:
        parameters, remembered = partition(model)

        def objective(parameters: Any) -> Any:
            outputs, trained = training_call(combine(parameters, remembered), x)
            value = loss(outputs, t)
            total = value + l2 * l2_penalty(parameters) if l2 else value
            return total, (value, partition(trained)[1])

        (_, (value, after)), gradient = value_and_grad(objective, has_aux=True)(parameters)
        parameters, state = optimizer.update(gradient, state, parameters)
        return combine(parameters, after), state, value

    return step
