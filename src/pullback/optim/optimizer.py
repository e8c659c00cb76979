"""What an optimizer is, and what all of them share: checked pytrees, hyperparameters, the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pullback.core import pytree
from pullback.core.errors import ConfigError, DTypeError, ShapeError

State = dict[str, Any]
Schedule = Callable[[Any], Any]
LearningRate = float | Schedule
Rule = Callable[[Any, Any, Any, Any, tuple[Any, ...]], tuple[Any, tuple[Any, ...]]]
"""(parameter, gradient, learning rate, t, slots) -> (new parameter, new slots), t = 1, 2, ..."""


class Optimizer(NamedTuple):
    """A pair of pure functions.

    `init(params)` gives the state: a dict with `step`, the number of updates made (0-d int64), and
    pytrees like `params`. `update(grads, state, params)` gives (new params, new state); it changes
    nothing in place and keeps every dtype.

    >>> from pullback.optim import sgd
    >>> optimizer, params = sgd(0.1), {"w": np.ones(2)}
    >>> params, state = optimizer.update({"w": np.ones(2)}, optimizer.init(params), params)
    >>> params["w"], state
    (array([0.9, 0.9]), {'step': array(1)})
    """

    init: Callable[[Any], State]
    update: Callable[[Any, State, Any], tuple[Any, State]]


def per_leaf(rule: Rule, learning_rate: LearningRate, slots: tuple[str, ...] = ()) -> Optimizer:
    """Return the optimizer that applies `rule` to each parameter; `slots` start as zeros.

    Its update raises TreeError where grads, params and state differ in structure, ShapeError where
    a gradient has another shape than its parameter, DTypeError where it has another dtype.
    """
    rate_at = _rate(learning_rate)

    def init(params: Any) -> State:
        state: State = {name: pytree.map(np.zeros_like, params) for name in slots}
        return {"step": np.array(0, np.int64)} | state

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        leaves, structure = pytree.flatten(params)
        gradients = pytree.match(structure, grads, "grads")
        kept = [pytree.match(structure, state[name], f"state[{name!r}]") for name in slots]
        step = state["step"]
        # Through shape (1,): the sum of 0-d arrays is a scalar, and the state is to stay an array.
        rate, t = rate_at(step), (step.reshape(1) + 1).reshape(())
        results = []
        for i, (p, g) in enumerate(zip(leaves, gradients, strict=True)):
            if g.shape != p.shape or g.dtype != p.dtype:
                raise _mismatch(f"grads{pytree.paths(params)[i]}", p, g)
            results.append(rule(p, g, like(rate, p), t, tuple(slot[i] for slot in kept)))
        new = {
            name: pytree.unflatten(structure, [result[1][j] for result in results])
            for j, name in enumerate(slots)
        }
        return pytree.unflatten(structure, [result[0] for result in results]), {"step": t} | new

    return Optimizer(init, update)


def _mismatch(name: str, p: Any, g: Any) -> Exception:
    if g.shape != p.shape:
        return ShapeError(
            f"{name}: expected shape {p.shape}, that of the parameter, got {g.shape}. "
            "Take grads and params from the same model."
        )
    return DTypeError(
        f"{name}: expected {p.dtype}, the dtype of the parameter, got {g.dtype}. "
        f"Convert the gradient with g.astype(np.{p.dtype})."
    )


def like(number: Any, parameter: Any) -> Any:
    """Return `number` in the dtype of `parameter`, so that it does not widen it."""
    # By type, not by isinstance: np.float64 is a float, and would widen float32.
    return number if type(number) in (int, float) else number.astype(parameter.dtype)


def check_positive(**values: float) -> None:
    """Raise ConfigError unless all of `values` are positive."""
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name}: expected a positive number, got {value}.")


def check_fraction(**values: float) -> None:
    """Raise ConfigError unless all of `values` are in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ConfigError(f"{name}: expected a number in [0, 1), got {value}.")


def _rate(learning_rate: LearningRate) -> Schedule:
    if callable(learning_rate):
        return learning_rate
    check_positive(learning_rate=learning_rate)
    value = float(learning_rate)
    return lambda step: value
