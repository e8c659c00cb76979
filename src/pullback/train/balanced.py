"""Drawing every class equally often, however many samples it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pullback.core.errors import DataError
from pullback.numpy import random
from pullback.train.dataset import Dataset
from pullback.train.misfits import check_data
from pullback.train.stream import Stream


class Balanced(Stream):
    """`data` with as many samples of each class in an epoch, as many in all as `data` has.

    Of a common class each epoch draws other samples, none twice before all have come; those of a
    rare class come several times. Evaluation takes all samples as they are.
    Raises DataError where targets are no labels, a class has no sample, or `data` has weights.

    >>> data = Dataset(np.zeros((6, 1)), np.array([0, 0, 0, 0, 0, 1]), classes=2)
    >>> ((window, order),) = Balanced(data).windows(random.key(0), batch_size=2)
    >>> np.bincount(window.targets[order])
    array([3, 3])
    """

    def __init__(self, data: Dataset) -> None:
        check_data(data, "data", Dataset)
        if data.classes is None:
            raise DataError("data: expected labels, Dataset(..., classes=k), got numbers")
        counts = np.bincount(data.targets, minlength=data.classes)
        if not counts.all():
            raise DataError(f"data: expected samples of every class, got none of {counts.argmin()}")
        if data.weights is not None:
            raise DataError("data: expected no weights, since classes count alike already")
        self.data = data
        self.rows = self.window = len(data)

    @property
    def classes(self) -> int | None:
        """Number of classes."""
        return self.data.classes

    def windows(self, key: random.Key, batch_size: int) -> Iterator[tuple[Dataset, Any]]:
        """Yield the data, and the places of an epoch's samples."""
        yield self.data, balanced_order(self.data.targets, key)

    def pieces(self, key: random.Key | None = None) -> Iterator[Dataset]:
        """Yield the data."""
        yield self.data

    def fingerprint(self) -> str:
        """Return a short hash of the data and of how they are drawn."""
        return f"balanced-{self.data.fingerprint()}"


def balanced_order(labels: Any, key: random.Key) -> Any:
    """Return len(labels) places in `labels`, of each class equally many but for one, in any order.

    The samples of a class all come once before one of them comes again.

    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> np.bincount(labels[balanced_order(labels, random.key(0))])
    array([3, 3])
    """
    classes = np.unique(labels)
    share, surplus = divmod(len(labels), len(classes))
    drawn = []
    for i, label in enumerate(classes):
        count = share + (i < surplus)
        places = np.flatnonzero(labels == label)
        rounds = -(-count // len(places))
        keys = random.split(random.fold_in(key, i), rounds)
        shuffled = [random.permutation(own, places) for own in keys]
        drawn.append(np.concatenate(shuffled)[:count])
    return random.permutation(random.fold_in(key, len(classes)), np.concatenate(drawn))
