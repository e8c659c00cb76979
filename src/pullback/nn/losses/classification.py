"""Losses of classes, from scores: logits, log-probabilities, or signed distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.errors import ConfigError, DataError, ShapeError
from pullback.nn.activations import log_sigmoid, relu, sigmoid
from pullback.nn.losses.common import (
    Reduction,
    as_floating,
    check_labels,
    check_probabilities,
    check_weight,
    checked,
    concrete,
    reduce,
    spread_weight,
    total,
)
from pullback.transform import stop_gradient


def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean over the samples of -log softmax(logits)[label], computed from the logits.

    `logits` is (n, ..., k); `labels` is (n, ...) integers in [0, k), or (n, ..., k) probabilities
    such as one-hot rows. With p the softmax, the gradient is (p - onehot) / n: Bishop, "Pattern
    Recognition and Machine Learning", 2006, equation 4.109.

    `class_weight`, (k,), weighs the classes; the mean over integer labels is divided by the sum of
    their weights. `label_smoothing` e moves the share e of each label evenly to all classes:
    Szegedy et al., "Rethinking the Inception architecture", CVPR 2016. Integer labels equal to
    `ignore_index` do not count. All as in PyTorch.
    Raises ShapeError on other shapes, DTypeError if labels of shape (n, ...) are not integers,
    DataError if a label is out of range, or if probabilities are negative or do not sum to 1.

    >>> logits = np.array([[2.0, 0.0], [0.0, 0.0]])
    >>> round(float(softmax_cross_entropy(logits, np.array([0, 1]))), 6)
    0.410038
    >>> round(float(softmax_cross_entropy(logits, np.array([[1.0, 0.0], [0.0, 1.0]]))), 6)
    0.410038
    >>> round(float(softmax_cross_entropy(logits, np.array([0, 1]), class_weight=[3, 1])), 6)
    0.268483
    """
    labels = array_of(labels)
    classes = _classes("logits", logits)
    if not 0 <= label_smoothing <= 1:
        raise ConfigError(f"label_smoothing: expected a number in [0, 1], got {label_smoothing}.")
    weight = _class_weight(class_weight, logits)
    # Any constant shift gives the same loss, so the gradient need not pass through the maximum.
    top = stop_gradient(np.max(logits, axis=-1, keepdims=True))
    log_total = np.log(np.sum(np.exp(logits - top), axis=-1)) + top[..., 0]
    if labels.shape == logits.shape:
        check_probabilities(labels)
        share = as_floating(labels, logits)
        if label_smoothing:
            share = share * (1 - label_smoothing) + label_smoothing / classes
        if weight is None:
            values = log_total - np.sum(share * logits, axis=-1)
        else:
            values = np.sum(share * weight * (log_total[..., None] - logits), axis=-1)
        return reduce(values, reduction, sample_weight)
    hit = _hits(labels, logits, "logits", ignore_index, f" or {logits.shape} (one-hot rows)")
    # where, not a product, so that a logit of -inf, a class masked out, is not turned into NaN
    values = log_total - np.sum(np.where(hit, logits, 0), axis=-1)
    counted = _counted(labels, hit, weight, ignore_index, values.dtype)
    if counted is not None:
        values = np.where(counted > 0, values, 0) * counted
    if label_smoothing:
        evenly = log_total[..., None] - logits
        evenly = np.mean(evenly if weight is None else evenly * weight, axis=-1)
        if ignore_index is not None:
            evenly = np.where(labels != ignore_index, evenly, 0)
        values = (1 - label_smoothing) * values + label_smoothing * evenly
    return _reduced(values, counted, reduction, sample_weight)


def nll(
    log_probabilities: Any,
    labels: Any,
    *,
    class_weight: Any = None,
    ignore_index: int | None = None,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean over the samples of -log_probabilities[label].

    Shapes, weights and errors as for `softmax_cross_entropy`, with integer labels.

    >>> float(nll(np.log([[0.5, 0.5]]), np.array([1])).round(4))
    0.6931
    """
    labels = array_of(labels)
    _classes("log_probabilities", log_probabilities)
    hit = _hits(labels, log_probabilities, "log_probabilities", ignore_index)
    values = -np.sum(np.where(hit, log_probabilities, 0), axis=-1)
    weight = _class_weight(class_weight, log_probabilities)
    counted = _counted(labels, hit, weight, ignore_index, values.dtype)
    if counted is not None:
        values = values * counted
    return _reduced(values, counted, reduction, sample_weight)


def binary_cross_entropy(
    logits: Any,
    targets: Any,
    *,
    pos_weight: Any = None,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of -(t log s + (1 - t) log(1 - s)) with s = sigmoid(logits).

    Computed as log(1 + exp(z)) - t z, which neither overflows nor takes log 0. `targets` has the
    shape of `logits` and values in [0, 1]; integers and booleans will do. `pos_weight` multiplies
    the part of t; it broadcasts.
    Raises ShapeError if the shapes differ or are empty, DataError if a target is out of range.

    >>> round(float(binary_cross_entropy(np.array([0.0, 800.0]), np.array([0, 1]))), 6)
    0.346574
    """
    targets = _fractions(targets, logits)
    if pos_weight is None:
        values = np.logaddexp(logits, 0) - targets * logits
    else:
        weight = as_floating(array_of(pos_weight), logits).astype(logits.dtype)
        check_weight("pos_weight", weight)
        values = (1 - targets) * logits - (1 + (weight - 1) * targets) * log_sigmoid(logits)
    return reduce(values, reduction, sample_weight)


def focal(
    logits: Any,
    targets: Any,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of the binary cross-entropy times (1 - p)^gamma, p that of the right class.

    So what is right already counts little. `alpha` weighs the positive class, 1 - alpha the other;
    None does not. Source: Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object
    detection", ICCV 2017. Raises as `binary_cross_entropy` does, ConfigError if gamma < 0.

    >>> round(float(focal(np.array([0.0]), np.array([1]), alpha=None)), 6)
    0.173287
    """
    if gamma < 0:
        raise ConfigError(f"gamma: expected 0 or more, got {gamma}.")
    targets = _fractions(targets, logits)
    p = sigmoid(logits)
    wrong = p * (1 - targets) + (1 - p) * targets
    values = (np.logaddexp(logits, 0) - targets * logits) * wrong**gamma
    if alpha is not None:
        values = values * (alpha * targets + (1 - alpha) * (1 - targets))
    return reduce(values, reduction, sample_weight)


def hinge(
    scores: Any, targets: Any, *, sample_weight: Any = None, reduction: Reduction = "mean"
) -> Any:
    """Return the mean of max(0, 1 - t y) for targets t of -1 and 1; 0 is the derivative at 0.

    Source: Cortes and Vapnik, "Support-vector networks", Machine Learning 20, 1995.
    Raises ShapeError if the shapes differ or are empty, DataError if a target is none of -1, 1.

    >>> float(hinge(np.array([2.0, 0.5]), np.array([1, -1])))
    0.75
    """
    targets = checked(targets, scores, names=("targets", "scores"))
    check_signs("targets", targets)
    return reduce(relu(1 - targets * scores), reduction, sample_weight)


def check_signs(name: str, targets: Any) -> None:
    """Raise DataError unless all of `targets`, where they are known, are -1 or 1."""
    values = concrete(targets)
    if values is not None and not (np.abs(values) == 1).all():
        raise DataError(f"{name}: expected -1 or 1, got {values.min()} to {values.max()}.")


def _classes(name: str, scores: Any) -> int:
    shape: tuple[int, ...] = np.shape(scores)
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(
            f"{name}: expected shape (n, k), n samples and k classes, or (n, ..., k), got {shape}. "
            "Give one row of scores for each sample."
        )
    return shape[-1]


def _hits(labels: Any, scores: Any, name: str, ignored: int | None, otherwise: str = "") -> Any:
    """Return where the label of each score is its class; labels are checked."""
    shape = scores.shape
    if labels.shape != shape[:-1]:
        remedy = {(*shape[:-1], 1): " Write labels[..., 0].", shape: " Write labels.argmax(-1)."}
        raise ShapeError(
            f"labels: expected shape {shape[:-1]} (integers){otherwise} for {name} of shape "
            f"{shape}, got {labels.shape}.{remedy.get(labels.shape, '')}"
        )
    check_labels(labels, shape[-1], ignored)
    # a comparison, since gathering would need a scatter in the gradient
    return labels[..., None] == np.arange(shape[-1])


def _class_weight(class_weight: Any, scores: Any) -> Any:
    if class_weight is None:
        return None
    weight = array_of(class_weight)
    if weight.shape != scores.shape[-1:]:
        raise ShapeError(
            f"class_weight: expected shape {scores.shape[-1:]}, one weight for each class, "
            f"got {weight.shape}."
        )
    check_weight("class_weight", weight)
    return weight.astype(scores.dtype)


def _counted(labels: Any, hit: Any, weight: Any, ignored: int | None, dtype: Any) -> Any:
    """Return what each sample counts by its label, or None where all count 1."""
    if weight is None:
        return None if ignored is None else (labels != ignored).astype(dtype)
    # a label that is ignored hits no class, unless it is one
    own = np.sum(np.where(hit, weight, 0), axis=-1)
    return own if ignored is None else np.where(labels != ignored, own, 0)


def _reduced(values: Any, counted: Any, reduction: Reduction, sample_weight: Any) -> Any:
    """Return the reduction of values in which the weights of classes are, but not of samples."""
    if counted is None:
        return reduce(values, reduction, sample_weight)
    if sample_weight is not None:
        weight = spread_weight(sample_weight, values)
        values, counted = values * weight, counted * weight
    return total(values, np.sum(counted), reduction)


def _fractions(targets: Any, logits: Any) -> Any:
    targets = checked(targets, logits, names=("targets", "logits"))
    values = concrete(targets)
    if values is not None and not (values.min() >= 0 and values.max() <= 1):
        raise DataError(
            f"targets: expected values in [0, 1], got {values.min()} to {values.max()}. "
            "Encode the two classes as 0 and 1."
        )
    return targets
