"""The learning-rate range test: which learning rates a model trains with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.checks import check_counts
from pullback.core.errors import ConfigError, DivergenceError
from pullback.nn.stateful import partition
from pullback.numpy import random
from pullback.optim.optimizer import LearningRate, Optimizer, check_optimizer
from pullback.optim.optimizers import adam
from pullback.optim.schedules import exponential
from pullback.train import curves
from pullback.train.curves import BLUE, ORANGE
from pullback.train.dataset import Dataset
from pullback.train.misfits import Loss, check_fit, find_loss
from pullback.train.step import make_step
from pullback.train.steps import Steps
from pullback.train.stream import Stream

SMOOTHING = 0.9
DIVERGED = 4.0
"""The test ends where the smoothed loss is this many times the least one before, if positive."""
LEAST_STEPS = 10
SAFETY = 10.0
"""By how much the suggestion is below the rate of the least smoothed loss."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """Learning rates that were tried one after the other, and the loss of the batch at each.

    `smoothed` is the running mean of `losses`, `suggestion` a learning rate to train with.
    """

    rates: Any
    losses: Any
    smoothed: Any
    suggestion: float

    def draw(self, path: str | Path) -> None:
        """Draw the loss over the learning rate, and write a PNG to `path`."""
        figure = curves.new_figure(5.6)
        axis = figure.subplots()
        axis.plot(self.rates, self.losses, color=BLUE, alpha=0.3, label="batch")
        axis.plot(self.rates, self.smoothed, color=BLUE, label="smoothed")
        axis.axvline(self.suggestion, color=ORANGE, label=f"suggestion {self.suggestion:.2g}")
        axis.set_xscale("log")
        before = self.smoothed[: np.argmin(self.smoothed) + 1]  # what diverges would hide the rest
        low, high = self.losses.min(), before.max()
        axis.set_ylim(low - 0.1 * (high - low), high + 0.3 * (high - low))
        curves.label(axis, "learning rate", "loss")
        curves.save(figure, Path(path))


def find_learning_rate(
    model: Any,
    loss: str | Loss,
    data: Dataset | Stream,
    optimizer: Callable[[LearningRate], Optimizer] = adam,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 200,
    batch_size: int = 32,
    seed: int = 0,
    l2: float = 0.0,
) -> RangeTest:
    """Train while the learning rate rises from step to step; `model` itself stays as it is.

    `optimizer` makes an optimizer of a learning rate, as those of `optim` do; `loss` is one of
    `Trainer`. The rate goes from `lowest` to `highest` by equal factors in `steps` minibatches; it
    ends before where the loss explodes. The suggestion is a tenth of the rate where the smoothed
    loss was least: there the loss still fell fast, and did not rise yet.
    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3;
    the tenth is that of Howard and Gugger, "Deep learning for coders", 2020, chapter 5.
    Raises ConfigError for options that do not fit, DivergenceError where no rate is low enough.

    >>> import pullback as pb
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> data = pb.train.Dataset(x, 3 * x + 1)
    >>> model = pb.nn.Linear.create(pb.random.key(0), 1, 1)
    >>> found = find_learning_rate(model, "mean_squared_error", data, pb.optim.sgd)
    >>> 0.001 < found.suggestion < 1
    True
    """
    if not 0 < lowest < highest:
        raise ConfigError(
            f"lowest: expected a rate above 0 and below highest, {highest}, got {lowest}"
        )
    check_counts(steps=steps, batch_size=batch_size)
    if steps < LEAST_STEPS:
        raise ConfigError(f"steps: expected {LEAST_STEPS} or more, got {steps}")
    check_fit(model, find_loss(loss), None, data, "data")
    rate_at = exponential(lowest, steps - 1, highest)
    if not callable(optimizer):
        raise ConfigError(
            "optimizer: expected a function that makes an optimizer from a learning rate, such as "
            f"pb.optim.adam, got {optimizer!r}"
        )
    chosen = optimizer(rate_at)
    check_optimizer(chosen)
    runs = Steps(make_step(find_loss(loss), chosen, l2), compiled=True)
    state = chosen.init(partition(model)[0])
    losses: list[float] = []
    for window, order in _windows(data, seed, batch_size):
        left = batch_size * (steps - len(losses))
        for stretch in runs.epoch(model, state, window, order[:left], batch_size):
            model, state, *_ = stretch
            losses += map(float, stretch.losses)
        smoothed = _smoothed(losses)
        if len(losses) == steps or not smoothed[-1] < _limit(np.min(smoothed)):
            break
    return _suggest(np.array([float(rate_at(i)) for i in range(len(losses))]), np.array(losses))


def _windows(data: Dataset | Stream, seed: int, batch_size: int) -> Iterator[tuple[Dataset, Any]]:
    """Yield windows and the orders of their rows, epoch after epoch, without end."""
    for epoch in itertools.count():
        yield from data.windows(random.fold_in(random.key(seed), epoch), batch_size)


def _smoothed(losses: list[float]) -> Any:
    """Return the running means, without the bias of their start at 0."""
    mean, found = 0.0, []
    for i, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**i))
    return np.array(found)


def _limit(least: Any) -> Any:
    """Return the loss that counts as diverged where `least` was reached, which may be negative."""
    return least + (DIVERGED - 1) * np.abs(least)


def _suggest(rates: Any, losses: Any) -> RangeTest:
    smoothed = _smoothed(list(losses))
    kept = np.isfinite(smoothed) & (smoothed <= _limit(np.minimum.accumulate(smoothed)))
    count = len(kept) if kept.all() else int(np.argmin(kept))
    if count < 2:
        raise DivergenceError(
            f"the loss was {losses[0]}, and {losses[-1]} at a learning rate of {rates[-1]:.2g}: "
            "even that is too high. Give a smaller `lowest`, and look at the data"
        )
    rates, losses, smoothed = rates[:count], losses[:count], smoothed[:count]
    best = float(rates[np.argmin(smoothed)])
    return RangeTest(rates, losses, smoothed, best / SAFETY)
