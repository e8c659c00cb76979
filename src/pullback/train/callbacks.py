"""What may look on while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pullback.core.errors import ConfigError

if TYPE_CHECKING:
    from pullback.train.trainer import Trainer

Row = dict[str, float]


class Callback:
    """Override what is of interest; every method does nothing by default.

    What a method raises ends the training; whole epochs stay.

    >>> class Announce(Callback):
    ...     def on_epoch_end(self, trainer, row):
    ...         print(f"epoch {row['epoch']:.0f}: loss {row['train_loss']:.2f}")
    >>> Announce().on_epoch_end(None, {"epoch": 1, "train_loss": 0.5})
    epoch 1: loss 0.50
    """

    def on_train_begin(self, trainer: Trainer, first_epoch: int, epochs: int, samples: int) -> None:
        """Training starts at `first_epoch` (1 for a new run); an epoch has `samples` rows."""

    def on_batch_end(self, trainer: Trainer, epoch: int, samples: int, loss: float) -> None:
        """A step on `samples` rows is done; `loss` is its loss."""

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """An epoch is done and saved; `row` is what metrics.csv holds of it."""

    def on_train_end(self, trainer: Trainer, history: list[Row]) -> None:
        """Training is done."""


def check_callbacks(callbacks: Any) -> None:
    """Raise ConfigError unless `callbacks` are a list of them."""
    if not isinstance(callbacks, Sequence) or not all(isinstance(c, Callback) for c in callbacks):
        raise ConfigError(
            f"callbacks: expected a list of objects of train.Callback, got {callbacks!r}"
        )


class Recorder(Callback):
    """Keeps every batch's loss, for looking at a run closely.

    >>> recorder = Recorder()
    >>> recorder.losses
    []
    """

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_batch_end(self, trainer: Any, epoch: int, samples: int, loss: float) -> None:
        self.losses.append(loss)
