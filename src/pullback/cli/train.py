"""`pullback train`: the main job."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pullback.core.errors import CheckpointError, ConfigError

DEFAULT_EPOCHS = {"mnist": 10, "houses": 20}


def train(
    source: Annotated[
        str,
        typer.Argument(
            help="A .csv or .parquet file, or houses, houses-generated, digits, mnist, mnist:FOLDER"
        ),
    ] = "houses",
    target: Annotated[
        str | None, typer.Option(help="Column(s) to predict, separated by commas.")
    ] = None,
    task: Annotated[str, typer.Option(help="auto, regression or classification")] = "auto",
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = "64,32",
    activation: Annotated[str, typer.Option(help="relu, tanh, sigmoid, gelu, ...")] = "relu",
    optimizer: Annotated[str, typer.Option(help="adam, sgd, momentum, ...")] = "adam",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    schedule: Annotated[
        str, typer.Option(help="constant, cosine, step or warmup-cosine")
    ] = "constant",
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 32,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data (default: 30; mnist 10; houses 20).")
    ] = None,
    l2: Annotated[float, typer.Option(help="Weight decay: l2/2 times the squared weights.")] = 0.0,
    validation: Annotated[float, typer.Option(help="Share of rows held out.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of split, weights and order.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run; its own options are used.")
    ] = None,
) -> None:
    """Train a network on a table, on images, or on a built-in data set."""
    from pullback.cli import config as configs

    if resume is not None:
        config, _ = configs.read(resume)
        if epochs is not None and epochs != config.epochs:
            if config.schedule != "constant":
                raise ConfigError(
                    f"--epochs: the schedule {config.schedule!r} of {resume} was made for "
                    f"{config.epochs} epochs; leave --epochs out"
                )
            import dataclasses

            config = dataclasses.replace(config, epochs=epochs)
        _run(config, resume, resuming=True)
        return
    config = configs.Config(
        source=source,
        target=target.split(",") if target else None,
        task=task,  # type: ignore[arg-type]  # checked by Config
        hidden=configs.parse_widths(hidden),
        activation=activation,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule,
        batch_size=batch_size,
        epochs=epochs if epochs is not None else DEFAULT_EPOCHS.get(source.partition(":")[0], 30),
        l2=l2,
        seed=seed,
        validation=validation,
    )
    folder = out or _free_folder(source)
    if (folder / "checkpoint.safetensors").exists():
        raise CheckpointError(
            f"--out: {folder} holds a run already. Go on with it by --resume {folder}, or choose "
            "another folder"
        )
    _run(config, folder, resuming=False)


def _free_folder(source: str) -> Path:
    stem = Path(source.replace(":", "-")).stem
    n = 1
    while (folder := Path("runs") / f"{stem}-{n}").exists():
        n += 1
    return folder


def _run(config: Any, folder: Path, resuming: bool) -> None:
    from rich.console import Console

    from pullback.cli.progress import ProgressDisplay
    from pullback.train import Trainer, load
    from pullback.train.callbacks import Callback

    console = Console(highlight=False)
    data = load(config.source, config.target, config.task, config.seed, config.validation)
    preprocessing = data.preprocessing
    classify = preprocessing.task == "classification"
    metric = "accuracy" if classify else "r2"
    model = config.make_model(preprocessing.width, preprocessing.outputs)
    trainer = Trainer(
        model,
        "softmax_cross_entropy" if classify else "mean_squared_error",
        config.make_optimizer(len(data.train)),
        metric=metric,
        l2=config.l2,
    )

    class WriteConfig(Callback):
        def on_train_begin(self, *args: Any) -> None:
            config.write(folder, preprocessing.to_json())

    display = ProgressDisplay(console, metric)
    targets = ", ".join(t.name for t in preprocessing.targets)
    console.print(
        f"[bold]{config.source}[/]: {len(data.train):,} rows to train, {len(data.validation):,} "
        f"held out; {preprocessing.task} of {targets} from {preprocessing.width} inputs"
    )
    started = time.perf_counter()
    try:
        trainer.fit(
            data.train,
            data.validation,
            epochs=config.epochs,
            batch_size=config.batch_size,
            seed=config.seed,
            callbacks=[WriteConfig(), display],
            out=folder,
            resume=resuming,
        )
    except KeyboardInterrupt:
        display.stop()
        console.print(
            f"stopped; {len(trainer.history)} epochs are saved. "
            f"Go on with: pullback train --resume {folder}"
        )
        raise typer.Exit(130) from None
    finally:
        display.stop()
    _summarise(console, trainer, data, folder, time.perf_counter() - started)


def _summarise(console: Any, trainer: Any, data: Any, folder: Path, seconds: float) -> None:
    from rich.table import Table

    from pullback.core import pytree
    from pullback.train.metrics import mae, rmse

    preprocessing = data.preprocessing
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    parameters = sum(leaf.size for leaf in pytree.leaves(trainer.model))
    last = trainer.history[-1]
    metric = trainer.metric_name
    table.add_row("parameters", f"{parameters:,}")
    table.add_row("training", f"{int(last['epoch'])} epochs, {seconds:.1f} s")
    if preprocessing.task == "classification":
        table.add_row("accuracy", f"{last['validation_accuracy']:.2%} on held-out rows")
    else:
        table.add_row("R²", f"{last[f'validation_{metric}']:.3f} on held-out rows")
        found = preprocessing.in_units(trainer.predict(data.validation.inputs))
        true = preprocessing.in_units(data.validation.targets)
        for target, r, m in zip(
            preprocessing.targets, rmse(found, true), mae(found, true), strict=True
        ):
            table.add_row(target.name, f"RMSE {_number(r)}, mean absolute error {_number(m)}")
    table.add_row("model", str(folder / "model.safetensors"))
    table.add_row("picture", str(folder / "curves.png"))
    console.print(table)


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"
