"""What a person sees while a model trains: a bar in a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pullback.train.callbacks import Callback, Row

REFRESH = 0.05
WIDE = 110
"""Columns of a terminal from which on a long bar leaves room for all the figures."""


class ProgressDisplay(Callback):
    """Shows epoch, loss, metric, samples per second and the time left, in one line."""

    def __init__(self, console: Console, metric: str) -> None:
        self.console = console
        self.metric = metric
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            # rich's own colour of a full bar is that of an empty one where there are 16 only
            BarColumn(bar_width=16 if console.width >= WIDE else 6, finished_style="green"),
            TextColumn("{task.fields[figures]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task: Any = None
        self._pending = 0
        self._shown = 0.0
        self._rest: list[str] = []

    def on_train_begin(self, trainer: Any, first_epoch: int, epochs: int, samples: int) -> None:
        self._samples, self._epochs, self._first = samples, epochs, first_epoch
        self._started = self._epoch_started = time.perf_counter()
        if self.console.is_terminal:
            self._task = self.bar.add_task("train", total=epochs, epoch="", figures="")
            self._show(min(first_epoch - 1, epochs), [])
            self.bar.start()

    def on_batch_end(self, trainer: Any, epoch: int, samples: int, loss: float) -> None:
        self._pending += samples
        now = time.perf_counter()
        if self._task is not None and now - self._shown > REFRESH:
            self._shown = now
            rate = self._pending / (now - self._epoch_started)
            rest = self._rest or [f"{rate:,.0f} samples/s"]
            self._show(epoch - 1 + self._pending / self._samples, [f"loss {loss:.4f}", *rest])

    def on_epoch_end(self, trainer: Any, row: Row) -> None:
        self._pending, self._epoch_started = 0, time.perf_counter()
        parts, done = figures(row, self.metric), int(row["epoch"])
        self._rest = parts[1:]
        if self._task is not None:
            self._show(done, parts)
            return
        every = max(1, self._epochs // 10)
        if done % every == 0 or done in (1, self._epochs):
            each = (time.perf_counter() - self._started) / (done - self._first + 1)
            left = each * (self._epochs - done)
            eta = f"  ETA {left:.0f} s" if done < self._epochs else ""
            place = f"{done:>{len(str(self._epochs))}}/{self._epochs}"
            self.console.print(f"epoch {place}  {'  '.join(parts)}{eta}", soft_wrap=True)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._task is not None:
            self.bar.stop()

    def _show(self, done: float, parts: list[str]) -> None:
        """Redraw the line; a narrow terminal loses figures, not the ends of them."""
        epoch = f"{min(int(done) + 1, self._epochs)}/{self._epochs}"
        bar: Any = self.bar.columns[1]
        others = len(f"epoch {epoch} {' ' * bar.bar_width} ETA 0:00:00 ") + 1
        line = "  ".join(fitting(parts, self.console.width - others))
        self.bar.update(self._task, completed=done, epoch=epoch, figures=line)


def figures(row: Row, metric: str) -> list[str]:
    """Return the figures of one epoch as texts.

    >>> figures({"train_loss": 0.5, "samples_per_second": 1000.0}, "r2")
    ['loss 0.5000', '1,000 samples/s']
    """
    parts = [f"loss {row['train_loss']:.4f}"]
    if "validation_loss" in row:
        parts.append(f"val {row['validation_loss']:.4f}")
        parts.append(f"{metric} {number(row[f'validation_{metric}'])}")
    parts.append(f"{row['samples_per_second']:,.0f} samples/s")
    return parts


def number(x: float) -> str:
    """Return `x` with four digits, and none after the point of what is large.

    >>> [number(x) for x in (0.5, 22907.3, 1.234567e-5)]
    ['0.5000', '22,907', '1.235e-05']
    """
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:#.4g}"


def fitting(parts: list[str], room: int) -> list[str]:
    """Return what of `parts` fits into `room` characters, two blanks between them.

    The loss on held-out rows goes first, then the speed, then the metric.

    >>> parts = ["loss 0.5000", "val 0.6000", "r2 0.7000", "1,000 samples/s"]
    >>> fitting(parts, 40)
    ['loss 0.5000', 'r2 0.7000', '1,000 samples/s']
    >>> fitting(parts, 20)
    ['loss 0.5000']
    """
    kept = list(parts)
    for place in (-3, -1, -1):
        if len("  ".join(kept)) > room and len(kept) >= max(2, -place):
            del kept[place]
    return kept
