"""Floor 5, optimizers and learning-rate schedules: pure functions over pytrees."""

from __future__ import annotations

from pullback.optim.lbfgs import lbfgs
from pullback.optim.minimize import Minimum, minimize
from pullback.optim.optimizer import (
    Adjustable,
    LearningRate,
    Optimizer,
    Schedule,
    adjust,
    is_weight,
)
from pullback.optim.optimizers import (
    OPTIMIZERS,
    adagrad,
    adam,
    adamw,
    lamb,
    lion,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)
from pullback.optim.schedules import (
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    step_decay,
    warmup,
)
from pullback.optim.wrappers import accumulate, clip_norm, clip_value, ema, grouped

__all__ = [
    "OPTIMIZERS", "Adjustable", "LearningRate", "Minimum", "Optimizer", "Schedule", "accumulate",
    "adagrad", "adam", "adamw", "adjust", "clip_norm", "clip_value", "constant", "cosine", "ema",
    "exponential", "grouped", "is_weight", "lamb", "lbfgs", "linear", "lion", "minimize",
    "momentum", "nesterov", "one_cycle", "rmsprop", "sgd", "step_decay", "warmup",
]  # fmt: skip
