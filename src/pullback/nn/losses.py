"""Losses: functions (prediction, target) -> scalar, and the L2 penalty on weights.

Shapes are always checked. Labels are checked against their range when they are concrete, that is,
not traced. All but `squared_error` are means, so that their size does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.errors import ConfigError, DataError, DTypeError, ShapeError
from pullback.core.tracer import Tracer
from pullback.transform import stop_gradient

_SUM_TOLERANCE = 1e-3


def squared_error(prediction: Any, target: Any) -> Any:
    """Return 1/2 the sum of (prediction - target)^2 over all entries, those of a batch included.

    The gradient with respect to `prediction` is prediction - target: for a batch of rows, that of
    each sample's own loss 1/2 |y - t|^2, so weight gradients are sums over the samples.
    Raises ShapeError if the shapes differ or are empty.

    >>> float(squared_error(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [3.0, 1.0]])))
    5.0
    """
    r = prediction - _checked(target, prediction)
    return 0.5 * np.sum(r * r)


def mean_squared_error(prediction: Any, target: Any) -> Any:
    """Return the mean of (prediction - target)^2 over all entries.

    Raises ShapeError if the shapes differ or are empty.

    >>> float(mean_squared_error(np.array([1.0, 4.0]), np.array([0.0, 1.0])))
    5.0
    """
    r = prediction - _checked(target, prediction)
    return np.mean(r * r)


def l1(prediction: Any, target: Any) -> Any:
    """Return the mean of |prediction - target| over all entries.

    Raises ShapeError if the shapes differ or are empty.

    >>> float(l1(np.array([1.0, 4.0]), np.array([0.0, 1.0])))
    2.0
    """
    return np.mean(np.abs(prediction - _checked(target, prediction)))


def huber(prediction: Any, target: Any, delta: float = 1.0) -> Any:
    """Return the mean of r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2), r the residual.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics
    35, 1964. Raises ShapeError if the shapes differ or are empty, ConfigError if delta <= 0.

    >>> float(huber(np.array([1.0, 4.0]), np.array([0.0, 1.0])))
    1.5
    """
    if not delta > 0:
        raise ConfigError(f"delta: expected a positive number, got {delta}.")
    r = prediction - _checked(target, prediction)
    # With c the clipped residual both cases are c (r - c / 2), and the derivative is c.
    c = np.clip(r, -delta, delta)
    return np.mean(c * (r - 0.5 * c))


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """Return the mean over the batch of -log softmax(logits)[label], computed from the logits.

    `logits` is (n, k); `labels` is (n,) integers in [0, k), or (n, k) probabilities such as one-hot
    rows. With p the softmax, the gradient is (p - onehot) / n: Bishop, "Pattern Recognition and
    Machine Learning", 2006, equation 4.109.
    Raises ShapeError on other shapes, DTypeError if labels of shape (n,) are not integers,
    DataError if a label is out of range, or if probabilities are negative or do not sum to 1.

    >>> logits = np.array([[2.0, 0.0], [0.0, 0.0]])
    >>> round(float(softmax_cross_entropy(logits, np.array([0, 1]))), 6)
    0.410038
    >>> round(float(softmax_cross_entropy(logits, np.array([[1.0, 0.0], [0.0, 1.0]]))), 6)
    0.410038
    """
    labels = np.asarray(labels) if isinstance(labels, (list, tuple)) else labels
    shape, wanted = np.shape(logits), np.shape(labels)
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(
            f"logits: expected shape (n, k), n samples and k classes, got {shape}. "
            "Give one row of scores for each sample."
        )
    if wanted == shape:
        _check_probabilities(labels)
        picked = _as_floating(labels, logits) * logits
    elif wanted == shape[:1]:
        _check_labels(labels, shape[1])
        # A comparison, since gathering would need a scatter in the gradient; and where, not a
        # product, so that a logit of -inf, a class masked out, is not turned into NaN.
        picked = np.where(labels[:, None] == np.arange(shape[1]), logits, 0)
    else:
        raise ShapeError(
            f"labels: expected shape {shape[:1]} (integers) or {shape} (one-hot rows) for logits "
            f"of shape {shape}, got {wanted}."
        )
    # Any constant shift gives the same loss, so the gradient need not pass through the maximum.
    top = stop_gradient(np.max(logits, axis=1, keepdims=True))
    log_total = np.log(np.sum(np.exp(logits - top), axis=1)) + top[:, 0]
    return np.mean(log_total - np.sum(picked, axis=1))


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the mean of -(t log s + (1 - t) log(1 - s)) with s = sigmoid(logits).

    Computed as log(1 + exp(z)) - t z, which neither overflows nor takes log 0. `targets` has the
    shape of `logits` and values in [0, 1]; integers and booleans will do.
    Raises ShapeError if the shapes differ or are empty, DataError if a target is out of range.

    >>> round(float(binary_cross_entropy(np.array([0.0, 800.0]), np.array([0, 1]))), 6)
    0.346574
    """
    targets = _checked(targets, logits, names=("targets", "logits"))
    values = _concrete(targets)
    if values is not None and not (values.min() >= 0 and values.max() <= 1):
        raise DataError(
            f"targets: expected values in [0, 1], got {values.min()} to {values.max()}. "
            "Encode the two classes as 0 and 1."
        )
    return np.mean(np.logaddexp(logits, 0) - targets * logits)


def l2_penalty(params: Any) -> Any:
    """Return 1/2 the sum of squares of the weights in the pytree `params`; its gradient is W.

    Weights are the leaves with two dimensions or more: biases are not penalised. Add
    `strength * l2_penalty(model)` to a loss.

    >>> from pullback.nn import Linear
    >>> float(l2_penalty(Linear(np.array([[1.0], [3.0]]), np.array([100.0]))))
    5.0
    """
    total: Any = 0.0
    for leaf in pytree.leaves(params):
        if len(np.shape(leaf)) >= 2:
            total = total + 0.5 * np.sum(leaf * leaf)
    return total


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "squared_error": squared_error,
    "mean_squared_error": mean_squared_error,
    "softmax_cross_entropy": softmax_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "l1": l1,
    "huber": huber,
}
"""The losses by name."""


def _checked(
    target: Any, prediction: Any, names: tuple[str, str] = ("target", "prediction")
) -> Any:
    """Return `target` as floating numbers, if it has the shape of `prediction`."""
    got, shape = np.shape(target), np.shape(prediction)
    if got != shape:
        hint = ""
        if got in ((*shape, 1), shape[:-1]):
            hint = f" Write {names[0]}.reshape({names[1]}.shape)."
        raise ShapeError(f"{names[0]}: expected the shape of {names[1]}, {shape}, got {got}.{hint}")
    if 0 in shape:
        raise ShapeError(f"{names[1]}: expected at least one entry, got shape {shape}.")
    return _as_floating(target, prediction)


def _as_floating(target: Any, prediction: Any) -> Any:
    """Return integers and booleans in the dtype of `prediction`, which they would widen."""
    target = np.asarray(target) if isinstance(target, (list, tuple)) else target
    kind = getattr(target, "dtype", None)
    if kind is None or kind.kind not in "biu":
        return target
    return target.astype(prediction.dtype)


def _concrete(x: Any) -> Any:
    """Return x as an array whose values can be looked at, or None if it is traced."""
    return None if isinstance(x, Tracer) else np.asarray(x)


def _check_labels(labels: Any, classes: int) -> None:
    kind = labels.dtype.kind
    if kind not in "iu":
        raise DTypeError(
            f"labels: expected integers, got {labels.dtype}. "
            "Convert them with labels.astype(np.int64), or give one-hot rows."
        )
    values = _concrete(labels)
    if values is not None and not (values.min() >= 0 and values.max() < classes):
        raise DataError(
            f"labels: expected integers from 0 to {classes - 1} for {classes} logits, "
            f"got {values.min()} to {values.max()}. "
            "Number the classes from 0, or give the network more outputs."
        )


def _check_probabilities(labels: Any) -> None:
    values = _concrete(labels)
    if values is None:
        return
    sums = values.sum(axis=1)
    if not (values.min() >= 0 and abs(sums - 1).max() <= _SUM_TOLERANCE):
        raise DataError(
            "labels: expected rows of probabilities, not negative and with sum 1, got values from "
            f"{values.min()} to {values.max()} and sums from {sums.min()} to {sums.max()}. "
            "Give one-hot rows, or integer labels of shape (n,)."
        )
