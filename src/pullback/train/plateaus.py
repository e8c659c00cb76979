"""Callbacks that watch a figure: keep the best model, stop early, lower the learning rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pullback.core.checks import check_counts
from pullback.core.errors import CheckpointError, ConfigError
from pullback.optim.optimizer import adjust
from pullback.train import checkpoint, run
from pullback.train.callbacks import Callback, Row

if TYPE_CHECKING:
    from pullback.train.trainer import Trainer

Mode = Literal["min", "max"]


class Watch:
    """The best value of a figure so far, and for how many epochs there was none better.

    A value is better by more than `min_delta` only; NaN is not.

    >>> watch = Watch("train_loss", "min", min_delta=0.1)
    >>> [watch.improves({"train_loss": loss, "epoch": i}) for i, loss in enumerate([3, 1, 0.95])]
    [True, True, False]
    >>> watch.value, watch.epoch, watch.stale
    (1, 1, 1)
    """

    def __init__(self, monitor: str, mode: Mode, min_delta: float = 0.0) -> None:
        self.monitor, self.min_delta = monitor, min_delta
        self._sign = 1 if mode == "min" else -1
        self.value = self._sign * math.inf
        self.epoch = self.stale = 0

    def improves(self, row: Row) -> bool:
        """Look at an epoch's figures, and return whether they are the best so far."""
        better = self._sign * row[self.monitor] < self._sign * self.value - self.min_delta
        if better:
            self.value, self.epoch, self.stale = row[self.monitor], int(row["epoch"]), 0
        else:
            self.stale += 1
        return better


class BestModel(Callback):
    """Keeps the model of the best epoch, and gives it to the trainer when training ends.

    `monitor` is a column of metrics.csv; the least is best, or with `mode="max"` the most. By
    default losses are to be small, and the metric what it says itself. A run with a folder has the
    best model in best.safetensors while it lasts, and in model.safetensors at the end; the
    checkpoint stays that of the last epoch, and resuming gives the same best model.
    Raises ConfigError, before training, where there is no such column.

    >>> import numpy as np, pullback as pb
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> data = pb.train.Dataset(x, 3 * x)
    >>> model = pb.nn.Linear.create(pb.random.key(0), 1, 1)
    >>> trainer = pb.train.Trainer(model, "mean_squared_error", pb.optim.sgd(0.1))
    >>> best = BestModel("train_loss")
    >>> history = trainer.fit(data, epochs=3, callbacks=[best])
    >>> best.epoch
    3
    """

    def __init__(
        self, monitor: str = "validation_loss", mode: Mode | None = None, min_delta: float = 0.0
    ) -> None:
        if mode not in ("min", "max", None):
            raise ConfigError(f"mode: expected 'min', 'max' or None, got {mode!r}")
        if not 0 <= min_delta < math.inf:
            raise ConfigError(f"min_delta: expected a finite number of 0 or more, got {min_delta}")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self._trainer: Trainer | None = None
        self._kept: tuple[int, Any, Any] | None = None

    @property
    def epoch(self) -> int:
        """The best epoch so far; 0 before the first."""
        return self._kept[0] if self._kept else 0

    @property
    def stale(self) -> int:
        """The number of epochs since the best one."""
        return self._watch.stale

    def on_train_begin(self, trainer: Trainer, first_epoch: int, epochs: int, samples: int) -> None:
        self._watch = watch_of(trainer, self.monitor, self.mode, self.min_delta)
        for row in trainer.history:
            self._watch.improves(row)
        if trainer is not self._trainer or not trainer.history:
            self._trainer, self._kept = trainer, None
        if self.epoch == self._watch.epoch:
            return
        if trainer.folder is None:  # the epochs so far were trained without this callback
            self._watch = watch_of(trainer, self.monitor, self.mode, self.min_delta)
        elif self._watch.epoch == len(trainer.history):
            self._keep(trainer)  # a kill may have come between the checkpoint and the best model
        else:
            self._load(trainer, trainer.folder / run.BEST)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        if self._watch.improves(row):
            self._keep(trainer)

    def on_train_end(self, trainer: Trainer, history: list[Row]) -> None:
        if self._kept is not None:
            _, trainer.model, trainer.state = self._kept

    def _keep(self, trainer: Trainer) -> None:
        self._kept = self._watch.epoch, trainer.model, trainer.state
        if trainer.folder is not None:
            trees = {"model": trainer.model, "state": trainer.state}
            checkpoint.save(trainer.folder / run.BEST, trees, {"epoch": self._watch.epoch})

    def _load(self, trainer: Trainer, path: Path) -> None:
        trees, info = checkpoint.load(path, {"model": trainer.model, "state": trainer.state})
        if info.get("epoch") != self._watch.epoch:
            raise CheckpointError(
                f"{path}: expected the model of epoch {self._watch.epoch}, the best by "
                f"{self.monitor}, got that of epoch {info.get('epoch')}; a run resumes with the "
                "callbacks it began with"
            )
        self._kept = self._watch.epoch, trees["model"], trees["state"]


class EarlyStopping(Callback):
    """Ends training when a figure has not become better for `patience` epochs.

    The trainer is then given the best model. The options are those of `BestModel`. A run that is
    resumed stops in the same epoch as one that was never interrupted.
    Source: Prechelt, "Early stopping - but when?", in Neural networks: tricks of the trade, 1998.

    >>> EarlyStopping(patience=0)
    Traceback (most recent call last):
    pullback.core.errors.ConfigError: patience: expected a whole number of 1 or more, got 0
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str = "validation_loss",
        mode: Mode | None = None,
        min_delta: float = 0.0,
    ) -> None:
        check_counts(patience=patience)
        self.patience, self.best = patience, BestModel(monitor, mode, min_delta)

    def on_train_begin(self, trainer: Trainer, first_epoch: int, epochs: int, samples: int) -> None:
        self.best.on_train_begin(trainer, first_epoch, epochs, samples)
        self._stop_if_stale(trainer)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        self.best.on_epoch_end(trainer, row)
        self._stop_if_stale(trainer)

    def on_train_end(self, trainer: Trainer, history: list[Row]) -> None:
        self.best.on_train_end(trainer, history)

    def _stop_if_stale(self, trainer: Trainer) -> None:
        if self.best.stale >= self.patience:
            trainer.stop(
                f"{self.best.monitor} was best in epoch {self.best.epoch}, and not better in "
                f"{self.patience} epochs since"
            )


class ReduceOnPlateau(Callback):
    """Multiplies the learning rate by `factor` where a figure is not better for `patience` epochs.

    The optimizer's learning rate has to be `optim.Adjustable`. `monitor`, `mode` and `min_delta`
    are those of `BestModel`. Raises ConfigError, before training, where the rate is fixed.

    >>> ReduceOnPlateau(factor=2.0)
    Traceback (most recent call last):
    pullback.core.errors.ConfigError: factor: expected a number between 0 and 1, got 2.0
    """

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 5,
        monitor: str = "validation_loss",
        mode: Mode | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ConfigError(f"factor: expected a number between 0 and 1, got {factor}")
        check_counts(patience=patience)
        self.factor, self.patience = factor, patience
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta

    def on_train_begin(self, trainer: Trainer, first_epoch: int, epochs: int, samples: int) -> None:
        self._watch = watch_of(trainer, self.monitor, self.mode, self.min_delta)
        self._times = 0
        for row in trainer.history:
            self._look(row)
        trainer.state = adjust(trainer.state, self.factor**self._times)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        if self._look(row):
            trainer.state = adjust(trainer.state, self.factor**self._times)

    def _look(self, row: Row) -> bool:
        if self._watch.improves(row) or self._watch.stale < self.patience:
            return False
        self._times, self._watch.stale = self._times + 1, 0
        return True


def watch_of(trainer: Trainer, monitor: str, mode: Mode | None, min_delta: float) -> Watch:
    """Return the watch for a figure of `trainer`; raise ConfigError where it has no such."""
    if monitor not in trainer.columns:
        hint = " (give fit validation data)" if monitor.startswith("validation_") else ""
        raise ConfigError(
            f"monitor: expected one of {', '.join(trainer.columns)}, got {monitor!r}{hint}"
        )
    return Watch(monitor, mode or trainer.better(monitor), min_delta)
