"""The folder of a run: one checkpoint that decides, and files made of it for other readers."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pullback.core.errors import CheckpointError, ConfigError
from pullback.train import checkpoint
from pullback.train.callbacks import Row
from pullback.train.files import write_atomically

CHECKPOINT, BEST, MODEL, METRICS, CURVES = FILES = (
    "checkpoint.safetensors",
    "best.safetensors",
    "model.safetensors",
    "metrics.csv",
    "curves.png",
)
"""What training writes; all but the first two can be made anew from the first."""


def create(folder: Path) -> bool:
    """Make `folder`, and return whether it was not there before.

    Raises CheckpointError where it holds what a run would overwrite.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "out: curves.png needs matplotlib, which is not installed: "
            'pip install "pullback[app]", or train without a folder'
        )
    there = [name for name in FILES if (folder / name).exists()]
    if CHECKPOINT in there:
        raise CheckpointError(
            f"{folder} holds a run already: go on with it (resume=True), or choose another folder"
        )
    if there:
        raise CheckpointError(
            f"{folder} holds a file {there[0]}, which training would overwrite: choose another "
            "folder"
        )
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be made a folder: {error.strerror}") from None
    return new


def save(
    folder: Path, model: Any, state: Any, history: Sequence[Row], origin: dict[str, Any]
) -> None:
    """Write the checkpoint, by one rename."""
    info = {"epoch": len(history), "history": list(history), "run": origin}
    checkpoint.save(folder / CHECKPOINT, {"model": model, "state": state}, info)


def derive(folder: Path, model: Any, history: Sequence[Row]) -> None:
    """Write model.safetensors and metrics.csv, which a kill may have left an epoch behind."""
    checkpoint.save(folder / MODEL, model, {"epoch": len(history)})
    write_atomically(folder / METRICS, as_csv(history))


def load(
    folder: Path, model: Any, state: Any, origin: dict[str, Any]
) -> tuple[Any, Any, list[Row]]:
    """Return the model, the optimizer state and the history saved in `folder`.

    Raises CheckpointError where the checkpoint is missing, damaged, or of another `origin`: of
    other data or options than now.
    """
    path = folder / CHECKPOINT
    trees, info = checkpoint.load(path, {"model": model, "state": state})
    made, history = info.get("run"), info.get("history")
    if not (
        isinstance(made, dict)
        and isinstance(history, list)
        and all(isinstance(row, dict) for row in history)
    ):
        raise CheckpointError(
            f"{path}: holds no history of a run; restore it from a copy, or train again into "
            "another folder"
        )
    for key, value in origin.items():
        if made.get(key) != value:
            raise CheckpointError(
                f"{path}: was made with {key} {made.get(key)}, now it is {value}; a run resumes "
                "with the data and options it began with"
            )
    return trees["model"], trees["state"], history


def as_csv(history: Sequence[Row]) -> bytes:
    """Return one line of figures per epoch, under a header; nothing for no epoch."""
    text = io.StringIO()
    if history:
        writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    return text.getvalue().encode()
