"""Floor 5, optimizers and learning-rate schedules: pure functions over pytrees."""

from __future__ import annotations

from pullback.optim.minimize import Minimum, minimize
from pullback.optim.optimizer import LearningRate, Optimizer, Schedule
from pullback.optim.optimizers import (
    OPTIMIZERS,
    adagrad,
    adam,
    adamw,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)
from pullback.optim.schedules import constant, cosine, step_decay, warmup

__all__ = [
    "OPTIMIZERS",
    "LearningRate",
    "Minimum",
    "Optimizer",
    "Schedule",
    "adagrad",
    "adam",
    "adamw",
    "constant",
    "cosine",
    "minimize",
    "momentum",
    "nesterov",
    "rmsprop",
    "sgd",
    "step_decay",
    "warmup",
]
