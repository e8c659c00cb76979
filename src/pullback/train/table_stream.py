"""A table larger than memory as a stream of numbers, split and standardised on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pullback.core.errors import DataError
from pullback.numpy import random
from pullback.train.arrow import ArrowTable
from pullback.train.dataset import Dataset
from pullback.train.stream import Stream, held_out, window_rows
from pullback.train.table import Fitting, TablePreprocessor


@dataclass(frozen=True)
class Split:
    """The rows of a table that are held out, a `share` drawn by `seed`, or all the others."""

    seed: int
    share: float
    validation: bool


@dataclass(frozen=True)
class TableStream(Stream):
    """The training or the validation rows of an `ArrowTable`, turned into numbers as they come.

    In an epoch the stretches of the table, row groups of Parquet or else files, come in an order
    of the epoch's own, and their rows are shuffled in windows.
    """

    table: ArrowTable
    preprocessing: TablePreprocessor
    split: Split
    rows: int
    window: int

    @property
    def classes(self) -> int | None:
        """Number of classes, None where numbers are predicted."""
        return len(self.preprocessing.targets[0].classes) or None

    def pieces(self, key: random.Key | None = None) -> Iterator[Dataset]:
        """Yield the rows of each block of the table; `key` permutes its stretches."""
        order = None if key is None else random.permutation(key, len(self.table.stretches))
        preprocessing = self.preprocessing
        columns = [feature.name for feature in preprocessing.features]
        columns += [target.name for target in preprocessing.targets]
        for frame in self.table.frames(order, columns):
            held = held_out(frame.index, self.split.seed, self.split.share)
            rows = frame[held == self.split.validation]
            if len(rows):
                yield preprocessing.transform(rows)

    def fingerprint(self) -> str:
        """Return a short hash of the rows' number, the split, and what was learned from them."""
        split = (self.split.seed, self.split.share, self.split.validation)
        learned = self.preprocessing.to_json()
        content = json.dumps([self.table.rows, self.rows, self.window, split, learned])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def stream_table(
    table: ArrowTable,
    target: str | Sequence[str],
    task: Literal["auto", "regression", "classification"],
    seed: int,
    validation: float,
    window: int | str,
) -> tuple[TableStream, TableStream]:
    """Return the training and the validation rows; preprocessing is learned in a pass over the
    training rows alone, the classes of a target from all.

    Raises DataError for columns that cannot be used, or too few rows.
    """
    fitting = Fitting(target, task)
    trained = 0
    for frame in table.frames():
        held = held_out(frame.index, seed, validation)
        training = frame[~held]
        trained += len(training)
        fitting.add(training, frame)
        fitting.check(frame[held])
    if not 0 < trained < table.rows:
        raise DataError(
            f"{table.rows} rows are too few to hold out {validation:.0%} for validation"
        )
    preprocessing = fitting.preprocessor()
    first = next(table.frames())
    example = preprocessing.transform(first)
    row_bytes = (example.inputs.nbytes + example.targets.nbytes) // len(example)
    size = window_rows(window, row_bytes)
    train, rest = (
        TableStream(table, preprocessing, Split(seed, validation, part), rows, size)
        for part, rows in ((False, trained), (True, table.rows - trained))
    )
    return train, rest
