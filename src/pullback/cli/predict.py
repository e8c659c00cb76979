"""`pullback predict`: a trained model on new rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullback.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pullback.train.images import ImagePreprocessor
    from pullback.train.table import TablePreprocessor


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by pullback train.")],
    table: Annotated[
        Path,
        typer.Argument(
            help="A .csv, .parquet or .arrow file, targets are not needed; or a folder of images."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to write (default: predictions.csv in the run).")
    ] = None,
) -> None:
    """Predict the targets of new rows, in their own units or as class names."""
    from pullback.optim import adam
    from pullback.train import Trainer
    from pullback.train.files import write_atomically

    path = out or run / "predictions.csv"
    if path.is_dir() or path.resolve() == table.resolve():
        what = "a folder" if path.is_dir() else "the table itself"
        raise ConfigError(f"--out: expected a file to write, got {path}, which is {what}")
    preprocessing, model = trained(run)
    trainer = Trainer(model, "mean_squared_error", adam(1e-3))  # neither is used to predict
    frame = _predicted(trainer, preprocessing, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, frame.to_csv(index=False).encode())
    typer.echo(f"{len(frame)} predictions: {path}")


def trained(run: Path) -> tuple[TablePreprocessor | ImagePreprocessor, Any]:
    """Return the preprocessing and the network of a run.

    Raises CheckpointError where the folder holds none.
    """
    from pullback.cli import config as configs
    from pullback.train import checkpoint
    from pullback.train.sources import restore_preprocessing

    config, stored = configs.read(run)
    preprocessing = restore_preprocessing(stored)
    like = config.make_model(preprocessing.input_shape, preprocessing.outputs)
    model, _ = checkpoint.load(run / "model.safetensors", like)
    return preprocessing, model


def _predicted(trainer: Any, preprocessing: Any, source: Path) -> Any:
    """Return the predictions for the rows of a table, or for images by their files' names."""
    import numpy as np

    from pullback.train import read_table
    from pullback.train.images import PIECE, ImagePreprocessor, images_in

    if not isinstance(preprocessing, ImagePreprocessor):
        return _as_table(preprocessing, trainer.predict(preprocessing.inputs(read_table(source))))
    paths = images_in(source) if source.is_dir() else [source]
    if not paths:
        raise DataError(f"{source}: expected images, got none")
    parts = (paths[start : start + PIECE] for start in range(0, len(paths), PIECE))
    outputs = np.concatenate([trainer.predict(preprocessing.inputs(part)) for part in parts])
    frame = _as_table(preprocessing, outputs)
    frame.insert(0, "file", [str(path) for path in paths])
    return frame


def _as_table(preprocessing: Any, outputs: Any) -> Any:
    import pandas as pd

    from pullback.nn import softmax

    if preprocessing.task == "regression":
        numbers = preprocessing.in_units(outputs)
        return pd.DataFrame(numbers, columns=[t.name for t in preprocessing.targets])
    (target,) = preprocessing.targets
    probabilities = softmax(outputs)
    chosen = [target.classes[i] for i in probabilities.argmax(axis=1)]
    columns = {target.name: chosen}
    columns |= {f"p({c})": probabilities[:, i] for i, c in enumerate(target.classes)}
    return pd.DataFrame(columns)
