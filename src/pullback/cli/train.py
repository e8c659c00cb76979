"""`pullback train`: the main job."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pullback.core.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from pullback.cli.config import Config
    from pullback.train import Source

DEFAULT_EPOCHS = {"mnist": 10, "houses": 20}
DEFAULT_BATCH_SIZE = {"mnist": 64}


def train(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A .csv, .parquet or .arrow file, a folder of such, a folder with a sub-folder of "
            "images for each class, or houses, houses-generated, digits, mnist, mnist:FOLDER"
        ),
    ] = "houses",
    target: Annotated[
        str | None, typer.Option(help="Column(s) to predict, separated by commas.")
    ] = None,
    task: Annotated[str, typer.Option(help="auto, regression or classification")] = "auto",
    hidden: Annotated[
        str | None,
        typer.Option(help="Widths of the hidden layers (default: 64,32; for images 16,32)."),
    ] = None,
    activation: Annotated[str, typer.Option(help="relu, tanh, sigmoid, gelu, ...")] = "relu",
    optimizer: Annotated[
        str, typer.Option(help="adam, adamw, lion, lamb, sgd, momentum, ...")
    ] = "adam",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Only try learning rates: a suggestion and lr.png.")
    ] = False,
    schedule: Annotated[
        str,
        typer.Option(
            help="constant, cosine, linear, step, warmup-cosine, one-cycle, or plateau: halved "
            "after 5 epochs without a better validation loss"
        ),
    ] = "constant",
    batch_size: Annotated[
        int | None, typer.Option(help="Samples per step (default: 32; mnist 64).")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data (default: 30; mnist 10; houses 20).")
    ] = None,
    l2: Annotated[
        float, typer.Option(help="Penalty in the loss: l2/2 times the squared weights.")
    ] = 0.0,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Decay of weights, not of biases: adamw (0.01), lion, lamb."),
    ] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Largest norm of the gradient; it is scaled down to that.")
    ] = None,
    accumulate: Annotated[
        int, typer.Option(help="Update once in so many batches, by their mean gradient.")
    ] = 1,
    ema: Annotated[
        float | None, typer.Option(help="Predict with a moving average of the weights: 0.999.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better validation loss; keep the best model."
        ),
    ] = None,
    keep_best: Annotated[
        bool, typer.Option("--keep-best", help="Keep the model of the best epoch, not the last.")
    ] = False,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Let rare classes count as much as frequent ones.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="Of matrix products: float32 or bfloat16.")
    ] = "float32",
    validation: Annotated[float, typer.Option(help="Share of rows held out.")] = 0.2,
    metric: Annotated[
        str | None,
        typer.Option(
            help="accuracy, f1_macro, roc_auc, r2, mae, ... of scikit-learn (default: accuracy, or "
            "r2); errors are in the units of the target."
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="Stream the table and shuffle in windows of so many rows (100000) or bytes "
            "(256MB); so are tables of more than 1 GB."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of split, weights and order.")] = 0,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Run steps as machine code, or by NumPy.")
    ] = True,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the squares that images are made.")
    ] = None,
    augment: Annotated[
        str | None, typer.Option(help="What happens to images in training: flip,crop")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files into the run, too.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run, by its own options; --epochs may ask for more."),
    ] = None,
) -> None:
    """Train a network on a table, on images, or on a built-in data set."""
    from pullback.cli import config as configs
    from pullback.train.image_folder import is_image_folder

    if resume is not None:
        given = {
            name
            for name in context.params
            if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
        }
        _resume(resume, given - {"resume"}, source, epochs)
        return
    kind = source.partition(":")[0]
    config = configs.Config(
        source=configs.absolute(source),
        target=configs.parse_columns(target),
        task=task,  # type: ignore[arg-type]  # checked by Config
        hidden=configs.parse_widths(hidden or ("16,32" if is_image_folder(source) else "64,32")),
        activation=activation,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule,
        batch_size=DEFAULT_BATCH_SIZE.get(kind, 32) if batch_size is None else batch_size,
        epochs=DEFAULT_EPOCHS.get(kind, 30) if epochs is None else epochs,
        l2=l2,
        seed=seed,
        validation=validation,
        window=window,
        tensorboard=tensorboard,
        metric=metric,
        image_size=image_size,
        augment=configs.parse_columns(augment) or [],
        compiled=compiled,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        accumulate=accumulate,
        ema=ema,
        patience=patience,
        keep_best=keep_best,
        balanced=balanced,
        precision=precision,  # type: ignore[arg-type]
    )
    if find_lr:
        _find_rate(config, out or Path())
        return
    folder = out or _free_folder(source)
    for name in ("checkpoint.safetensors", "config.json", "layers.json"):
        if (folder / name).exists():
            raise CheckpointError(
                f"--out: {folder} holds a {name} already. If it is of a run, go on with that by "
                f"--resume {folder}; or choose another folder"
            )
    _run(config, folder, resuming=False)


def _resume(folder: Path, given: set[str], source: str, epochs: int | None) -> None:
    """Go on with the run in `folder`; `given` are the options on the command line."""
    import dataclasses

    from pullback.cli import config as configs
    from pullback.cli import tuning
    from pullback.train import checkpoint, run

    surplus = sorted(given - {"source", "epochs"})
    if surplus:
        option = "--" + surplus[0].replace("_", "-")
        raise ConfigError(
            f"{option}: a run goes on with the options it began with; leave {option} out, or "
            "start a new run"
        )
    config, _ = configs.read(folder)
    if "source" in given:  # data that moved: their fingerprint must be the same
        config = dataclasses.replace(config, source=configs.absolute(source))
    # a kill before the first checkpoint leaves config.json alone: then begin at the beginning
    begun = any((folder / name).exists() for name in run.FILES)
    if epochs is not None and epochs != config.epochs:
        if config.schedule not in tuning.ENDLESS:
            raise ConfigError(
                f"--epochs: the schedule {config.schedule!r} of {folder} was made for "
                f"{config.epochs} epochs; leave --epochs out"
            )
        done = checkpoint.read_info(folder / run.CHECKPOINT).get("epoch", 0) if begun else 0
        if epochs < done:
            raise ConfigError(
                f"--epochs: expected {done} or more, which {folder} has, got {epochs}"
            )
        config = dataclasses.replace(config, epochs=epochs)
    _run(config, folder, resuming=begun)


def _free_folder(source: str) -> Path:
    stem = Path(source.replace(":", "-")).stem
    n = 1
    while (folder := Path("runs") / f"{stem}-{n}").exists():
        n += 1
    return folder


def _find_rate(config: Config, folder: Path) -> None:
    from pullback.cli import tuning

    data = config.load()
    train = tuning.weigh(config, data.train)
    model = config.make_model(data.preprocessing.input_shape, data.preprocessing.outputs)
    typer.echo(tuning.find_rate(config, model, _loss(data), train, folder))


def _loss(data: Source) -> str:
    classify = data.preprocessing.task == "classification"
    return "softmax_cross_entropy" if classify else "mean_squared_error"


def _run(config: Config, folder: Path, resuming: bool) -> None:
    from rich.console import Console

    from pullback.cli import summary, tuning
    from pullback.cli.progress import ProgressDisplay
    from pullback.explain import LayerRecorder
    from pullback.train import TensorBoard, Trainer
    from pullback.train.callbacks import Callback

    console = Console(highlight=False, markup=False)
    data = config.load()
    preprocessing = data.preprocessing
    metric = config.metric_of(preprocessing)
    train = tuning.weigh(config, data.train)
    trainer = Trainer(
        config.make_model(preprocessing.input_shape, preprocessing.outputs),
        _loss(data),
        config.make_optimizer(len(data.train)),
        metric=metric,
        l2=config.l2,
        compiled=config.compiled,
        matmul_precision=config.precision,
    )

    class WriteConfig(Callback):
        def on_train_begin(self, *args: Any) -> None:
            config.write(folder, preprocessing.to_json())

    display = ProgressDisplay(console, metric.name)
    logs = [TensorBoard(folder / "tensorboard")] if config.tensorboard else []
    layers = LayerRecorder(data.train.trial(), folder=folder)
    name = Path(config.source).name
    console.print(summary.describe(data, name), soft_wrap=True)
    started = time.perf_counter()
    try:
        trainer.fit(
            train,
            data.validation,
            epochs=config.epochs,
            batch_size=config.batch_size,
            seed=config.seed,
            callbacks=[WriteConfig(), layers, display, *logs, *tuning.callbacks(config)],
            out=folder,
            resume=resuming,
        )
    except KeyboardInterrupt:
        display.stop()
        _say_stopped(console, folder, len(trainer.history))
        raise typer.Exit(130) from None
    finally:
        display.stop()
    took = f"{time.perf_counter() - started:.1f} s{' since it was resumed' if resuming else ''}"
    console.print()
    for label, text in summary.rows(trainer, config, data, folder, took):
        console.print(f"{label:<10}  {text}", soft_wrap=True)
    if trainer.stopped is not None:
        console.print(f"{'stopped':<10}  {trainer.stopped}", soft_wrap=True)
    for warning in layers.warnings:
        console.print(f"{'warning':<10}  {warning}", style="yellow", soft_wrap=True)


def _say_stopped(console: Any, folder: Path, epochs: int) -> None:
    if not (folder / "config.json").exists():
        console.print("stopped before anything was written")
        return
    console.print(
        f"stopped; {epochs} epochs are saved. Go on with: "
        f"pullback train --resume {shlex.quote(str(folder))}",
        soft_wrap=True,
    )
