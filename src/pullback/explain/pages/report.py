"""The report of a training run: one interactive page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.errors import ConfigError, DataError
from pullback.explain.layers import LayerRecord, layer_warnings
from pullback.explain.pages.function import traced_data
from pullback.explain.pages.page import Page
from pullback.nn.calls import named_call
from pullback.nn.stateful import partition
from pullback.train.dataset import Dataset
from pullback.train.images import ImagePreprocessor
from pullback.train.misfits import check_data
from pullback.train.stream import Stream
from pullback.train.table import TablePreprocessor
from pullback.train.trainer import Trainer

GRAPH_ROWS = 32
"""Rows that the graph shows values and gradients of."""
POINTS = 1500
"""Rows that predictions are drawn of; more would only cover each other."""
MOST_CLASSES = 25


def report(
    trainer: Trainer,
    data: Dataset | Stream,
    *,
    layers: Sequence[LayerRecord] = (),
    preprocessing: TablePreprocessor | ImagePreprocessor | None = None,
    title: str = "Training run",
) -> Page:
    """Return the report of a trained model on `data`, which it was not trained on.

    It shows the learning curves; the confusion matrix, or predictions and residuals; warnings and
    histograms of `layers`, the records of a `LayerRecorder`; and the graph of the loss with the
    values and gradients of some rows. With `preprocessing` classes have names, and predictions are
    in the targets' own units.
    Raises DataError where there are no rows or no `Dataset` of them, ConfigError where `trainer` is
    no `Trainer` or `layers` are no records.

    >>> from pullback import nn, optim, random, train
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> data = train.Dataset(x, 3 * x + 1)
    >>> trainer = train.Trainer(nn.mlp(random.key(0), [1, 1]), "huber", optim.sgd(0.1))
    >>> _ = trainer.fit(data, data, epochs=2)
    >>> sorted(report(trainer, data).content)
    ['curves', 'facts', 'graph', 'layers', 'regression', 'warnings']
    """
    if not isinstance(trainer, Trainer):
        raise ConfigError(f"trainer: expected a train.Trainer, got {type(trainer).__name__}")
    check_data(data, "data")
    if not all(isinstance(record, LayerRecord) for record in layers):
        raise ConfigError("layers: expected the records of a LayerRecorder, recorder.records")
    if len(data) == 0:
        raise DataError("data: expected at least one row to report on, got none")
    outputs, targets = trainer.outputs(data)
    content: dict[str, Any] = {
        "facts": _facts(trainer, data),
        "warnings": [asdict(w) for w in layer_warnings(layers[-1].layers)] if layers else [],
        "curves": _curves(trainer),
        "layers": _layers(layers),
        "graph": _graph(trainer, data),
    }
    if data.classes is not None and np.shape(outputs) == (len(data), data.classes):
        names = preprocessing.targets[0].classes if preprocessing else None
        content["confusion"] = _confusion(outputs, targets, names)
    elif data.classes is None and np.shape(outputs) == np.shape(targets):
        units = preprocessing if isinstance(preprocessing, TablePreprocessor) else None
        content["regression"] = _regression(outputs, targets, units)
    return Page(title, content)


def _facts(trainer: Trainer, data: Dataset | Stream) -> list[tuple[str, str]]:
    size = sum(np.size(leaf) for leaf in pytree.leaves(partition(trainer.model)[0]))
    found = [("parameters", f"{size:,}"), ("loss", trainer.loss_name.replace("_", " "))]
    if trainer.history:
        last = trainer.history[-1]
        found.append(("epochs", str(len(trainer.history))))
        found.append(("training time", f"{sum(row['seconds'] for row in trainer.history):.1f} s"))
        for key, label in (("train_loss", "training loss"), ("validation_loss", "validation loss")):
            if key in last:
                found.append((label, f"{last[key]:.4g}"))
        key = f"validation_{trainer.metric_name}"
        if key in last:
            choose = max if trainer.metric is None or trainer.metric.higher_is_better else min
            best = choose(trainer.history, key=lambda row: row[key])
            when = f"best {best[key]:.4f} in epoch {best['epoch']:.0f}"
            found.append((_title(key), f"{last[key]:.4f}, {when}"))
    return [*found, ("rows held out", f"{len(data):,}")]


def _curves(trainer: Trainer) -> dict[str, Any] | None:
    history = trainer.history
    if not history:
        return None
    parts = [key.partition("_") for key in history[0]]
    names = dict.fromkeys(name for part, _, name in parts if part in ("train", "validation"))

    def values(part: str, name: str) -> list[float | None] | None:
        column = [row.get(f"{part}_{name}") for row in history]
        return None if all(value is None for value in column) else column

    panels = []
    for name in names:
        train, validation = values("train", name), values("validation", name)
        known = [v for v in [*(train or []), *(validation or [])] if v is not None]
        log = name == "loss" and min(known) > 0 and max(known) > 20 * min(known)
        label = _title(name) + (" (logarithmic)" if log else "")
        panels.append({"name": label, "log": log, "train": train, "validation": validation})
    return {"epochs": [int(row["epoch"]) for row in history], "panels": panels}


def _title(name: str) -> str:
    return name.replace("_", " ").replace("r2", "R²")


def _confusion(outputs: Any, labels: Any, names: Sequence[str] | None) -> dict[str, Any]:
    k = outputs.shape[1]
    counts = np.zeros((k, k), int)
    np.add.at(counts, (labels, np.argmax(outputs, axis=1)), 1)
    right = np.trace(counts)
    note = f"{right:,} of {len(labels):,} rows held out are right ({right / len(labels):.2%})."
    shown = np.arange(k)
    if k > MOST_CLASSES:
        wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
        shown = np.sort(np.argsort(-wrong)[:MOST_CLASSES])
        note += f" Shown are the {MOST_CLASSES} of {k} classes that are mistaken most often."
    return {
        "note": note,
        "classes": [str(names[i] if names else i) for i in shown],
        "counts": counts[np.ix_(shown, shown)].tolist(),
    }


def _regression(
    outputs: Any, targets: Any, preprocessing: TablePreprocessor | None
) -> dict[str, Any]:
    count = len(targets)
    predicted, truth = outputs.reshape(count, -1), targets.reshape(count, -1)
    names = [f"target {i}" for i in range(truth.shape[1])] if truth.shape[1] > 1 else ["target"]
    if preprocessing is not None:
        predicted, truth = preprocessing.in_units(predicted), preprocessing.in_units(truth)
        names = [target.name for target in preprocessing.targets]
    rows = np.unique(np.linspace(0, count - 1, min(POINTS, count)).astype(int))
    shown = f", {len(rows):,} of which are shown" if len(rows) < count else ""
    return {
        "note": f"On {count:,} rows held out{shown}.",
        "targets": [
            {
                "name": name,
                "truth": truth[rows, i].tolist(),
                "predicted": predicted[rows, i].tolist(),
            }
            for i, name in enumerate(names)
        ],
    }


def _layers(records: Sequence[LayerRecord]) -> dict[str, Any] | None:
    if not records:
        return None
    by_path = [{layer.path: asdict(layer) for layer in record.layers} for record in records]
    rows = [
        {"path": layer.path, "kind": layer.kind, "records": [r.get(layer.path) for r in by_path]}
        for layer in records[-1].layers
    ]
    note = (
        "Taken on a batch as a training step would see it. The table shows the last record, with "
        "the course since the first; choose a layer to see its histograms over the epochs. Dead "
        "units are rectifiers that are 0 for every row; step / weights is the norm of the "
        "optimizer's next step over that of the weights, about 0.001 where training goes well."
    )
    return {"note": note, "epochs": [record.epoch for record in records], "rows": rows}


def _graph(trainer: Trainer, data: Dataset | Stream) -> dict[str, Any]:
    def objective(model: Any, inputs: Any, targets: Any) -> Any:
        return named_call("loss", trainer.loss_name, trainer.loss, model(inputs), targets)

    rows = data.trial()
    inputs, targets = rows.inputs[:GRAPH_ROWS], rows.targets[:GRAPH_ROWS]
    return traced_data(objective, trainer.predictor, inputs, targets)
