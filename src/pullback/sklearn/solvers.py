"""scikit-learn's solvers, with their settings as arguments: no setting asks for new machine code.

Their recurrences are scikit-learn's own, which differ from those of `pullback.optim` in where
epsilon and the learning rate stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.errors import ConfigError
from pullback.optim.optimizer import (
    Adjustable,
    At,
    LearningRate,
    Optimizer,
    Schedule,
    Slots,
    like,
    per_leaf,
)
from pullback.optim.optimizers import OPTIMIZERS

Settings = dict[str, Any]
"""Numbers that the step takes as arguments, by name: rate, alpha, and those of the solver."""
Solver = Callable[[Settings], Optimizer]


def numbers(**values: float) -> Settings:
    """Return settings as arguments of a step."""
    return {name: np.array(value, np.float64) for name, value in values.items()}


def adam(settings: Settings) -> Optimizer:
    """Adam: m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - r_t m / (sqrt(v) + eps).

    r_t = rate sqrt(1 - b2^t) / (1 - b1^t). Source: Kingma and Ba, "Adam: a method for stochastic
    optimization", ICLR 2015, the form at the end of section 2.
    """
    beta_1, beta_2 = settings["beta_1"], settings["beta_2"]

    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        m = like(beta_1, p) * slots[0] + like(1 - beta_1, p) * g
        v = like(beta_2, p) * slots[1] + like(1 - beta_2, p) * (g * g)
        corrected = like(settings["rate"] * np.sqrt(1 - beta_2**at.t) / (1 - beta_1**at.t), p)
        return p - corrected * m / (np.sqrt(v) + like(settings["epsilon"], p)), (m, v)

    return per_leaf(rule, lambda step: settings["rate"], ("mean", "square"))


def sgd(settings: Settings) -> Optimizer:
    """Gradient descent with momentum m: v <- m v - r g, p <- p + v."""
    return _descent(settings, nesterov=False)


def nesterov(settings: Settings) -> Optimizer:
    """Nesterov's momentum m: v <- m v - r g, p <- p + m v - r g."""
    return _descent(settings, nesterov=True)


def _descent(settings: Settings, nesterov: bool) -> Optimizer:
    def rule(p: Any, g: Any, at: At, slots: Slots) -> tuple[Any, Slots]:
        m = like(settings["momentum"], p)
        v = m * slots[0] - at.rate * g
        return p + (m * v - at.rate * g if nesterov else v), (v,)

    return per_leaf(rule, lambda step: settings["rate"], ("velocity",))


@dataclass(frozen=True)
class Stepper:
    """The solver of `make`, one of `pullback.optim` or a function that makes one from a rate.

    The rate is a setting, or follows `schedule`.
    """

    make: Callable[[LearningRate], Optimizer]
    schedule: Schedule | Adjustable | None = None

    def __call__(self, settings: Settings) -> Optimizer:
        """Return the optimizer for a step; ConfigError for one that averages the parameters."""
        optimizer = self.make(self.schedule or (lambda step: settings["rate"]))
        if optimizer.final is not Optimizer._field_defaults["final"]:
            raise ConfigError(
                "optimizer: one that averages the parameters, as optim.ema does, is not for the "
                "estimators, whose predictions are those of the last parameters; take train.Trainer"
            )
        return optimizer


def stepper(optimizer: str | Callable[[LearningRate], Optimizer], rate: LearningRate) -> Stepper:
    """Return the solver of an optimizer by name or by function; ConfigError for other ones."""
    make = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else optimizer
    if not callable(make):
        raise ConfigError(
            f"optimizer: expected one of {', '.join(OPTIMIZERS)}, or a function that makes an "
            f"optimizer from a learning rate, such as pb.optim.adamw, got {optimizer!r}"
        )
    return Stepper(make, None if isinstance(rate, int | float | np.number) else rate)
