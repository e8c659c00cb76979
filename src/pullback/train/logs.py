"""Logs of a run for other programs: TensorBoard's event files, CSV, JSON Lines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pullback.core.errors import ConfigError
from pullback.nn.stateful import partition
from pullback.train import tensor_file
from pullback.train.callbacks import Callback, Row
from pullback.train.files import write_atomically
from pullback.train.run import as_csv


class Log(Callback):
    """Keeps the figures of all epochs in a file: `.csv`, or `.jsonl` with one object a line.

    It is written anew after each epoch, atomically; of a resumed run it holds all epochs. JSON has
    no NaN: null stands for it. Raises ConfigError for other endings.

    >>> Log("run.txt")
    Traceback (most recent call last):
    pullback.core.errors.ConfigError: path: expected a name that ends in .csv or .jsonl, got run.txt
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix not in (".csv", ".jsonl"):
            raise ConfigError(f"path: expected a name that ends in .csv or .jsonl, got {path}")

    def on_train_begin(self, trainer: Any, first_epoch: int, epochs: int, samples: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Any, row: Row) -> None:
        made = as_csv if self.path.suffix == ".csv" else as_json_lines
        write_atomically(self.path, made(trainer.history))


class TensorBoard(Callback):
    """Writes event files for TensorBoard into `folder`: each epoch's figures, and histograms.

    Figures are named "loss/train", "loss/validation", and so on; the histograms are of each
    parameter, named by its place in the model as in "layers.0.weight"; `histograms=False` leaves
    them out.
    Raises ConfigError where the package tensorboardX is not installed.

    >>> import tempfile, pathlib
    >>> import numpy as np, pullback as pb
    >>> data = pb.train.Dataset(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    >>> model = pb.nn.Linear.create(pb.random.key(0), 2, 2)
    >>> trainer = pb.train.Trainer(model, "l1", pb.optim.sgd(0.1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = trainer.fit(data, epochs=2, callbacks=[TensorBoard(folder)])
    ...     [path.name[:19] for path in pathlib.Path(folder).iterdir()]
    ['events.out.tfevents']
    """

    def __init__(self, folder: str | Path, histograms: bool = True) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ConfigError(
                "TensorBoard: its files are written by tensorboardX, which is not installed: "
                'pip install "pullback[app]"'
            ) from None
        self.folder, self.histograms = Path(folder), histograms
        self._open = SummaryWriter
        self._writer: Any = None

    def on_train_begin(self, trainer: Any, first_epoch: int, epochs: int, samples: int) -> None:
        # what an earlier run wrote of these epochs before it was killed is not shown
        self._writer = self._open(str(self.folder), purge_step=first_epoch)

    def on_epoch_end(self, trainer: Any, row: Row) -> None:
        epoch = int(row["epoch"])
        for name, value in row.items():
            if name != "epoch":
                part, _, figure = name.partition("_")
                known = part in ("train", "validation")
                self._writer.add_scalar(f"{figure}/{part}" if known else name, value, epoch)
        parameters = partition(trainer.model)[0]
        if self.histograms:
            for name, leaf in tensor_file.named(parameters).items():
                self._writer.add_histogram(name, leaf, epoch)
        self._writer.flush()

    def on_train_end(self, trainer: Any, history: list[Row]) -> None:
        self._writer.close()


def as_json_lines(history: Sequence[Row]) -> bytes:
    """Return one JSON object a line.

    >>> as_json_lines([{"epoch": 1, "train_loss": float("nan")}])
    b'{"epoch": 1, "train_loss": null}\\n'
    """
    lines = (
        json.dumps({name: value if math.isfinite(value) else None for name, value in row.items()})
        for row in history
    )
    return "".join(f"{line}\n" for line in lines).encode()
