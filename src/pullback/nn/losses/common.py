"""What losses share: checks of shapes and values, weights, and the reduction to one number."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from pullback.core.errors import ConfigError, DataError, DTypeError, ShapeError
from pullback.core.tracer import Tracer

Reduction = Literal["mean", "sum", "none"]
_SUM_TOLERANCE = 1e-3


def reduce(values: Any, reduction: Reduction, sample_weight: Any = None) -> Any:
    """Return the mean or the sum of `values`, (n, ...), or with "none" these themselves.

    `sample_weight` has the first axes of `values`: it multiplies them, and the mean is divided by
    its sum. Raises ShapeError where it does not fit, DataError where it is negative or not finite.
    """
    if sample_weight is None:
        return total(values, None, reduction)
    weight = spread_weight(sample_weight, values)
    return total(
        values * weight, np.sum(weight) * (math.prod(values.shape) // weight.size), reduction
    )


def total(weighted: Any, weight: Any, reduction: Reduction) -> Any:
    """Return the reduction of values that are weighted already, with the sum of the weights."""
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return np.sum(weighted)
    if reduction == "mean":
        return np.mean(weighted) if weight is None else np.sum(weighted) / weight
    raise ConfigError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}.")


def spread_weight(sample_weight: Any, values: Any) -> Any:
    """Return checked weights in the dtype of `values`, with axes of length 1 at the end."""
    weight = sample_weight if isinstance(sample_weight, Tracer) else np.asarray(sample_weight)
    got, shape = weight.shape, values.shape
    if got != shape[: len(got)]:
        raise ShapeError(
            f"sample_weight: expected one weight for each sample, shape {shape[:1]}, or one for "
            f"each entry, shape {shape}, got {got}."
        )
    check_weight("sample_weight", weight)
    return np.reshape(weight.astype(values.dtype), got + (1,) * (len(shape) - len(got)))


def check_weight(name: str, weight: Any) -> None:
    """Raise DataError unless all weights, where they are known, are finite and not negative."""
    values = concrete(weight)
    if values is not None and not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(
            f"{name}: expected finite weights of 0 or more, got {values.min()} to {values.max()}."
        )


def checked(target: Any, prediction: Any, names: tuple[str, str] = ("target", "prediction")) -> Any:
    """Return `target` as floating numbers, if it has the shape of `prediction`."""
    got, shape = np.shape(target), np.shape(prediction)
    if got != shape:
        hint = ""
        if math.prod(got) == math.prod(shape):
            hint = f" Write {names[0]}.reshape({names[1]}.shape)."
        raise ShapeError(f"{names[0]}: expected the shape of {names[1]}, {shape}, got {got}.{hint}")
    if 0 in shape:
        raise ShapeError(f"{names[1]}: expected at least one entry, got shape {shape}.")
    return as_floating(target, prediction)


def check_not_negative(name: str, x: Any) -> None:
    """Raise DataError unless all of x, where it is known, are numbers of 0 or more."""
    values = concrete(x)
    if values is not None and not values.min() >= 0:
        raise DataError(
            f"{name}: expected numbers of 0 or more, got {values.min()} to {values.max()}."
        )


def as_floating(target: Any, prediction: Any) -> Any:
    """Return integers and booleans in the dtype of `prediction`, which they would widen."""
    target = np.asarray(target) if isinstance(target, (list, tuple)) else target
    kind = getattr(target, "dtype", None)
    if kind is None or kind.kind not in "biu":
        return target
    return target.astype(prediction.dtype)


def concrete(x: Any) -> Any:
    """Return x as an array whose values can be looked at, or None if it is traced."""
    return None if isinstance(x, Tracer) else np.asarray(x)


def check_labels(labels: Any, classes: int, ignored: int | None = None) -> None:
    """Raise unless `labels` are integers in [0, classes), or equal to `ignored`."""
    kind = labels.dtype.kind
    if kind not in "iu":
        raise DTypeError(
            f"labels: expected integers, got {labels.dtype}. "
            "Convert them with labels.astype(np.int64), or give one-hot rows."
        )
    values = concrete(labels)
    if values is not None and ignored is not None:
        values = values[values != ignored]
    if values is not None and values.size and not (values.min() >= 0 and values.max() < classes):
        raise DataError(
            f"labels: expected integers from 0 to {classes - 1} for {classes} logits, "
            f"got {values.min()} to {values.max()}. "
            "Number the classes from 0, or give the network more outputs."
        )


def check_probabilities(labels: Any) -> None:
    """Raise DataError unless the rows of `labels` are probabilities."""
    values = concrete(labels)
    if values is None:
        return
    sums = values.sum(axis=-1)
    if not (values.min() >= 0 and abs(sums - 1).max() <= _SUM_TOLERANCE):
        raise DataError(
            "labels: expected rows of probabilities, not negative and with sum 1, got values from "
            f"{values.min()} to {values.max()} and sums from {sums.min()} to {sums.max()}. "
            "Give one-hot rows, or integer labels of shape (n,)."
        )
