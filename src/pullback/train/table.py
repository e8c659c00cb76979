"""From tables to arrays and back: columns, missing values, categories, standardisation.

Everything is learned from the training rows alone and stored with the model.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pullback.core.errors import DataError
from pullback.train.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

Task = Literal["regression", "classification"]
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
            known = {value: i for i, value in enumerate(self.categories)}
            texts = _as_text(column)
            places = [known.get(str(value), len(known)) for value in texts]
            return np.eye(len(known) + 1, dtype=np.float32)[places]
        values = _as_numbers(column, self.name)
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
        target: Sequence[str],
        task: Literal["auto", "regression", "classification"] = "auto",
        classes_in: pd.DataFrame | None = None,
    ) -> TablePreprocessor:
        """Learn from the training rows `frame` how to turn its columns into arrays.

        `target` names the columns to predict; all others are features. With task "auto" a single
        target is classified if it holds text, booleans, or whole numbers that repeat, of at
        most 20 values. The classes are those in `classes_in`, all rows there are, so that one
        which chance left out of the training rows is known too.
        Raises DataError for unknown or unusable columns.
        """
        if len(frame) == 0:
            raise DataError("the table has no rows; expected at least one")
        repeated = frame.columns[frame.columns.duplicated()]
        if len(repeated):
            raise DataError(f"column {repeated[0]!r} stands twice in the table; rename one")
        _require(target, frame)
        names = [c for c in map(str, frame.columns) if c not in target]
        features = [f for f in (_learn(frame[name], name) for name in names) if f is not None]
        if not features:
            raise DataError("the table has no usable feature besides the target")
        whole = frame if classes_in is None else classes_in
        kind = _task_of(whole, target) if task == "auto" else task
        if kind == "classification":
            return cls(kind, tuple(features), (_learn_classes(whole, target),))
        return cls(kind, tuple(features), tuple(_learn_number(frame[t], t) for t in target))

    @property
    def width(self) -> int:
        """Number of inputs of the model."""
        return sum(f.width for f in self.features)

    @property
    def outputs(self) -> int:
        """Number of outputs of the model."""
        return len(self.targets[0].classes) or len(self.targets)

    def inputs(self, frame: pd.DataFrame) -> Any:
        """Return the inputs of the rows of `frame`, shape (n, width), float32."""
        if len(frame) == 0:
            raise DataError("the table has no rows; expected at least one")
        _require([f.name for f in self.features], frame)
        return np.concatenate([f.encode(frame[f.name]) for f in self.features], axis=1)

    def transform(self, frame: pd.DataFrame) -> Dataset:
        """Return inputs and targets of the rows of `frame`."""
        inputs = self.inputs(frame)
        _require([t.name for t in self.targets], frame)
        if self.task == "classification":
            (target,) = self.targets
            known = {value: i for i, value in enumerate(target.classes)}
            texts = _as_text(frame[target.name])
            unknown = [value for value in texts if str(value) not in known]
            if unknown:
                raise DataError(
                    f"target {target.name!r}: expected one of {', '.join(target.classes)}, got "
                    f"{unknown[0]!r}, which the model was not trained for"
                )
            labels = np.array([known[str(value)] for value in texts], np.int64)
            return Dataset(inputs, labels, classes=len(known))
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


def _require(names: Sequence[str], frame: pd.DataFrame) -> None:
    present = list(map(str, frame.columns))
    for name in names:
        if name not in present:
            near = [c for c in present if name in c] or difflib.get_close_matches(name, present)
            hint = f"; did you mean {near[0]!r}?" if name and near else ""
            raise DataError(
                f"column {name!r} is not in the table, which has {', '.join(present)}{hint}"
            )


def _row(column: Any, wrong: Any) -> str:
    """Name the first row that is wrong by the table's own index, which shuffling leaves alone."""
    return f"row {column.index[int(np.argmax(wrong))]} (the first is row 0)"


def _is_numeric(column: Any) -> bool:
    from pandas.api import types

    return bool(types.is_numeric_dtype(column) or types.is_bool_dtype(column))


def _as_text(column: Any) -> list[str | None]:
    """Return the values as text, None where missing; whole numbers without a decimal point."""
    values = []
    for value, missing in zip(column, column.isna(), strict=True):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        values.append(None if missing else str(value))
    return values


def _as_numbers(column: Any, name: str, remedy: str = "") -> Any:
    if not _is_numeric(column):
        import pandas as pd

        if column.isna().all():
            return np.full(len(column), np.nan)
        numbers = pd.to_numeric(column, errors="coerce")
        wrong = column[numbers.isna() & ~column.isna()]
        if len(wrong):
            where = _row(column, column.isin(wrong).to_numpy())
            got = f"expected numbers, got {wrong.iloc[0]!r} in {where}"
            raise DataError(f"column {name!r}: {got}{remedy}")
        column = numbers
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        where = _row(column, np.isinf(values))
        raise DataError(f"column {name!r}: expected finite numbers, got infinity in {where}")
    return values


def _learn(column: Any, name: str) -> Feature | None:
    """Learn one feature; None for a column that never varies, which tells nothing."""
    if column.isna().all():
        return None
    if not _is_numeric(column):
        counts = Counter(text for text in _as_text(column) if text is not None)
        if len(counts) < 2 and not column.isna().any():
            return None
        kept = sorted(sorted(counts, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES])
        return Feature(name, "categorical", categories=tuple(kept))
    values = _as_numbers(column, name)
    present = values[~np.isnan(values)]
    mean, std = float(present.mean()), float(present.std())
    missing = len(present) < len(values)
    if not std > 1e-12 * max(abs(mean), 1.0):
        if not missing:
            return None
        std = 1.0
    return Feature(name, "numeric", mean, std, missing)


def _task_of(frame: Any, target: Sequence[str]) -> Task:
    if len(target) > 1:
        return "regression"
    column = frame[target[0]]
    if column.dtype == bool or not _is_numeric(column):
        return "classification"
    present = column.dropna()
    whole = bool(((present == present.round()) & np.isfinite(present)).all())
    few = present.nunique() <= min(FEW_VALUES, len(present) / 2)
    return "classification" if whole and few else "regression"


def _no_missing(column: Any, name: str) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"target {name!r}: expected a value in every row, got none in {_row(column, missing)} "
            f"({int(missing.sum())} in all); remove these rows"
        )


def _learn_classes(frame: Any, target: Sequence[str]) -> Target:
    if len(target) > 1:
        raise DataError(f"--target: expected one column to classify, got {', '.join(target)}")
    column = frame[target[0]]
    _no_missing(column, target[0])
    numeric = _is_numeric(column) and column.dtype != bool
    values = sorted(set(_as_text(column)), key=float if numeric else str)  # type: ignore[arg-type]
    if len(values) < 2:
        raise DataError(
            f"target {target[0]!r}: expected two classes or more, got only {values[0]!r}"
        )
    if len(values) > len(column) / 2:
        raise DataError(
            f"target {target[0]!r}: {len(values)} classes in {len(column)} rows are too many to "
            "learn; is it a number? then give --task regression"
        )
    return Target(target[0], classes=tuple(map(str, values)))


def _target_numbers(column: Any, name: str) -> Any:
    _no_missing(column, name)
    return _as_numbers(column, name, "; classes are learned where they are the only target")


def _learn_number(column: Any, name: str) -> Target:
    values = _target_numbers(column, name)
    mean, std = float(values.mean()), float(values.std())
    if not std > 1e-12 * max(abs(mean), 1.0):
        raise DataError(f"target {name!r}: expected values that vary, got only {mean:g}")
    return Target(name, mean, std)
