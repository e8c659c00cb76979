"""Metrics: how good predictions are, as one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.errors import DataError, ShapeError


def accuracy(outputs: Any, labels: Any) -> float:
    """Return the share of rows whose largest output is at the label.

    `outputs` is (n, k); `labels` is (n,) integers, or (n, k) one-hot rows. A single output, (n, 1),
    is the logit of label 1 against label 0.
    Raises ShapeError on other shapes, DataError on numbers that are no labels.

    >>> import numpy as np
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([[0, 1], [0, 1]]))
    0.5
    """
    shape, wanted = np.shape(outputs), np.shape(labels)
    if len(shape) != 2 or wanted not in (shape, shape[:1]):
        raise ShapeError(
            f"labels: expected shape (n,) or (n, k) for outputs of shape (n, k), got {wanted} for "
            f"{shape}"
        )
    one_hot = wanted == shape and shape[1] > 1
    classes = max(2, shape[1])
    known = np.isin(labels, np.arange(2 if one_hot else classes)).all()
    if not known or (one_hot and (np.sum(labels, axis=1) != 1).any()):
        raise DataError(
            f"labels: expected classes from 0 to {classes - 1}, or one-hot rows, got other "
            "numbers; for numbers to predict take another metric, such as r2"
        )
    if shape[1] == 1:
        return float(np.mean((outputs > 0).ravel() == np.ravel(labels)))
    if one_hot:
        labels = np.argmax(labels, axis=1)
    return float(np.mean(np.argmax(outputs, axis=1) == labels))


def r2(predictions: Any, targets: Any) -> float:
    """Return the coefficient of determination, 1 - residual / total variation, over all targets.

    NaN where the targets do not vary. Raises ShapeError if the shapes differ.

    >>> import numpy as np
    >>> r2(np.array([[1.0], [2.0]]), np.array([[1.0], [2.0]]))
    1.0
    """
    residual = np.sum(_residual(predictions, targets) ** 2, dtype=np.float64)
    total = np.sum((targets - np.mean(targets, axis=0, dtype=np.float64)) ** 2, dtype=np.float64)
    return float(1 - residual / total) if total > 0 else float("nan")


def rmse(predictions: Any, targets: Any) -> Any:
    """Return the root of the mean squared error of each column, in its unit; float64.

    Raises ShapeError if the shapes differ.

    >>> import numpy as np
    >>> rmse(np.array([[1.0], [2.0]]), np.array([[4.0], [5.0]]))
    array([3.])
    """
    return np.sqrt(np.mean(_residual(predictions, targets) ** 2, axis=0, dtype=np.float64))


def mae(predictions: Any, targets: Any) -> Any:
    """Return the mean absolute error of each column, in its unit; float64.

    Raises ShapeError if the shapes differ.

    >>> import numpy as np
    >>> mae(np.array([[1.0], [2.0]]), np.array([[4.0], [1.0]]))
    array([2.])
    """
    return np.mean(np.abs(_residual(predictions, targets)), axis=0, dtype=np.float64)


METRICS: dict[str, Callable[[Any, Any], float]] = {"accuracy": accuracy, "r2": r2}
"""The metrics by name; more is better in all of them."""


def _residual(predictions: Any, targets: Any) -> Any:
    if np.shape(predictions) != np.shape(targets):
        raise ShapeError(
            f"targets: expected the shape of predictions, {np.shape(predictions)}, got "
            f"{np.shape(targets)}"
        )
    return targets - predictions
