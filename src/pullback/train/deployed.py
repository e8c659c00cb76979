"""A trained network together with what is done to its table, as one function of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.nn import softmax
from pullback.nn.module import Module, static
from pullback.train.table import Feature, TablePreprocessor


class Deployed(Module):
    """From rows of a table to predictions: numbers in their units, or a class and probabilities.

    Rows are float64 of shape (n, features): numbers as they are, NaN where one is missing, and for
    a category its place in the feature's list, -1 for one that is not there. The result is a dict:
    an array (n,) for each target, or "class", the places of the likeliest, and "probabilities".

    >>> from pullback import nn
    >>> from pullback.train.table import Target
    >>> preprocessing = TablePreprocessor(
    ...     "regression", (Feature("size", "numeric", mean=10.0, std=2.0),), (Target("price", 5.0),)
    ... )
    >>> Deployed(nn.Linear(np.ones((1, 1))), preprocessing)(np.array([[14.0]]))
    {'price': array([7.])}
    """

    network: Any
    preprocessing: TablePreprocessor = static()

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Return the predictions for `rows`."""
        outputs = self.network(encoded(rows, self.preprocessing.features))
        if self.preprocessing.task == "classification":
            return {"class": np.argmax(outputs, axis=1), "probabilities": softmax(outputs)}
        numbers = outputs.astype(np.float64)
        return {
            target.name: numbers[:, i] * target.std + target.mean
            for i, target in enumerate(self.preprocessing.targets)
        }


def encoded(rows: Any, features: Sequence[Feature]) -> Any:
    """Return the inputs of the network for `rows`, as `TablePreprocessor.inputs` for their table.

    >>> marked = Feature("size", "numeric", mean=10.0, std=2.0, marks_missing=True)
    >>> town = Feature("town", "categorical", categories=("a", "b"))
    >>> encoded(np.array([[14.0, 1.0], [np.nan, -1.0]]), [marked, town])
    array([[2., 0., 0., 1., 0.],
           [0., 1., 0., 0., 1.]], dtype=float32)
    """
    numeric = [i for i, f in enumerate(features) if f.kind == "numeric"]
    means, stds = (np.array([getattr(features[i], m) for i in numeric]) for m in ("mean", "std"))
    values = rows[:, numeric]
    missing = np.isnan(values)
    scaled = (np.where(missing, means, values) - means) / stds
    parts, owners = [scaled], list(numeric)
    marked = [k for k, i in enumerate(numeric) if features[i].marks_missing]
    if marked:
        parts.append(missing[:, marked].astype(np.float64))
        owners += [numeric[k] for k in marked]
    for i, feature in enumerate(features):
        if feature.kind == "categorical":
            unknown = len(feature.categories)
            place = rows[:, i : i + 1]
            known = (place >= 0) & (place < unknown)
            parts.append(
                (np.where(known, place, unknown) == np.arange(unknown + 1.0)).astype(float)
            )
            owners += [i] * (unknown + 1)
    order = np.argsort(owners, kind="stable")  # inputs lie together by feature
    return np.concatenate(parts, axis=1)[:, order].astype(np.float32)
