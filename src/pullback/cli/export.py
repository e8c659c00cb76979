"""`pullback export`: a trained model as an ONNX file, from the rows of a table to predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullback.core.errors import ConfigError

if TYPE_CHECKING:
    from pullback.train.table import TablePreprocessor


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by pullback train.")],
    onnx: Annotated[
        Path | None, typer.Option(help="Where to write (default: model.onnx in the run).")
    ] = None,
) -> None:
    """Write a trained model as an ONNX file, which other programs run without pullback."""
    import numpy as np

    from pullback.cli.predict import trained
    from pullback.interchange import export_onnx
    from pullback.train import TablePreprocessor
    from pullback.train.deployed import Deployed

    preprocessing, network = trained(run)
    if not isinstance(preprocessing, TablePreprocessor):
        raise ConfigError(
            f"{run}: expected a run on a table, got one on images; write its network by "
            "pb.interchange.export_onnx"
        )
    path = onnx or run / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.zeros((1, len(preprocessing.features)))
    notes = {"pullback.table": json.dumps(_description(preprocessing))}
    export_onnx(Deployed(network, preprocessing), rows, path=path, notes=notes)
    typer.echo(f"{path}: from rows of {rows.shape[1]} columns to {_results(preprocessing)}")


def _results(preprocessing: TablePreprocessor) -> str:
    names = [target.name for target in preprocessing.targets]
    return "class, probabilities" if preprocessing.task == "classification" else ", ".join(names)


def _description(preprocessing: TablePreprocessor) -> dict[str, Any]:
    """Return what the columns and the results mean, in order."""
    return {
        "task": preprocessing.task,
        "columns": [_named(f.name, categories=f.categories) for f in preprocessing.features],
        "targets": [_named(t.name, classes=t.classes) for t in preprocessing.targets],
    }


def _named(name: str, **lists: tuple[str, ...]) -> dict[str, Any]:
    return {"name": name, **{key: values for key, values in lists.items() if values}}
