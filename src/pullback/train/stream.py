"""Data larger than memory: every row once in an epoch, shuffled in windows."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from pullback.core.errors import ConfigError, DataError
from pullback.numpy import random
from pullback.train.dataset import Dataset

DEFAULT_WINDOW = "256MB"
PART_ROWS = 4096
UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Stream(ABC):
    """Rows that come in pieces, what a `Trainer` takes besides a `Dataset`.

    An epoch reads all pieces in an order of its own into windows of `window` rows, and shuffles
    each: every row comes once, and the order follows from seed and epoch alone. In memory are a
    window and a piece.
    """

    rows: int
    window: int

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """Number of classes of labels, None for numbers."""

    @abstractmethod
    def pieces(self, key: random.Key | None = None) -> Iterator[Dataset]:
        """Yield all rows in pieces, in their own order, or in one that follows from `key`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a short hash that tells whether the data changed, as far as it can be told."""

    def __len__(self) -> int:
        return self.rows

    def trial(self) -> Dataset:
        """Return some rows to try a model on; labels, where there are any, run through all."""
        piece = next(self._counted())
        if self.classes is None:
            return piece
        count = max(len(piece), self.classes)
        rows = np.resize(np.arange(len(piece)), count)
        return Dataset(piece.inputs[rows], np.resize(np.arange(self.classes), count), self.classes)

    def windows(self, key: random.Key, batch_size: int) -> Iterator[tuple[Dataset, Any]]:
        """Yield the windows of an epoch, and the order of their rows, in which each comes once.

        All but the last hold whole batches. A window is overwritten by the next; of the last one,
        `order` leaves out the rows that the one before left there.
        """
        size = max(1, self.window // batch_size) * batch_size
        for n, (window, count) in enumerate(_filled(self._counted(key), min(size, self.rows))):
            yield window, random.permutation(random.fold_in(key, n), count)

    def parts(self) -> Iterator[Dataset]:
        """Yield all rows in their own order, in parts of equal size but the last."""
        for part, count in _filled(self._counted(), min(PART_ROWS, self.rows)):
            yield Dataset(part.inputs[:count], part.targets[:count], self.classes)

    def _counted(self, key: random.Key | None = None) -> Iterator[Dataset]:
        found, first = 0, None
        for piece in self.pieces(key):
            if not isinstance(piece, Dataset):
                raise DataError(f"pieces: expected Datasets, got {type(piece).__name__}")
            first = first or _rows_of(piece)
            if _rows_of(piece) != first:
                raise DataError(
                    f"pieces: expected rows as in the first of them, {first}, got {_rows_of(piece)}"
                )
            found += len(piece)
            yield piece
        if found != self.rows:
            raise DataError(f"pieces: expected {self.rows} rows in all, got {found}")


def window_rows(window: int | str, row_bytes: int) -> int:
    """Return how many rows of `row_bytes` a window has: "100000" rows, or bytes as in "256MB".

    Raises ConfigError for what is neither.

    >>> window_rows("1MB", row_bytes=1000), window_rows("1000", row_bytes=8)
    (1000, 1000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(window).strip())
    number, unit = found.groups() if found else ("", "")
    if not found or (unit and unit.lower() not in UNITS) or (not unit and "." in number):
        raise ConfigError(
            f"window: expected rows, as in 100000, or bytes, as in 256MB or 1GiB, got {window!r}"
        )
    rows = int(float(number) * UNITS[unit.lower()] // row_bytes) if unit else int(number)
    if rows < 1:
        raise ConfigError(f"window: expected one row of {row_bytes} bytes at least, got {window!r}")
    return rows


def held_out(rows: Any, seed: int, share: float) -> Any:
    """Return which of the row numbers `rows` are held out for validation: about `share` of all.

    It follows from seed and number alone, so that no list of rows is kept. Source: SplitMix64, in
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    >>> import numpy as np
    >>> int(held_out(np.arange(10_000), seed=0, share=0.2).sum())
    2006
    """
    z = np.asarray(rows, np.uint64) + random.bits(random.key(seed), (1,), np.uint64)
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) < np.uint64(int(share * 2.0**64))


def _rows_of(piece: Dataset) -> str:
    inputs, targets = (
        f"{array.dtype} of shape {array.shape[1:]}" for array in (piece.inputs, piece.targets)
    )
    return f"inputs {inputs} and targets {targets}"


def _filled(pieces: Iterator[Dataset], size: int) -> Iterator[tuple[Dataset, int]]:
    """Yield one buffer of `size` rows, filled anew each time, and how many rows are new in it."""
    inputs: Any = None
    targets: Any = None
    count = 0
    for piece in pieces:
        if piece.weights is not None:
            raise DataError("weights: a stream takes none; leave them out, or train on a Dataset")
        if inputs is None:
            inputs, targets = (
                np.zeros((size, *array.shape[1:]), array.dtype)
                for array in (piece.inputs, piece.targets)
            )
        start = 0
        while start < len(piece):
            taken = min(len(piece) - start, size - count)
            inputs[count : count + taken] = piece.inputs[start : start + taken]
            targets[count : count + taken] = piece.targets[start : start + taken]
            start, count = start + taken, count + taken
            if count == size:
                yield Dataset(inputs, targets, piece.classes), count
                count = 0
    if count:
        yield Dataset(inputs, targets, piece.classes), count
