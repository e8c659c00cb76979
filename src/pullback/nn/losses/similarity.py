"""Losses that compare: ranks, distances and angles of pairs and triplets."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.errors import ShapeError
from pullback.nn.activations import relu
from pullback.nn.losses.classification import check_signs
from pullback.nn.losses.common import Reduction, checked, reduce


def margin_ranking(
    first: Any,
    second: Any,
    target: Any,
    *,
    margin: float = 0.0,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of max(0, margin - t (first - second)): t = 1 wants `first` to be greater.

    Raises ShapeError if the shapes differ or are empty, DataError if a target is none of -1, 1.

    >>> float(margin_ranking(np.array([1.0, 1.0]), np.array([0.0, 3.0]), np.array([1, 1])))
    1.0
    """
    difference = first - checked(second, first, names=("second", "first"))
    target = checked(target, first, names=("target", "first"))
    check_signs("target", target)
    return reduce(relu(margin - target * difference), reduction, sample_weight)


def triplet_margin(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    swap: bool = False,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of max(0, d(anchor, positive) - d(anchor, negative) + margin).

    d is the Euclidean distance over the last axis; with `swap` that of negative and positive counts
    where it is less than that of negative and anchor. Source: Schroff, Kalenichenko and Philbin,
    "FaceNet", CVPR 2015. Raises ShapeError if the shapes differ or are empty.

    >>> a = np.array([[0.0, 0.0]])
    >>> float(triplet_margin(a, a + [3.0, 4.0], a + [2.0, 0.0]).round(4))
    4.0
    """
    positive = checked(positive, anchor, names=("positive", "anchor"))
    negative = checked(negative, anchor, names=("negative", "anchor"))
    far = _distance(anchor, negative)
    if swap:
        far = np.minimum(far, _distance(positive, negative))
    values = relu(_distance(anchor, positive) - far + margin)
    return reduce(values, reduction, sample_weight)


def cosine_similarity(first: Any, second: Any, axis: int = -1, eps: float = 1e-8) -> Any:
    """Return the cosine of the angle of two vectors along `axis`; lengths count as eps or more.

    >>> cosine_similarity(np.array([1.0, 0.0]), np.array([3.0, 4.0]))
    np.float64(0.6)
    """
    product = np.sum(first * second, axis=axis)
    squares = np.sum(first * first, axis=axis), np.sum(second * second, axis=axis)
    lengths = [np.sqrt(np.maximum(square, eps * eps)) for square in squares]
    return product / (lengths[0] * lengths[1])


def cosine_embedding(
    first: Any,
    second: Any,
    target: Any,
    *,
    margin: float = 0.0,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of 1 - cos where the target is 1, and of max(0, cos - margin) where it is -1.

    `first` and `second` are (n, ..., k), `target` is (n, ...).
    Raises ShapeError if the shapes do not fit, DataError if a target is none of -1, 1.

    >>> x = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> float(cosine_embedding(x, x, np.array([1, -1])))
    0.5
    """
    second = checked(second, first, names=("second", "first"))
    if first.ndim < 2:
        raise ShapeError(f"first: expected shape (n, ..., k), got {first.shape}.")
    cosine = cosine_similarity(first, second)
    target = checked(target, cosine, names=("target", "the samples of first"))
    check_signs("target", target)
    values = np.where(target == 1, 1 - cosine, relu(cosine - margin))
    return reduce(values, reduction, sample_weight)


def _distance(x: Any, y: Any) -> Any:
    difference = x - y + 1e-6  # as in PyTorch: two equal points have a gradient
    return np.sqrt(np.sum(difference * difference, axis=-1))
