"""Metrics: how good predictions are, as one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def accuracy(outputs: Any, labels: Any) -> float:
    """Return the share of rows whose largest output is at the label.

    >>> import numpy as np
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    return float(np.mean(np.argmax(outputs, axis=1) == labels))


def r2(predictions: Any, targets: Any) -> float:
    """Return the coefficient of determination, 1 - residual / total variation, over all targets.

    >>> import numpy as np
    >>> r2(np.array([[1.0], [2.0]]), np.array([[1.0], [2.0]]))
    1.0
    """
    residual = np.sum((targets - predictions) ** 2, dtype=np.float64)
    total = np.sum((targets - np.mean(targets, axis=0)) ** 2, dtype=np.float64)
    return float(1 - residual / total) if total > 0 else float("nan")


def rmse(predictions: Any, targets: Any) -> Any:
    """Return the root of the mean squared error of each column, in its unit."""
    return np.sqrt(np.mean((predictions - targets) ** 2, axis=0))


def mae(predictions: Any, targets: Any) -> Any:
    """Return the mean absolute error of each column, in its unit."""
    return np.mean(np.abs(predictions - targets), axis=0)


METRICS: dict[str, Callable[[Any, Any], float]] = {"accuracy": accuracy, "r2": r2}
"""The metrics by name."""
