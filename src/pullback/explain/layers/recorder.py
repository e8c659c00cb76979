"""Layer statistics while a network trains, kept in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.checks import check_counts
from pullback.core.errors import CheckpointError
from pullback.explain.layers.spread import Spread
from pullback.explain.layers.statistics import Layer, layer_statistics
from pullback.explain.layers.warnings import LayerWarning, layer_warnings
from pullback.train.callbacks import Callback, Row
from pullback.train.dataset import Dataset
from pullback.train.files import write_atomically
from pullback.train.misfits import check_data

LAYERS = "layers.json"
"""The file in a run's folder."""
RECORDS = 20
"""About how many records a run keeps by default."""


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """The statistics of all layers after `epoch`; 0 is before the first."""

    epoch: int
    layers: tuple[Layer, ...]


class LayerRecorder(Callback):
    """Takes the statistics of every layer before training, then every so many epochs, and at last.

    They are taken on up to `rows` rows of `data`, evenly spaced, each time at the cost of one step
    on these by NumPy. `every` is a number of epochs (default: such that there are about 20
    records). With `folder`, that of the run, they are kept there in layers.json, and a run that is
    resumed goes on with them.
    Raises ConfigError where a number is no whole one of 1 or more, DataError where `data` is no
    `Dataset`, CheckpointError where the file to go on with is damaged.

    >>> from pullback import nn, optim, random, train
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> data = train.Dataset(x, x**2)
    >>> model = nn.mlp(random.key(0), [1, 8, 1])
    >>> trainer, recorder = train.Trainer(model, "huber", optim.sgd(0.1)), LayerRecorder(data)
    >>> _ = trainer.fit(data, epochs=2, callbacks=[recorder])
    >>> [record.epoch for record in recorder.records], recorder.warnings
    ([0, 1, 2], [])
    """

    def __init__(
        self,
        data: Dataset,
        *,
        every: int | None = None,
        rows: int = 256,
        folder: str | Path | None = None,
    ) -> None:
        check_counts(every=1 if every is None else every, rows=rows)
        check_data(data, "data", Dataset)
        chosen = np.unique(np.linspace(0, len(data) - 1, min(rows, len(data))).astype(int))
        self.inputs, self.targets = data.inputs[chosen], data.targets[chosen]
        self.every = every
        self.path = Path(folder) / LAYERS if folder is not None else None
        self.records: list[LayerRecord] = []

    @property
    def warnings(self) -> list[LayerWarning]:
        """What is wrong according to the last record."""
        return layer_warnings(self.records[-1].layers) if self.records else []

    def on_train_begin(self, trainer: Any, first_epoch: int, epochs: int, samples: int) -> None:
        if self.every is None:
            self.every = max(1, round(epochs / RECORDS))
        if first_epoch == 1:
            self.records = []
            self._record(trainer, 0)
        elif self.path is not None and self.path.exists():
            self.records = [r for r in read_layers(self.path) if r.epoch < first_epoch]

    def on_epoch_end(self, trainer: Any, row: Row) -> None:
        if self.every is not None and int(row["epoch"]) % self.every == 0:
            self._record(trainer, int(row["epoch"]))

    def on_train_end(self, trainer: Any, history: Sequence[Row]) -> None:
        if history and (not self.records or self.records[-1].epoch != int(history[-1]["epoch"])):
            self._record(trainer, int(history[-1]["epoch"]))

    def _record(self, trainer: Any, epoch: int) -> None:
        layers = layer_statistics(
            trainer.model,
            trainer.loss,
            self.inputs,
            self.targets,
            optimizer=trainer.optimizer,
            state=trainer.state,
        )
        self.records.append(LayerRecord(epoch, tuple(layers)))
        if self.path is not None:
            content = {"pullback": 1, "records": [asdict(record) for record in self.records]}
            write_atomically(self.path, json.dumps(content).encode())


def read_layers(path: str | Path) -> list[LayerRecord]:
    """Return the records in a layers.json. Raises CheckpointError where it is not readable."""
    try:
        content = json.loads(Path(path).read_text())
        return [_record(record) for record in content["records"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: is not a readable record of layers ({error!r}); remove it, and the report "
            "does without"
        ) from None


def _record(record: dict[str, Any]) -> LayerRecord:
    return LayerRecord(int(record["epoch"]), tuple(_layer(dict(row)) for row in record["layers"]))


def _layer(row: dict[str, Any]) -> Layer:
    for name in ("weight", "gradient", "activation", "delta"):
        if row[name] is not None:
            row[name] = Spread(**{**row[name], "counts": tuple(map(int, row[name]["counts"]))})
    return Layer(**row)
