"""Inputs and targets as arrays, checked once at the door."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples as rows: `inputs` (n, ...), `targets` (n,) labels or (n, k) numbers.

    Inputs are floating, or whole numbers for models that begin with an `Embedding`. `classes` is
    the number of classes for labels, None for numbers.
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
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0][0])
                raise DataError(
                    f"{name}: expected finite numbers, got NaN or infinity in row {row}; remove "
                    "such rows or fill them in"
                )
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

    def fingerprint(self) -> str:
        """Return a short hash of the numbers, to tell whether data changed."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.targets):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]


def _as_array(name: str, values: Any) -> Any:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: expected rows of equal length, got {error}") from None
