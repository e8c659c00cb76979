"""What a person sees while a model trains: a bar in a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from pullback.train.callbacks import Callback, Row

REFRESH = 0.05


class ProgressDisplay(Callback):
    """Shows epoch, loss, metric, samples per second and the time left."""

    def __init__(self, console: Console, metric: str) -> None:
        self.console = console
        self.metric = metric
        self.bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: Any = None
        self._samples = 0
        self._pending = 0
        self._shown = 0.0
        self._figures = ""

    def on_train_begin(self, trainer: Any, first_epoch: int, epochs: int, samples: int) -> None:
        self._samples, self._epochs = samples, epochs
        if self.console.is_terminal:
            self._task = self.bar.add_task(
                "train", total=epochs, completed=first_epoch - 1, figures=""
            )
            self.bar.start()

    def on_batch_end(self, trainer: Any, epoch: int, samples: int, loss: float) -> None:
        self._pending += samples
        now = time.perf_counter()
        if self._task is not None and now - self._shown > REFRESH:
            self._shown = now
            done = epoch - 1 + min(self._pending / self._samples, 1.0)
            self.bar.update(self._task, completed=int(done), figures=self._figures or f"{loss:.4f}")

    def on_epoch_end(self, trainer: Any, row: Row) -> None:
        self._pending = 0
        self._figures = figures(row, self.metric)
        if self._task is not None:
            self.bar.update(self._task, completed=row["epoch"], figures=self._figures)
        else:
            every = max(1, self._epochs // 10)
            if row["epoch"] % every == 0 or row["epoch"] in (1, self._epochs):
                self.console.print(f"epoch {row['epoch']:>3}/{self._epochs}  {self._figures}")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._task is not None:
            self.bar.stop()


def figures(row: Row, metric: str) -> str:
    """Return the figures of one epoch in a line."""
    parts = [f"loss {row['train_loss']:.4f}"]
    if "validation_loss" in row:
        parts.append(f"val {row['validation_loss']:.4f}")
        parts.append(f"{metric} {row[f'validation_{metric}']:.4f}")
    parts.append(f"{row['samples_per_second']:,.0f} samples/s")
    return "  ".join(parts)
