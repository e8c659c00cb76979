"""What a person sees after training: data, network, figures, and where everything lies."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pullback.cli.config import Config
from pullback.cli.progress import number
from pullback.core import pytree
from pullback.train import Source, TablePreprocessor, Trainer
from pullback.train.metrics import mae, rmse

FORMS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", "{:.2%}".format),
    "r2": ("R²", "{:.3f}".format),
}


def describe(data: Source, name: str) -> str:
    """Return what is learned from what, in a line."""
    preprocessing = data.preprocessing
    targets = ", ".join(target.name for target in preprocessing.targets)
    return (
        f"{name}: {len(data.train):,} rows to train, {len(data.validation):,} held out; "
        f"{preprocessing.task} of {targets} from {_size(preprocessing)} inputs"
    )


def rows(
    trainer: Trainer, config: Config, data: Source, folder: Path, took: str
) -> list[tuple[str, str]]:
    """Return the summary as pairs of label and text."""
    preprocessing, history = data.preprocessing, trainer.history
    widths = [_size(preprocessing), *config.hidden, preprocessing.outputs]
    parameters = sum(leaf.size for leaf in pytree.leaves(trainer.model))
    layers = " - ".join(map(str, widths))
    found = [
        ("network", f"{layers}, {config.activation}, {parameters:,} parameters"),
        ("training", f"{len(history)} epochs; {took}"),
    ]
    key = f"validation_{trainer.metric_name}"
    higher = trainer.metric is None or trainer.metric.higher_is_better
    best = (max if higher else min)(history, key=lambda row: row[key])
    metric = str(trainer.metric_name)
    label, form = FORMS.get(metric, (metric, number))
    last = form(trainer.evaluate(data.validation)[metric])
    when = f"best {form(best[key])} in epoch {int(best['epoch'])}"
    found.append((label, f"{last} on held-out rows ({when})"))
    if isinstance(preprocessing, TablePreprocessor) and preprocessing.task == "regression":
        predicted, true = map(preprocessing.in_units, trainer.outputs(data.validation))
        for target, r, m in zip(
            preprocessing.targets, rmse(predicted, true), mae(predicted, true), strict=True
        ):
            text = f"RMSE {number(r)}, mean absolute error {number(m)} on held-out rows"
            found.append((target.name, text))
    return [
        *found,
        ("model", str(folder / "model.safetensors")),
        ("picture", str(folder / "curves.png")),
        ("report", f"pullback report {shlex.quote(str(folder))} makes a page of it"),
    ]


def _size(preprocessing: Any) -> str:
    return "x".join(map(str, preprocessing.input_shape))
