"""What the options of `pullback train` make: learning rates, optimizers, callbacks, weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pullback import optim
from pullback.core.errors import ConfigError
from pullback.optim import Adjustable, LearningRate, Optimizer, schedules

if TYPE_CHECKING:
    from pullback.cli.config import Config
    from pullback.train import Callback, Dataset, Stream

SCHEDULES: dict[str, Callable[[float, int], LearningRate]] = {
    "constant": lambda rate, steps: schedules.constant(rate),
    "cosine": lambda rate, steps: schedules.cosine(rate, steps),
    "linear": lambda rate, steps: schedules.linear(rate, steps),
    "step": lambda rate, steps: schedules.step_decay(rate, max(1, steps // 3)),
    "warmup-cosine": lambda rate, steps: schedules.warmup(
        max(1, steps // 20), schedules.cosine(rate, max(1, steps - steps // 20))
    ),
    "one-cycle": lambda rate, steps: schedules.one_cycle(rate, steps),
    "plateau": lambda rate, steps: Adjustable(rate),
}
ENDLESS = ("constant", "plateau")
"""Schedules that do not depend on the number of epochs."""


def decays(optimizer: str) -> bool:
    """Return whether an optimizer takes a weight decay.

    >>> decays("adamw"), decays("sgd")
    (True, False)
    """
    return "weight_decay" in inspect.signature(optim.OPTIMIZERS[optimizer]).parameters


def make_optimizer(config: Config, samples: int) -> Optimizer:
    """Return the optimizer with its schedule over all updates, and what wraps it."""
    batches = config.epochs * -(-samples // config.batch_size)
    rate = SCHEDULES[config.schedule](config.lr, max(1, batches // config.accumulate))
    optimizer = _of_rate(config, rate)
    if config.clip_norm is not None:
        optimizer = optim.clip_norm(optimizer, config.clip_norm)
    if config.accumulate > 1:
        optimizer = optim.accumulate(optimizer, config.accumulate)
    return optimizer if config.ema is None else optim.ema(optimizer, config.ema)


def _of_rate(config: Config, rate: LearningRate) -> Optimizer:
    make: Any = optim.OPTIMIZERS[config.optimizer]
    options: dict[str, Any] = {"decays": optim.is_weight} if decays(config.optimizer) else {}
    if config.weight_decay is not None:
        options["weight_decay"] = config.weight_decay
    return make(rate, **options)  # type: ignore[no-any-return]


def callbacks(config: Config) -> list[Callback]:
    """Return the callbacks that choose the model, end training, or lower the learning rate."""
    from pullback.train import BestModel, EarlyStopping, ReduceOnPlateau

    found: list[Callback] = []
    if config.schedule == "plateau":
        found.append(ReduceOnPlateau())
    if config.patience is not None:
        found.append(EarlyStopping(config.patience))
    elif config.keep_best:
        found.append(BestModel())
    return found


def weigh(config: Config, data: Dataset | Stream) -> Dataset | Stream:
    """Return the training data, their classes balanced if that is asked for."""
    if not config.balanced:
        return data
    if data.classes is None:
        raise ConfigError("--balanced: expected a classification, got numbers to predict")
    from pullback.train import Dataset

    if not isinstance(data, Dataset):
        raise ConfigError("--balanced: expected data in memory, got a stream; leave --window out")
    return data.class_weighted()


def find_rate(config: Config, model: Any, loss: str, data: Dataset | Stream, folder: Path) -> str:
    """Try learning rates, draw lr.png into `folder`, and return what to say."""
    from pullback.train import find_learning_rate

    found = find_learning_rate(
        model,
        loss,
        data,
        lambda rate: _of_rate(config, rate),
        batch_size=config.batch_size,
        seed=config.seed,
        l2=config.l2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    found.draw(folder / "lr.png")
    return f"try --lr {found.suggestion:.2g}; the curve is in {folder / 'lr.png'}"
