"""Learning-rate schedules: functions of the number of updates made so far, 0 at the first.

They have no Python branch on the step, so that they can be traced with the step as an argument.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core.checks import check_positive
from pullback.core.errors import ConfigError
from pullback.optim.optimizer import Schedule


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
    _check_final(final)
    return lambda step: _between(initial, final, np.minimum(step, steps) / steps)


def warmup(steps: int, then: float | Schedule) -> Schedule:
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


def linear(initial: float, steps: int, final: float = 0.0) -> Schedule:
    """Return the line from `initial` to `final` over `steps` updates, `final` after them.

    >>> [float(linear(1.0, steps=10, final=0.5)(step)) for step in (0, 5, 10, 99)]
    [1.0, 0.75, 0.5, 0.5]
    """
    check_positive(initial=initial, steps=steps)
    _check_final(final)
    return lambda step: initial + (final - initial) * np.minimum(step, steps) / steps


def exponential(initial: float, steps: int, final: float) -> Schedule:
    """Return initial (final / initial)^(step / steps), `final` after `steps` updates.

    >>> [round(float(exponential(1.0, steps=10, final=1e-4)(step)), 6) for step in (0, 5, 10, 99)]
    [1.0, 0.01, 0.0001, 0.0001]
    """
    check_positive(initial=initial, steps=steps, final=final)
    ratio = final / initial
    return lambda step: initial * np.power(ratio, np.minimum(step, steps) / steps)


def one_cycle(peak: float, steps: int, rise: float = 0.3) -> Schedule:
    """Return a cosine from peak / 25 up to `peak`, and one down to peak / 250,000 at the end.

    The share `rise` of the `steps` goes up. The rate at update i is that of i / (steps - 1).
    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", arXiv:1708.07120; the numbers are those of PyTorch's OneCycleLR.

    >>> [round(float(one_cycle(1.0, steps=10)(step)), 3) for step in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """
    check_positive(peak=peak, steps=steps)
    if not 0 < rise < 1:
        raise ConfigError(f"rise: expected a share between 0 and 1, got {rise}.")
    start, top, end = peak / 25, rise * steps - 1, steps - 1

    def schedule(step: Any) -> Any:
        up = _between(start, peak, step / top) if top > 0 else peak
        down = _between(peak, start / 1e4, (np.minimum(step, end) - top) / max(end - top, 1))
        return np.where(step <= top, up, down)

    return schedule


def _between(first: float, last: float, share: Any) -> Any:
    """Return a cosine from `first` at share 0 to `last` at share 1."""
    return last + (first - last) * 0.5 * (1 + np.cos(math.pi * share))


def _check_final(final: float) -> None:
    if not final >= 0:
        raise ConfigError(f"final: expected a number >= 0, got {final}.")
