"""Inputs and targets as arrays, checked once at the door."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from pullback.core.errors import DataError
from pullback.numpy import random

STRETCH_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples as rows: `inputs` (n, ...), `targets` (n,) labels or (n, k) numbers.

    Arrays of `np.load(path, mmap_mode="r")` stay on the disk. Inputs are floating, or whole numbers
    for models that begin with an `Embedding`. `classes` is the number of classes for labels, None
    for numbers. `weights`, (n,), say how much each sample counts in the loss: 2 as much as twice.
    Raises DataError for empty data, lengths that differ, other dtypes, NaN or infinities, fewer
    than two classes, labels outside 0 ... classes - 1, weights below 0 or all 0.

    >>> import numpy as np
    >>> len(Dataset(np.zeros((3, 2), np.float32), np.array([0, 1, 1]), classes=2))
    3
    """

    inputs: Any
    targets: Any
    classes: int | None = None
    weights: Any = None

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
        if self.weights is not None:
            object.__setattr__(self, "weights", _checked_weights(self.weights, len(inputs)))
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)

    @staticmethod
    def _check_labels(targets: Any, classes: int) -> None:
        if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
            raise DataError(f"classes: expected a whole number of 2 or more, got {classes!r}")
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

    def arrays(self) -> tuple[Any, ...]:
        """Return what a step takes rows of: inputs, targets, and weights of mean 1 if there are."""
        if self.weights is None:
            return self.inputs, self.targets
        dtype = self.inputs.dtype if self.inputs.dtype.kind == "f" else np.float32
        scaled = self.weights / np.mean(self.weights, dtype=np.float64)
        return self.inputs, self.targets, scaled.astype(dtype)

    def class_weighted(self, weights: Literal["balanced"] | Sequence[float] = "balanced") -> Self:
        """Return the same data, each sample's weight times that of its class.

        "balanced" lets all classes count alike: n / (k n_c) for the n_c samples of class c among k.
        Source: King and Zeng, "Logistic regression in rare events data", Political Analysis 9,
        2001, as in scikit-learn.
        Raises DataError where targets are no labels, or there is not one weight for each class.

        >>> import numpy as np
        >>> data = Dataset(np.zeros((4, 1)), np.array([0, 0, 0, 1]), classes=2)
        >>> data.class_weighted().weights.round(3)
        array([0.667, 0.667, 0.667, 2.   ])
        """
        if self.classes is None:
            raise DataError("class_weighted: expected labels, Dataset(..., classes=k), got numbers")
        if not isinstance(weights, str):
            of_each = _checked_weights(weights, self.classes)
        elif weights == "balanced":
            counts = np.bincount(self.targets, minlength=self.classes)
            of_each = len(self) / (self.classes * np.maximum(counts, 1))
        else:
            raise DataError(f"class_weighted: expected 'balanced' or numbers, got {weights!r}")
        of_class = of_each[self.targets]
        return replace(self, weights=of_class if self.weights is None else self.weights * of_class)

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
        for array in (self.inputs, self.targets, *([] if self.weights is None else [self.weights])):
            digest.update(f"{array.dtype}{array.shape}".encode())
            for rows in _stretches(array):
                digest.update(np.ascontiguousarray(rows).data)
        return digest.hexdigest()[:16]


def _checked_weights(weights: Any, count: int) -> Any:
    """Return `weights` as floating numbers, if they are that many, none negative, not all 0."""
    found = _as_array("weights", weights)
    if found.shape != (count,) or found.dtype.kind not in "fiu":
        raise DataError(
            f"weights: expected {count} numbers, shape ({count},), got {found.dtype} of shape "
            f"{found.shape}"
        )
    if not (np.isfinite(found).all() and (found >= 0).all() and (found > 0).any()):
        raise DataError(
            "weights: expected finite numbers of 0 or more, not all 0, got "
            f"{found.min()} to {found.max()}"
        )
    return found if found.dtype.kind == "f" else found.astype(np.float64)


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
