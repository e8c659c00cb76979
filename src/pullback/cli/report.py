"""`pullback report`: a run as one interactive page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pullback.core.errors import ConfigError, DataError


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by pullback train.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write (default: report.html in the run).")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the data of the run lie now, if they have moved.")
    ] = None,
) -> None:
    """Write a run's curves, errors, layers and graph as one page that needs no network."""
    from pullback.cli import config as configs
    from pullback.cli.predict import trained
    from pullback.explain import read_layers
    from pullback.explain import report as make
    from pullback.explain.layers.recorder import LAYERS
    from pullback.optim import sgd
    from pullback.train import Trainer, checkpoint
    from pullback.train.run import CHECKPOINT

    path = out or run / "report.html"
    if path.is_dir():
        raise ConfigError(f"--out: expected a file to write, got {path}, which is a folder")
    config, _ = configs.read(run)
    place = source or config.source
    data = replace(config, source=place).load()
    info = checkpoint.read_info(run / CHECKPOINT)
    if data.validation.fingerprint() != info.get("run", {}).get("validation"):
        raise DataError(
            f"{place}: the data are not those that {run} was trained on; name these with --source"
        )
    preprocessing, model = trained(run)
    classify = preprocessing.task == "classification"
    trainer = Trainer(
        model,
        "softmax_cross_entropy" if classify else "mean_squared_error",
        sgd(config.lr),  # there are no further steps
        metric=config.metric_of(preprocessing),
    )
    trainer.history = info.get("history", [])
    records = read_layers(run / LAYERS) if (run / LAYERS).exists() else []
    title = f"{Path(config.source).name}: {', '.join(t.name for t in preprocessing.targets)}"
    page = make(trainer, data.validation, layers=records, preprocessing=preprocessing, title=title)
    page.save(path)
    typer.echo(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
