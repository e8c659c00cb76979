"""Training: minibatches, one traced step, checkpoints that resume bitwise."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pullback.core import pytree
from pullback.core.checks import check_counts, is_number
from pullback.core.errors import (
    ConfigError,
    DataError,
    DivergenceError,
)
from pullback.native.compile import Precision, check_precision
from pullback.nn.stateful import combine, partition
from pullback.numpy import random
from pullback.optim.optimizer import Optimizer, check_optimizer
from pullback.train import run
from pullback.train.callbacks import Callback, Row, check_callbacks
from pullback.train.curves import draw
from pullback.train.dataset import Dataset
from pullback.train.forward import Forward
from pullback.train.misfits import Loss, check_data, check_fit, find_loss, weights_of
from pullback.train.scoring import Metric, find_metric
from pullback.train.step import make_step
from pullback.train.steps import Steps, Stretch
from pullback.train.stream import Stream


class Trainer:
    """Trains `model`, a pytree that is called as a function, by minibatches.

    `loss(outputs, targets)` is a function or a name in `nn.LOSSES`; `metric` a name in `METRICS` or
    of scikit-learn's scorers, a function (y_true, y_pred), or None, see `find_metric`. `l2` adds
    l2/2 times the sum of squared weights (not of biases) to the loss. Steps run as machine code, a
    shorter last one by NumPy while compiling it does not pay, as all do with `compiled=False`; with
    `matmul_precision="bfloat16"` float32 products of machine code round their factors to bfloat16,
    while parameters, sums and gradients stay float32. After `fit`, `model` is the trained one, and
    `predictor` the one that predicts.
    Raises ConfigError for unknown names, and for an array at two places of the model.

    >>> import numpy as np, pullback as pb
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> data = pb.train.Dataset(x, 3 * x + 1)
    >>> model = pb.nn.Linear.create(pb.random.key(0), 1, 1)
    >>> trainer = pb.train.Trainer(model, "mean_squared_error", pb.optim.sgd(0.1), metric="r2")
    >>> history = trainer.fit(data, epochs=50, batch_size=16)
    >>> float(trainer.model.bias[0])  # doctest: +ELLIPSIS
    1.0...
    """

    def __init__(
        self,
        model: Any,
        loss: str | Loss,
        optimizer: Optimizer,
        metric: str | Metric | Callable[[Any, Any], float] | None = None,
        l2: float = 0.0,
        compiled: bool = True,
        matmul_precision: Precision = "float32",
    ) -> None:
        self.model = model
        self.loss_name = loss if isinstance(loss, str) else getattr(loss, "__name__", "function")
        self.loss = find_loss(loss)
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.metric = find_metric(metric) if metric is not None else None
        self.metric_name = self.metric.name if self.metric is not None else None
        check_precision(matmul_precision)
        if matmul_precision == "bfloat16" and not compiled:
            raise ConfigError("matmul_precision: bfloat16 products need compiled=True")
        if not (is_number(l2) and 0 <= l2 < float("inf")):
            raise ConfigError(f"l2: expected a finite number of 0 or more, got {l2!r}")
        self.l2 = l2
        self.compiled = compiled
        self.state = optimizer.init(partition(model)[0])
        self.history: list[Row] = []
        self.matmul_precision = matmul_precision
        self.folder: Path | None = None
        self.columns: tuple[str, ...] = ()
        self.stopped: str | None = None
        self._steps = Steps(make_step(self.loss, optimizer, l2), compiled, matmul_precision)
        self._forward = Forward(self._steps.ready)

    @property
    def predictor(self) -> Any:
        """The model that predicts and is written: `model`, or of `optim.ema` its average."""
        parameters, remembered = partition(self.model)
        return combine(self.optimizer.final(self.state, parameters), remembered)

    def fit(
        self,
        data: Dataset | Stream,
        validation: Dataset | Stream | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
        out: str | Path | None = None,
        resume: bool = False,
    ) -> list[Row]:
        """Train until `epochs` epochs are done, and return one row of figures per epoch.

        With `out`, a folder, each epoch ends with a checkpoint there; `resume` goes on from it,
        with bitwise the same result as if never interrupted. The order of the samples follows from
        `seed` and the epoch alone. A `Stream` is measured on validation data alone. An epoch that
        an error or Ctrl-C ends is undone: model, state and history are those of the last whole
        epoch.
        Raises ConfigError, ShapeError or DataError for what does not fit, before anything is
        written; DivergenceError where the loss is not finite; CheckpointError where `out` holds a
        run already and `resume` is not set, or its checkpoint is not readable.
        """
        check_counts(epochs=epochs, batch_size=batch_size)
        check_callbacks(callbacks)
        if resume and out is None:
            raise ConfigError("resume: expected out, the folder of the run to go on with, got None")
        check_fit(self.model, self.loss, self.metric, data, "data")
        if validation is not None:
            check_fit(self.model, self.loss, self.metric, validation, "validation")
        trial = data.trial()
        first_batch = [array[:batch_size] for array in trial.arrays()]
        self._steps.step(self.model, self.state, *first_batch)  # raises what cannot be traced
        self.folder = folder = Path(out) if out is not None else None
        self.columns, self.stopped = self._columns(data, validation), None
        origin = self._origin(data, validation, batch_size, seed)
        if folder is not None and resume:
            self._restore(folder, origin)
        new = folder is not None and not resume and run.create(folder)
        first = len(self.history) + 1
        try:
            for callback in callbacks:
                callback.on_train_begin(self, first, epochs, len(data))
        except BaseException:
            if folder is not None and new:  # nothing has been trained: leave no trace
                shutil.rmtree(folder)
            raise
        if folder is not None and not resume:
            self._save(folder, origin)
        for epoch in range(first, epochs + 1):
            if self.stopped is not None:
                break
            before = self.model, self.state, list(self.history)
            try:
                row = self._epoch(data, validation, epoch, batch_size, seed, callbacks)
                self.history.append(row)
                if folder is not None:
                    self._save(folder, origin)
            except BaseException as error:
                self.model, self.state, self.history = before
                if folder is not None and isinstance(error, KeyboardInterrupt | DivergenceError):
                    self._restore(folder, origin)  # the interrupt may have come after the writing
                    if self.history:
                        self.draw_curves(folder)
                raise
            for callback in callbacks:
                callback.on_epoch_end(self, row)
        for callback in callbacks:
            callback.on_train_end(self, self.history)
        if folder is not None and self.history:
            run.derive(folder, self.predictor, self.history)  # a callback may choose the model
            self.draw_curves(folder)
        return self.history

    def stop(self, reason: str) -> None:
        """End training after the epoch in progress; `stopped` then holds the reason."""
        self.stopped = reason

    def predict(self, inputs: Any) -> Any:
        """Return the model's outputs for `inputs`, (n, ...), worked on in parts of 1,024 rows.

        NumPy computes what would take longer to compile, by an estimate that takes it that outputs
        of this kind were needed in each epoch of the history.
        Raises DataError for what is no array of numbers or has no row, ShapeError where the rows do
        not fit the model, or the model does not give one array with an output for each.
        """
        dtype = getattr(inputs, "dtype", None)
        if dtype is None or dtype.kind in "OSU":
            raise DataError(
                f"inputs: expected an array of numbers, (n, ...), got "
                f"{type(inputs).__name__ if dtype is None else dtype}; write "
                "np.asarray(inputs, np.float32)"
            )
        if len(inputs) == 0:
            raise DataError(f"inputs: expected at least one row, got shape {np.shape(inputs)}")
        return self._forward(self.predictor, inputs, times=len(self.history) + 1)

    def outputs(self, data: Dataset | Stream) -> tuple[Any, Any]:
        """Return the model's outputs for all rows of `data`, and the targets.

        Raises DataError where `data` is no `Dataset` or `Stream`, and what `predict` raises.
        """
        check_data(data, "data")
        found = [(self.predict(part.inputs), np.array(part.targets)) for part in data.parts()]
        outputs, targets = map(np.concatenate, zip(*found, strict=True))
        return outputs, targets

    def evaluate(self, data: Dataset | Stream) -> dict[str, float]:
        """Return the loss, by the weights of `data`, and the metric on `data`.

        Raises what `outputs` raises.
        """
        outputs, targets = self.outputs(data)
        figures = {"loss": float(self.loss(outputs, targets, **weights_of(data)))}
        if self.metric is not None:
            figures[self.metric.name] = self.metric(outputs, targets)
        return figures

    def report(self) -> str:
        """Return what training was compiled to, and by `by NumPy` which operations were not.

        One part tells of the loop over the steps of an epoch, others of steps that are called one
        by one: those of a shorter last batch, which NumPy takes until it was busy with them for as
        long as compiling takes, or all where an operation has no machine code. The figures are
        those of `pb.compile(f).report()`. Raises ConfigError before `fit`.
        """
        return self._steps.report()

    def draw_curves(self, folder: Path, title: str = "") -> Path:
        """Draw the history into curves.png in `folder` and return its path."""
        path = folder / run.CURVES
        draw(self.history, path, self.metric_name, title)
        return path

    def _epoch(
        self,
        data: Dataset | Stream,
        validation: Dataset | Stream | None,
        epoch: int,
        batch_size: int,
        seed: int,
        callbacks: Sequence[Callback],
    ) -> Row:
        start = time.perf_counter()
        total = 0.0
        batch, count = 0, -(-len(data) // batch_size)
        for stretch in self._stretches(data, epoch, batch_size, seed):
            self.model, self.state, *_ = stretch
            for loss in map(float, stretch.losses):
                batch += 1
                if not np.isfinite(loss):
                    raise _divergence(
                        f"the loss became {loss}", f"epoch {epoch}, batch {batch}/{count}"
                    )
                total += loss * stretch.batch_size
                for callback in callbacks:
                    callback.on_batch_end(self, epoch, stretch.batch_size, loss)
        seconds = time.perf_counter() - start
        # the last step's loss is that of the weights before it
        if not all(np.isfinite(leaf).all() for leaf in pytree.leaves(self.model)):
            raise _divergence("a weight became infinite or NaN", f"epoch {epoch}")
        row: Row = {"epoch": epoch, "train_loss": total / len(data)}
        if self.metric is not None and isinstance(data, Dataset):
            row[f"train_{self.metric_name}"] = self._figures(data, epoch)[str(self.metric_name)]
        if validation is not None:
            row |= {f"validation_{k}": v for k, v in self._figures(validation, epoch).items()}
        row |= {"seconds": seconds, "samples_per_second": len(data) / seconds}
        return row

    def _stretches(
        self, data: Dataset | Stream, epoch: int, batch_size: int, seed: int
    ) -> Iterator[Stretch]:
        """Take the steps of an epoch, window by window, each from where the one before led."""
        key = random.fold_in(random.key(seed), epoch)
        for window, order in data.windows(key, batch_size):
            yield from self._steps.epoch(self.model, self.state, window, order, batch_size, epoch)

    def _figures(self, data: Dataset | Stream, epoch: int) -> dict[str, float]:
        with np.errstate(over="ignore", invalid="ignore"):
            figures = self.evaluate(data)
        if not np.isfinite(figures["loss"]):
            raise _divergence(f"the loss became {figures['loss']}", f"epoch {epoch}")
        return figures

    def _origin(
        self,
        data: Dataset | Stream,
        validation: Dataset | Stream | None,
        batch_size: int,
        seed: int,
    ) -> dict[str, Any]:
        """What a run must share with its continuation, as far as it can be told."""
        return {
            "seed": seed,
            "batch_size": batch_size,
            "data": data.fingerprint(),
            "validation": validation.fingerprint() if validation is not None else None,
            "loss": self.loss_name,
            "metric": self.metric_name,
            "l2": self.l2,
            "compiled": self.compiled,
            "matmul_precision": self.matmul_precision,
        }

    def better(self, column: str) -> Literal["min", "max"]:
        """Return whether a figure of `columns` is to be small or large."""
        name = column.partition("_")[2]
        metric = self.metric
        measures = metric is not None and metric.name == name and metric.higher_is_better
        return "max" if measures else "min"

    def _columns(
        self, data: Dataset | Stream, validation: Dataset | Stream | None
    ) -> tuple[str, ...]:
        """Return the figures of a row that callbacks may watch."""
        metric = [self.metric.name] if self.metric is not None else []
        names = [f"train_{name}" for name in ["loss", *(metric * isinstance(data, Dataset))]]
        if validation is not None:
            names += [f"validation_{name}" for name in ["loss", *metric]]
        return tuple(names)

    def _save(self, folder: Path, origin: dict[str, Any]) -> None:
        run.save(folder, self.model, self.state, self.history, origin)
        run.derive(folder, self.predictor, self.history)

    def _restore(self, folder: Path, origin: dict[str, Any]) -> None:
        self.model, self.state, self.history = run.load(folder, self.model, self.state, origin)
        run.derive(folder, self.predictor, self.history)


def _divergence(what: str, where: str) -> DivergenceError:
    return DivergenceError(
        f"{what} in {where}: the learning rate is probably too high, try a tenth of it. Model and "
        "checkpoint are as the epoch before left them."
    )
