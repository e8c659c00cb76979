"""Losses of predictions that are numbers: of residuals, and of distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from pullback.core.errors import ConfigError, ShapeError
from pullback.nn.losses.common import Reduction, check_not_negative, checked, reduce


def squared_error(prediction: Any, target: Any) -> Any:
    """Return 1/2 the sum of (prediction - target)^2 over all entries, those of a batch included.

    The gradient with respect to `prediction` is prediction - target: for a batch of rows, that of
    each sample's own loss 1/2 |y - t|^2, so weight gradients are sums over the samples.
    Raises ShapeError if the shapes differ or are empty.

    >>> float(squared_error(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [3.0, 1.0]])))
    5.0
    """
    r = prediction - checked(target, prediction)
    return 0.5 * np.sum(r * r)


def mean_squared_error(
    prediction: Any, target: Any, *, sample_weight: Any = None, reduction: Reduction = "mean"
) -> Any:
    """Return the mean of (prediction - target)^2 over all entries.

    Raises ShapeError if the shapes differ or are empty.

    >>> float(mean_squared_error(np.array([1.0, 4.0]), np.array([0.0, 1.0])))
    5.0
    >>> mean_squared_error(np.array([1.0, 4.0]), np.array([0.0, 1.0]), reduction="none")
    array([1., 9.])
    >>> float(mean_squared_error(np.array([1.0, 4.0]), np.zeros(2), sample_weight=np.array([3, 1])))
    4.75
    """
    r = prediction - checked(target, prediction)
    return reduce(r * r, reduction, sample_weight)


def l1(
    prediction: Any, target: Any, *, sample_weight: Any = None, reduction: Reduction = "mean"
) -> Any:
    """Return the mean of |prediction - target| over all entries.

    Raises ShapeError if the shapes differ or are empty.

    >>> float(l1(np.array([1.0, 4.0]), np.array([0.0, 1.0])))
    2.0
    """
    return reduce(np.abs(prediction - checked(target, prediction)), reduction, sample_weight)


def huber(
    prediction: Any,
    target: Any,
    delta: float = 1.0,
    *,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2), r the residual.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics
    35, 1964. Raises ShapeError if the shapes differ or are empty, ConfigError if delta <= 0.

    >>> float(huber(np.array([1.0, 4.0]), np.array([0.0, 1.0])))
    1.5
    """
    if not delta > 0:
        raise ConfigError(f"delta: expected a positive number, got {delta}.")
    r = prediction - checked(target, prediction)
    # With c the clipped residual both cases are c (r - c / 2), and the derivative is c.
    c = np.clip(r, -delta, delta)
    return reduce(c * (r - 0.5 * c), reduction, sample_weight)


def smooth_l1(
    prediction: Any,
    target: Any,
    beta: float = 1.0,
    *,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the Huber loss with delta = beta, divided by beta: |r| - beta / 2 for large residuals.

    Source: Girshick, "Fast R-CNN", ICCV 2015. Raises as `huber` does.

    >>> float(smooth_l1(np.array([1.0, 4.0]), np.array([0.0, 1.0]), beta=2.0))
    1.125
    """
    return huber(prediction, target, beta, sample_weight=sample_weight, reduction=reduction) / beta


def kl_divergence(
    log_prediction: Any, target: Any, *, sample_weight: Any = None, reduction: Reduction = "mean"
) -> Any:
    """Return the mean over the samples of the sum of t (log t - log p), p = exp(log_prediction).

    `target` has the shape of `log_prediction`, (..., k), and rows of probabilities t; the sum is
    over the last axis. This is PyTorch's reduction "batchmean".
    Raises ShapeError if the shapes differ or are empty, DataError if a target is negative.

    >>> round(float(kl_divergence(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]]))), 6)
    0.693147
    """
    target = checked(target, log_prediction, names=("target", "log_prediction"))
    check_not_negative("target", target)
    values = np.sum(special.xlogy(target, target) - target * log_prediction, axis=-1)
    return reduce(values, reduction, sample_weight)


def poisson_nll(
    log_rate: Any,
    target: Any,
    *,
    full: bool = False,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of exp(z) - t z: -log of the Poisson probability of counts t at rate exp(z).

    Without its part log(t!), which does not depend on z; `full` adds it.
    Raises ShapeError if the shapes differ or are empty, DataError if a target is negative.

    >>> float(poisson_nll(np.array([0.0]), np.array([3.0])))
    1.0
    """
    target = checked(target, log_rate, names=("target", "log_rate"))
    check_not_negative("target", target)
    values = np.exp(log_rate) - target * log_rate
    if full:
        values = values + special.gammaln(target + 1)
    return reduce(values, reduction, sample_weight)


def gaussian_nll(
    mean: Any,
    target: Any,
    variance: Any,
    *,
    full: bool = False,
    eps: float = 1e-6,
    sample_weight: Any = None,
    reduction: Reduction = "mean",
) -> Any:
    """Return the mean of (log v + (t - m)^2 / v) / 2: -log of the normal density of t.

    v is `variance`, but not less than `eps`; it broadcasts against m. Without the part
    log(2 pi) / 2, which `full` adds. Source: Nix and Weigend, "Estimating the mean and variance of
    the target probability distribution", ICNN 1994. Raises ShapeError if the shapes differ or are
    empty, or the variance does not broadcast.

    >>> float(gaussian_nll(np.array([0.0]), np.array([2.0]), np.array([1.0])))
    2.0
    """
    r = mean - checked(target, mean, names=("target", "mean"))
    v = np.maximum(variance, eps)
    if np.broadcast_shapes(v.shape, r.shape) != r.shape:
        raise ShapeError(
            f"variance: expected a shape that broadcasts to that of mean, {r.shape}, got {v.shape}."
        )
    values = 0.5 * (np.log(v) + r * r / v)
    if full:
        values = values + 0.5 * math.log(2 * math.pi)
    return reduce(values, reduction, sample_weight)
