"""Losses: functions (prediction, target) -> scalar, and the L2 penalty on weights.

Shapes are always checked. Labels are checked against their range when they are concrete, that is,
not traced. All but `squared_error` are means, so that their size does not depend on the batch;
`reduction` gives sums or the values themselves, `sample_weight` weighted means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.nn.losses.classification import (
    binary_cross_entropy,
    focal,
    hinge,
    nll,
    softmax_cross_entropy,
)
from pullback.nn.losses.penalty import l2_penalty
from pullback.nn.losses.regression import (
    gaussian_nll,
    huber,
    kl_divergence,
    l1,
    mean_squared_error,
    poisson_nll,
    smooth_l1,
    squared_error,
)
from pullback.nn.losses.similarity import (
    cosine_embedding,
    cosine_similarity,
    margin_ranking,
    triplet_margin,
)

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "squared_error": squared_error,
    "mean_squared_error": mean_squared_error,
    "softmax_cross_entropy": softmax_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "nll": nll,
    "focal": focal,
    "hinge": hinge,
    "kl_divergence": kl_divergence,
    "poisson_nll": poisson_nll,
    "l1": l1,
    "huber": huber,
    "smooth_l1": smooth_l1,
}
"""The losses of a prediction and a target, by name."""

__all__ = [
    "LOSSES", "binary_cross_entropy", "cosine_embedding", "cosine_similarity", "focal",
    "gaussian_nll", "hinge", "huber", "kl_divergence", "l1", "l2_penalty", "margin_ranking",
    "mean_squared_error", "nll", "poisson_nll", "smooth_l1", "softmax_cross_entropy",
    "squared_error", "triplet_margin",
]  # fmt: skip
