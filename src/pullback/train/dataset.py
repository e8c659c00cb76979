"""Inputs and targets as arrays, checked once at the door."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.errors import DataError
from pullback.numpy import random

STRETCH_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples as rows: `inputs` (n, ...), `targets` (n,) labels or (n, k) numbers.

    Arrays of `np.load(path, mmap_mode="r")` stay on the disk. Inputs are floating, or whole numbers
    for models that begin with an `Embedding`. `classes` is the number of classes for labels, None
    for numbers.
    Raises DataError for empty data, lengths that differ, other dtypes, NaN or infinities, fewer
    than two classes, labels outside 0 ... classes - 1.

    >>> import numpy as np
    >>> len(Dataset(np.zeros((3, 2), np.float32), np.array([0, 1, 1]), classes=2))
    3
    """

    inputs: Any
    targets: Any
    classes: int | None = None

    def __post_init__(self) -> None:
        inputs, targets = _as_array("inputs", self.inputs), _as_array("targets", self.targets)
        if inputs.ndim < 2 or inputs.size == 0:
            raise DataError(
                f"inputs: expected at least one sample in rows, (n, features), got {inputs.shape}"
            )
        if inputs.dtype.kind not in "fiu":
            raise DataError(
                f"inputs: expected a floating dtype, or integers to look up, got {inputs.dtype}; "
                "write inputs.astype(np.float32)"
            )
        if targets.ndim == 0 or len(targets) != len(inputs):
            raise DataError(
                f"targets: expected {len(inputs)} rows as the inputs have, got "
                f"{len(targets) if targets.ndim else 'a single number'}"
            )
        if targets.dtype.kind not in "fiub":
            raise DataError(
                f"targets: expected numbers or labels, got {targets.dtype}; for class names, "
                "write names, labels = np.unique(targets, return_inverse=True)"
            )
        for name, array in (("inputs", inputs), ("targets", targets)):
            if array.dtype.kind == "f":
                _check_finite(name, array)
        if self.classes is not None:
            self._check_labels(targets, self.classes)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)

    @staticmethod
    def _check_labels(targets: Any, classes: int) -> None:
        if classes < 2:
            raise DataError(f"classes: expected two or more, got {classes}")
        if targets.dtype.kind not in "iu" or targets.ndim != 1:
            raise DataError(
                f"targets: expected integer labels of shape (n,), got {targets.dtype} of shape "
                f"{targets.shape}"
            )
        if targets.min() < 0 or targets.max() >= classes:
            raise DataError(
                f"targets: expected labels from 0 to {classes - 1}, got {targets.min()} to "
                f"{targets.max()}"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def trial(self) -> Dataset:
        """Return rows to try a model on: all."""
        return self

    def windows(self, key: random.Key, batch_size: int) -> Iterator[tuple[Dataset, Any]]:
        """Yield what an epoch goes over and the order of the rows: all, in an order by `key`."""
        yield self, random.permutation(key, len(self))

    def parts(self) -> Iterator[Dataset]:
        """Yield the rows in their own order: all at once."""
        yield self

    def fingerprint(self) -> str:
        """Return a short hash of the numbers, to tell whether data changed."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.targets):
            digest.update(f"{array.dtype}{array.shape}".encode())
            for rows in _stretches(array):
                digest.update(np.ascontiguousarray(rows).data)
        return digest.hexdigest()[:16]


def _check_finite(name: str, array: Any) -> None:
    first = 0
    for rows in _stretches(array):
        finite = np.isfinite(rows)
        if not finite.all():
            row = first + int(np.argwhere(~finite)[0][0])
            raise DataError(
                f"{name}: expected finite numbers, got NaN or infinity in row {row}; remove "
                "such rows or fill them in"
            )
        first += len(rows)


def _stretches(array: Any) -> Iterator[Any]:
    """Yield the rows of `array` in stretches of about 16 MB, since it may be larger than memory."""
    size = max(1, STRETCH_BYTES * len(array) // max(1, array.nbytes))
    return (array[start : start + size] for start in range(0, len(array), size))


def _as_array(name: str, values: Any) -> Any:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: expected rows of equal length, got {error}") from None
