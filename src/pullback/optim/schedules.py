"""Learning-rate schedules: functions of the number of updates made so far, 0 at the first.

They have no Python branch on the step, so that they can be traced with the step as an argument.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core.errors import ConfigError
from pullback.optim.optimizer import LearningRate, Schedule, check_positive


def constant(value: float) -> Schedule:
    """Return the schedule that is always `value`.

    >>> constant(0.1)(1000)
    0.1
    """
    check_positive(value=value)
    number = float(value)
    return lambda step: number


def step_decay(initial: float, every: int, factor: float = 0.1) -> Schedule:
    """Return initial * factor^floor(step / every).

    >>> [round(float(step_decay(1.0, every=10)(step)), 4) for step in (0, 9, 10, 25)]
    [1.0, 1.0, 0.1, 0.01]
    """
    check_positive(initial=initial, every=every, factor=factor)

    def schedule(step: Any) -> Any:
        return initial * np.power(float(factor), np.floor_divide(step, every))

    return schedule


def cosine(initial: float, steps: int, final: float = 0.0) -> Schedule:
    """Return final + (initial - final) (1 + cos(pi step / steps)) / 2, `final` after `steps`.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR
    2017, equation 5, without restarts.

    >>> [round(float(cosine(1.0, steps=10)(step)), 4) for step in (0, 5, 10, 99)]
    [1.0, 0.5, 0.0, 0.0]
    """
    check_positive(initial=initial, steps=steps)
    if not final >= 0:
        raise ConfigError(f"final: expected a number >= 0, got {final}.")

    def schedule(step: Any) -> Any:
        angle = np.minimum(step, steps) * (math.pi / steps)
        return final + (initial - final) * 0.5 * (1 + np.cos(angle))

    return schedule


def warmup(steps: int, then: LearningRate) -> Schedule:
    """Return a schedule that rises linearly to `then` over `steps` updates, then follows it.

    `then` is a number or a schedule, which starts when the rise ends; the update of index i < steps
    takes (i + 1) / steps of its first value.
    Source: Goyal et al., "Accurate, large minibatch SGD", arXiv:1706.02677, section 2.2.

    >>> [round(float(warmup(4, then=0.8)(step)), 4) for step in (0, 1, 3, 10)]
    [0.2, 0.4, 0.8, 0.8]
    """
    check_positive(steps=steps)
    after = then if callable(then) else constant(then)

    def schedule(step: Any) -> Any:
        return np.minimum((step + 1) * (1 / steps), 1.0) * after(np.maximum(step - steps, 0))

    return schedule
