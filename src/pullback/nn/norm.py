"""Normalisation: entries brought to mean 0 and variance 1 over some axes, then scaled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pullback.core.errors import ConfigError, ShapeError
from pullback.nn.module import Module, state, static
from pullback.nn.shapes import Layout, channels_first, channels_last, check_layout, positive
from pullback.transform import stop_gradient


def normalise(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """Return (x - mean) / sqrt(variance + eps) over `axes`, the mean and the variance."""
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    return centred / np.sqrt(variance + eps), mean, variance


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _expect_last(layer: str, x: Any, features: tuple[int, ...]) -> Any:
    got = np.shape(x)
    if got[len(got) - len(features) :] != features or len(got) < len(features):
        raise ShapeError(f"{layer}: x: expected shape (..., {_text(features)}), got {got}.")


class LayerNorm(Module):
    """Each sample normalised over its last axes, those of `weight`: (x - mean) / sd * w + b.

    x is (..., *weight.shape). Source: Ba, Kiros and Hinton, "Layer normalization",
    arXiv:1607.06450. Raises ShapeError if x does not end in the shape of `weight`.

    >>> LayerNorm.create(2)(np.array([[1.0, 3.0]])).round(3)
    array([[-1.,  1.]])
    """

    weight: Any
    bias: Any
    eps: float = static(default=1e-5)

    @classmethod
    def create(
        cls,
        features: int | tuple[int, ...],
        *,
        bias: bool = True,
        eps: float = 1e-5,
        dtype: DTypeLike = np.float32,
    ) -> LayerNorm:
        """Return a layer for the last axis of `features` entries, or axes of those lengths."""
        shape = positive("features", features)
        return cls(np.ones(shape, dtype), np.zeros(shape, dtype) if bias else None, eps)

    def __call__(self, x: Any) -> Any:
        """Return x normalised over its last axes."""
        features = self.weight.shape
        _expect_last(f"LayerNorm({_text(features)})", x, features)
        axes = tuple(range(-len(features), 0))
        return _affine(normalise(x, axes, self.eps)[0], self.weight, self.bias)


class RMSNorm(Module):
    """Each sample divided by the root of its mean square over the last axes: x / rms * w.

    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.
    Raises ShapeError if x does not end in the shape of `weight`.

    >>> RMSNorm.create(2)(np.array([[3.0, 3.0]])).round(3)
    array([[1., 1.]])
    """

    weight: Any
    eps: float = static(default=1e-6)

    @classmethod
    def create(
        cls, features: int | tuple[int, ...], *, eps: float = 1e-6, dtype: DTypeLike = np.float32
    ) -> RMSNorm:
        """Return a layer for the last axis of `features` entries, or axes of those lengths."""
        return cls(np.ones(positive("features", features), dtype), eps)

    def __call__(self, x: Any) -> Any:
        """Return x divided by its root mean square."""
        features = self.weight.shape
        _expect_last(f"RMSNorm({_text(features)})", x, features)
        axes = tuple(range(-len(features), 0))
        return x / np.sqrt(np.mean(x * x, axis=axes, keepdims=True) + self.eps) * self.weight


class GroupNorm(Module):
    """Each sample normalised over space and over each of `groups` groups of channels.

    x is (n, *space, channels), or (n, channels, *space) with layout="channels_first". Source: Wu
    and He, "Group normalization", ECCV 2018. With one group for each channel it is instance
    normalisation. Raises ShapeError if x has other channels.

    >>> GroupNorm.create(2, 4)(np.array([[[1.0, 3.0, 5.0, 5.0]]])).round(2)
    array([[[-1.,  1.,  0.,  0.]]])
    """

    weight: Any
    bias: Any
    groups: int = static()
    eps: float = static(default=1e-5)
    layout: Layout = static(default="channels_last")

    @classmethod
    def create(
        cls,
        groups: int,
        channels: int,
        *,
        eps: float = 1e-5,
        layout: Layout = "channels_last",
        dtype: DTypeLike = np.float32,
    ) -> GroupNorm:
        """Return a layer for `channels` channels; `groups` divides them."""
        positive("groups", groups)
        check_layout(layout)
        if channels % groups:
            raise ConfigError(f"groups: expected a divisor of {channels} channels, got {groups}.")
        return cls(np.ones(channels, dtype), np.zeros(channels, dtype), groups, eps, layout)

    def __call__(self, x: Any) -> Any:
        """Return x normalised within each group of channels."""
        channels = self.weight.shape[0]
        name = f"GroupNorm({self.groups} groups of {channels // self.groups})"
        x = channels_last(name, x, channels, None, self.layout)
        split = np.reshape(x, (x.shape[0], -1, self.groups, channels // self.groups))
        normal = np.reshape(normalise(split, (1, 3), self.eps)[0], x.shape)
        return channels_first(_affine(normal, self.weight, self.bias), self.layout)


class BatchNorm(Module):
    """Each channel normalised over samples and space: over the batch in training, else as learnt.

    x is (n, *space, channels), without or with any number of spatial axes, or (n, channels, *space)
    with layout="channels_first". `training_call` takes mean and variance of the batch, and moves
    the running ones, which are state, by `momentum` towards them (the variance that of n - 1); a
    plain call takes the running ones.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015; conventions as in PyTorch.
    Raises ShapeError if x has other channels, or one value a channel to train with.

    >>> from pullback.nn import training_call
    >>> layer = BatchNorm.create(1)
    >>> y, after = training_call(layer, np.array([[1.0], [3.0]]))
    >>> y.round(3).T, after.running_mean, after.running_variance
    (array([[-1.,  1.]]), array([0.2], dtype=float32), array([1.1], dtype=float32))
    >>> layer(np.array([[1.0], [3.0]])).round(3).T  # by the mean and variance it began with
    array([[1., 3.]])
    """

    weight: Any
    bias: Any
    running_mean: Any = state()
    running_variance: Any = state()
    momentum: float = static(default=0.1)
    eps: float = static(default=1e-5)
    layout: Layout = static(default="channels_last")

    @classmethod
    def create(
        cls,
        channels: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        layout: Layout = "channels_last",
        dtype: DTypeLike = np.float32,
    ) -> BatchNorm:
        """Return a layer that scales by 1, and takes 0 and 1 for mean and variance at first."""
        positive("channels", channels)
        check_layout(layout)
        if not 0 <= momentum <= 1:
            raise ConfigError(f"momentum: expected a number in [0, 1], got {momentum}.")
        ones, zeros = np.ones(channels, dtype), np.zeros(channels, dtype)
        return cls(ones, zeros, zeros, ones, momentum, eps, layout)

    def __call__(self, x: Any) -> Any:
        """Return x normalised for each channel."""
        channels = self.weight.shape[0]
        x = channels_last(f"BatchNorm({channels})", x, channels, None, self.layout)
        normal = self._by_batch(x) if self.training else self._by_history(x)
        return channels_first(_affine(normal, self.weight, self.bias), self.layout)

    def _by_history(self, x: Any) -> Any:
        return (x - self.running_mean) / np.sqrt(self.running_variance + self.eps)

    def _by_batch(self, x: Any) -> Any:
        count = math.prod(x.shape[:-1])
        if count < 2:
            raise ShapeError(
                f"BatchNorm({x.shape[-1]}): x: expected 2 values or more for each channel to "
                f"train with, got shape {x.shape}. Take larger batches, of a size that leaves no "
                "single sample for the last one."
            )
        normal, mean, variance = normalise(x, tuple(range(x.ndim - 1)), self.eps)
        self.remember(
            running_mean=self._moved(self.running_mean, mean),
            running_variance=self._moved(self.running_variance, variance * (count / (count - 1))),
        )
        return normal

    def _moved(self, running: Any, batch: Any) -> Any:
        batch = stop_gradient(np.reshape(batch, running.shape)).astype(running.dtype)
        return running + self.momentum * (batch - running)


def _text(features: tuple[int, ...]) -> str:
    return ", ".join(map(str, features))
