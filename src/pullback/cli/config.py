"""The configuration of a run: what `config.json` holds, and the model and optimizer of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

from pullback.cli import tuning
from pullback.cli.tuning import SCHEDULES
from pullback.core.errors import CheckpointError, ConfigError
from pullback.nn import ACTIVATIONS, convnet, mlp
from pullback.numpy import random
from pullback.optim import OPTIMIZERS
from pullback.optim.optimizer import Optimizer
from pullback.train.files import write_atomically
from pullback.train.image_folder import is_image_folder
from pullback.train.images import ImagePreprocessor
from pullback.train.metrics import METRICS
from pullback.train.scoring import Metric, find_metric
from pullback.train.sources import BUILT_IN, Source, load, load_images
from pullback.train.stream import DEFAULT_WINDOW
from pullback.train.table import TablePreprocessor


@dataclass(frozen=True, slots=True)
class Config:
    """All that a run is made from; every value is a plain JSON type."""

    source: str
    target: list[str] | None
    task: Literal["auto", "regression", "classification"]
    hidden: list[int]
    activation: str
    optimizer: str
    lr: float
    schedule: str
    batch_size: int
    epochs: int
    l2: float
    seed: int
    validation: float
    compiled: bool = True
    window: str | None = None
    tensorboard: bool = False
    image_size: int | None = None
    augment: list[str] = field(default_factory=list)
    weight_decay: float | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    patience: int | None = None
    keep_best: bool = False
    balanced: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    metric: str | None = None

    def __post_init__(self) -> None:
        _one_of("--task", self.task, ("auto", "regression", "classification"))
        _one_of("--activation", self.activation, ACTIVATIONS)
        _one_of("--optimizer", self.optimizer, OPTIMIZERS)
        _one_of("--schedule", self.schedule, SCHEDULES)
        _check("--lr", self.lr, 0 < self.lr < inf, "a number above 0")
        _check_tuning(self)
        _check("--l2", self.l2, 0 <= self.l2 < inf, "a number of 0 or more")
        _check("--batch-size", self.batch_size, self.batch_size >= 1, "1 or more")
        _check("--epochs", self.epochs, self.epochs >= 1, "1 or more")
        _check("--seed", self.seed, self.seed >= 0, "0 or more")
        _check("--validation", self.validation, 0 < self.validation < 1, "a share between 0 and 1")
        for width in self.hidden:
            _check("--hidden", width, width >= 1, "widths of 1 or more, e.g. 128,64")
        if self.target is not None:
            _check_columns(self.target)

    def load(self) -> Source:
        """Return the data of the run."""
        if self.image_size is None and not self.augment:
            return load(
                self.source, self.target, self.task, self.seed, self.validation, self.window
            )
        if not is_image_folder(self.source):
            option = "--augment" if self.augment else "--image-size"
            raise ConfigError(
                f"{option}: {self.source} is not a folder with a sub-folder of "
                f"images for each class; leave {option} out"
            )
        window = self.window or DEFAULT_WINDOW
        return load_images(
            self.source, self.seed, self.validation, window, self.image_size, augment=self.augment
        )

    def metric_of(self, preprocessing: TablePreprocessor | ImagePreprocessor) -> Metric:
        """Return the metric of the run, accuracy or r2 if none was chosen.

        Numbers are measured in the units of the targets; r2, which has no unit, as they are.
        """
        classify = preprocessing.task == "classification"
        metric = find_metric(self.metric or ("accuracy" if classify else "r2"))
        if metric.name in METRICS or not isinstance(preprocessing, TablePreprocessor) or classify:
            return metric
        in_units, measure = preprocessing.in_units, metric.function
        return replace(metric, function=lambda outputs, t: measure(in_units(outputs), in_units(t)))

    def make_model(self, shape: Sequence[int], outputs: int) -> Any:
        """Return the untrained network for inputs of `shape`: a convolutional one for images."""
        key = random.key(self.seed)
        if len(shape) == 3:
            return convnet(key, shape, outputs, widths=self.hidden, activation=self.activation)
        return mlp(key, [*shape, *self.hidden, outputs], self.activation)

    def make_optimizer(self, samples: int) -> Optimizer:
        """Return the optimizer with its schedule over all updates."""
        return tuning.make_optimizer(self, samples)

    def write(self, folder: Path, preprocessing: dict[str, Any]) -> None:
        """Write config.json into `folder`."""
        content = {"pullback": 1, "options": asdict(self), "preprocessing": preprocessing}
        write_atomically(folder / "config.json", json.dumps(content, indent=1).encode())


def read(folder: Path) -> tuple[Config, dict[str, Any]]:
    """Return the configuration in `folder` and its preprocessing.

    Raises CheckpointError where there is none, or it is not readable.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text())
        options = content["options"]
        known = {f.name for f in fields(Config)}
        return Config(**{k: v for k, v in options.items() if k in known}), content["preprocessing"]
    except OSError:
        raise CheckpointError(
            f"{folder}: expected the folder of a run, which holds a config.json; got none there"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: is not a readable configuration: {error}") from None


def parse_widths(text: str) -> list[int]:
    """Return the widths in a comma-separated list.

    >>> parse_widths("128,64")
    [128, 64]
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(
            f"--hidden: expected whole numbers separated by commas, e.g. 128,64, got {text!r}"
        ) from None


def parse_columns(text: str | None) -> list[str] | None:
    """Return the column names in a comma-separated list, None where there is none.

    >>> parse_columns("price, fee")
    ['price', 'fee']
    """
    return [part.strip() for part in text.split(",")] if text else None


def absolute(source: str) -> str:
    """Return `source` so that it holds from any folder: built-in names stay, paths are absolute.

    >>> absolute("houses")
    'houses'
    """
    kind, colon, folder = source.partition(":")
    if source in BUILT_IN:
        return source
    if kind == "mnist" and folder:
        return kind + colon + str(Path(folder).absolute())
    return str(Path(source).absolute())


def _check_tuning(config: Config) -> None:
    positive = {"--clip-norm": config.clip_norm, "--patience": config.patience}
    for option, value in positive.items():
        _check(option, value, value is None or 0 < value < inf, "a number above 0")
    decay, ema = config.weight_decay, config.ema
    _check("--weight-decay", decay, decay is None or 0 <= decay < inf, "a number of 0 or more")
    _check("--ema", ema, ema is None or 0 <= ema < 1, "a decay of 0 or more, below 1")
    _check("--accumulate", config.accumulate, config.accumulate >= 1, "1 or more")
    _one_of("--precision", config.precision, ("float32", "bfloat16"))
    if config.precision == "bfloat16" and not config.compiled:
        raise ConfigError("--precision: bfloat16 products need machine code; drop --no-compile")
    if decay is not None and not tuning.decays(config.optimizer):
        able = ", ".join(filter(tuning.decays, OPTIMIZERS))
        raise ConfigError(
            f"--weight-decay: {config.optimizer} has none; take --optimizer {able}, or --l2"
        )


def _check_columns(names: list[str]) -> None:
    for name in names:
        if not name or names.count(name) > 1:
            what = f"{name!r} twice" if name else "an empty one"
            raise ConfigError(f"--target: expected column names, each once, got {what}")


def _one_of(option: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise ConfigError(f"{option}: expected one of {', '.join(allowed)}, got {value!r}")


def _check(option: str, value: float | None, holds: bool, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{option}: expected {expected}, got {value}")
