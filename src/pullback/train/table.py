"""From tables to arrays and back: columns, missing values, categories, standardisation.

Everything is learned from the training rows alone and stored with the model.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pullback.core.errors import ConfigError, DataError
from pullback.train.columns import NUMBERS_ONLY, Summary, as_numbers, is_numeric, places, row
from pullback.train.dataset import Dataset
from pullback.train.frames import as_table, target_names

if TYPE_CHECKING:
    import pandas as pd

Task = Literal["regression", "classification"]
TASKS = ("auto", "regression", "classification")
MOST_CATEGORIES = 50
FEW_VALUES = 20


@dataclass(frozen=True, slots=True)
class Feature:
    """How one column becomes inputs: a standardised number, or one input per category.

    A numeric column with missing values in training gets the mean there and a second input that
    marks them; a categorical one has a last input for values that were missing or rare.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    mean: float = 0.0
    std: float = 1.0
    marks_missing: bool = False
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of inputs."""
        return len(self.categories) + 1 if self.kind == "categorical" else 1 + self.marks_missing

    def encode(self, column: pd.Series[Any]) -> Any:
        """Return the inputs of `column`, shape (n, width), float32."""
        if self.kind == "categorical":
            unknown = len(self.categories)
            chosen = places(column, self.categories, unknown)
            return np.eye(unknown + 1, dtype=np.float32)[chosen]
        values = as_numbers(column, self.name)
        missing = np.isnan(values)
        scaled = (np.where(missing, self.mean, values) - self.mean) / self.std
        parts = [scaled, missing.astype(float)] if self.marks_missing else [scaled]
        return np.stack(parts, axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Target:
    """What is predicted: numbers in their own unit, or one of `classes`."""

    name: str
    mean: float = 0.0
    std: float = 1.0
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TablePreprocessor:
    """The features and targets of a table, learned by `fit`, stored by `to_json`.

    >>> import pandas as pd
    >>> columns = {"size": [1.0, 3.0, None], "town": ["a", "b", "a"], "price": [2, 6, 4]}
    >>> frame = pd.DataFrame(columns)
    >>> preprocessing = TablePreprocessor.fit(frame, ["price"])
    >>> preprocessing.task, preprocessing.width, preprocessing.outputs
    ('regression', 5, 1)
    >>> data = preprocessing.transform(frame)
    >>> preprocessing.in_units(data.targets).round(4).ravel()
    array([2., 6., 4.])
    """

    task: Task
    features: tuple[Feature, ...]
    targets: tuple[Target, ...]

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        target: str | Sequence[str],
        task: Literal["auto", "regression", "classification"] = "auto",
        classes_in: pd.DataFrame | None = None,
    ) -> TablePreprocessor:
        """Learn from the training rows `frame` how to turn its columns into arrays.

        `target` names the columns to predict; all others are features. With task "auto" a single
        target is classified if it holds text, booleans, or whole numbers that repeat, of at
        most 20 values. The classes are those in `classes_in`, all rows there are, so that one
        which chance left out of the training rows is known too.
        Raises DataError for unknown or unusable columns, ConfigError for options that do not fit.
        """
        fitting = Fitting(target, task)
        fitting.add(frame, frame if classes_in is None else classes_in)
        return fitting.preprocessor()

    @property
    def width(self) -> int:
        """Number of inputs of the model."""
        return sum(f.width for f in self.features)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the inputs of one row."""
        return (self.width,)

    @property
    def outputs(self) -> int:
        """Number of outputs of the model."""
        return len(self.targets[0].classes) or len(self.targets)

    def inputs(self, frame: pd.DataFrame) -> Any:
        """Return the inputs of the rows of `frame`, shape (n, width), float32."""
        frame = as_table(frame)
        if len(frame) == 0:
            raise DataError("the table has no rows; expected at least one")
        require_columns([f.name for f in self.features], frame)
        return np.concatenate([f.encode(frame[f.name]) for f in self.features], axis=1)

    def transform(self, frame: pd.DataFrame) -> Dataset:
        """Return inputs and targets of the rows of `frame`."""
        frame = as_table(frame)
        inputs = self.inputs(frame)
        require_columns([t.name for t in self.targets], frame)
        if self.task == "classification":
            (target,) = self.targets
            column = frame[target.name]
            labels = places(column, target.classes, -1)
            if (labels < 0).any():
                raise DataError(
                    f"target {target.name!r}: expected one of {', '.join(target.classes)}, got "
                    f"{column.iloc[int(np.argmax(labels < 0))]!r}, which the model was not "
                    "trained for"
                )
            return Dataset(inputs, labels, classes=len(target.classes))
        columns = [(_target_numbers(frame[t.name], t.name) - t.mean) / t.std for t in self.targets]
        return Dataset(inputs, np.stack(columns, axis=1).astype(np.float32))

    def in_units(self, outputs: Any) -> Any:
        """Return model outputs (n, k) as numbers in the targets' own units, float64."""
        scale = np.array([t.std for t in self.targets])
        return np.asarray(outputs, np.float64) * scale + np.array([t.mean for t in self.targets])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types that `from_json` restores exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TablePreprocessor:
        """Restore what `to_json` returned. Raises DataError where something is missing."""
        try:
            features = [
                Feature(**{**f, "categories": tuple(f["categories"])}) for f in data["features"]
            ]
            targets = [Target(**{**t, "classes": tuple(t["classes"])}) for t in data["targets"]]
            return cls(data["task"], tuple(features), tuple(targets))
        except (KeyError, TypeError) as error:
            raise DataError(f"preprocessing in config.json is not readable: {error}") from None


def require_columns(names: Sequence[str], frame: pd.DataFrame) -> None:
    """Raise DataError for a column that is not in `frame`."""
    present = list(frame.columns)
    for name in names:
        if name not in present:
            near = [c for c in present if name in c]
            near += difflib.get_close_matches(name, present, cutoff=0.65)
            hint = f"; did you mean {near[0]!r}?" if name and near else ""
            if len(present) == 1 and any(sign in present[0] for sign in ";\t|"):
                hint = "; separate its cells by commas"
            raise DataError(
                f"column {name!r} is not in the table, which has {', '.join(present)}{hint}"
            )


class Fitting:
    """Learns a `TablePreprocessor` block by block, from one table or from a stream of them.

    Options and errors are those of `TablePreprocessor.fit`.

    >>> import pandas as pd
    >>> fitting = Fitting(["y"])
    >>> fitting.add(pd.DataFrame({"x": [1.0, 2.0], "y": [0.5, 1.5]}))
    >>> fitting.add(pd.DataFrame({"x": [3.0, 4.0], "y": [2.5, 3.5]}))
    >>> fitting.preprocessor().targets
    (Target(name='y', mean=2.0, std=1.118033988749895, classes=()),)
    """

    def __init__(
        self,
        target: str | Sequence[str],
        task: Literal["auto", "regression", "classification"] = "auto",
    ) -> None:
        if task not in TASKS:
            raise ConfigError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
        self.target, self.task = target_names(target), task
        self.features: dict[str, Summary] = {}
        self.taught = {name: Summary(name) for name in self.target}
        self.seen = {name: Summary(name) for name in self.target}

    def add(self, training: pd.DataFrame, everything: pd.DataFrame | None = None) -> None:
        """Take in a block: its `training` rows, and `everything`, of which classes are learned.

        Raises DataError for columns that are not there or stand twice.
        """
        training = as_table(training)
        whole = training if everything is None else as_table(everything)
        require_columns(self.target, training)
        for name in training.columns:
            if name not in self.target:
                self.features.setdefault(name, Summary(name)).add(training[name])
        for name in self.target:
            self.taught[name].add(training[name])
            self.seen[name].add(whole[name], target=True)

    def check(self, held: pd.DataFrame) -> None:
        """Look at rows that nothing is learned from. Raises DataError for infinite numbers."""
        for name in self.features:
            if is_numeric(held[name]):
                as_numbers(held[name], name)

    def preprocessor(self) -> TablePreprocessor:
        """Return what was learned. Raises DataError for columns that cannot be used, or no rows."""
        if not any(summary.rows for summary in self.taught.values()):
            raise DataError("the table has no rows; expected at least one")
        features = [f for f in map(_feature, self.features.values()) if f is not None]
        if not features:
            raise DataError("the table has no usable feature besides the target")
        task = _task_of(list(self.seen.values())) if self.task == "auto" else self.task
        for summary in self.seen.values():
            _no_missing(summary.name, summary.missing, summary.first_missing)
        if task == "classification":
            return TablePreprocessor(task, tuple(features), (_classes(list(self.seen.values())),))
        for summary in self.seen.values():
            if summary.problem is not None:
                raise summary.problem
        targets = tuple(_number(self.taught[name]) for name in self.target)
        return TablePreprocessor(task, tuple(features), targets)


def _feature(summary: Summary) -> Feature | None:
    """Learn one feature; None for a column that never varies, which tells nothing."""
    if summary.problem is not None:
        raise summary.problem
    if summary.missing == summary.rows:
        return None
    if not summary.numeric:
        counts = summary.texts
        if len(counts) < 2 and not summary.missing:
            return None
        kept = sorted(sorted(counts, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES])
        return Feature(summary.name, "categorical", categories=tuple(kept))
    if not summary.varies and not summary.missing:
        return None
    std = summary.std if summary.varies else 1.0
    return Feature(summary.name, "numeric", summary.mean, std, summary.missing > 0)


def _task_of(targets: Sequence[Summary]) -> Task:
    if len(targets) > 1:
        return "regression"
    (target,) = targets
    if not target.numeric or target.kinds == {"boolean"}:
        return "classification"
    few = len(target.texts) <= min(FEW_VALUES, target.present / 2) and not target.forgot
    return "classification" if target.problem is None and target.whole and few else "regression"


def _classes(targets: Sequence[Summary]) -> Target:
    if len(targets) > 1:
        names = ", ".join(target.name for target in targets)
        raise DataError(f"--target: expected one column to classify, got {names}")
    (target,) = targets
    numeric = target.kinds == {"number"}
    values = sorted(target.texts, key=float if numeric else str)
    if len(values) < 2:
        raise DataError(
            f"target {target.name!r}: expected two classes or more, got only {values[0]!r}"
        )
    if target.forgot or len(values) > target.rows / 2:
        raise DataError(
            f"target {target.name!r}: {len(values)} classes in {target.rows} rows are too many to "
            "learn; is it a number? then give --task regression"
        )
    return Target(target.name, classes=tuple(values))


def _number(target: Summary) -> Target:
    if not target.varies:
        raise DataError(
            f"target {target.name!r}: expected values that vary, got only {target.mean:g}"
        )
    return Target(target.name, target.mean, target.std)


def _no_missing(name: str, missing: int, first: str) -> None:
    if missing:
        raise DataError(
            f"target {name!r}: expected a value in every row, got none in {first} ({missing} in "
            "all); remove these rows"
        )


def _target_numbers(column: Any, name: str) -> Any:
    gaps = column.isna().to_numpy()
    _no_missing(name, int(gaps.sum()), row(column, gaps))
    return as_numbers(column, name, NUMBERS_ONLY)
