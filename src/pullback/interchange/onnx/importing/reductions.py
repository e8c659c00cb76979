"""ONNX's reductions, normalisations, orders and running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.interchange.onnx.importing.operators import (
    OPERATORS,
    cast,
    integer,
    integers,
    wide,
)
from pullback.nn import activations as nn


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the operator of `function(x, axis=, keepdims=)`; the dtype stays."""

    def reduce(
        x: Any, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Any:
        given = () if axes is None or np.size(axes) == 0 else tuple(integers(axes))
        axis = given if given or noop_with_empty_axes else tuple(range(x.ndim))
        return cast(function(wide(x), axis=axis, keepdims=bool(keepdims)), x.dtype)

    return reduce


def _log_sum_exp(x: Any, **along: Any) -> Any:
    greatest = np.max(x, axis=along["axis"], keepdims=True)
    shift = np.where(np.isfinite(greatest), greatest, 0)
    total = np.log(np.sum(np.exp(x - shift), **along))
    return total + np.reshape(shift, total.shape)


def _place(function: Callable[..., Any]) -> Callable[..., Any]:
    def place(x: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        if not select_last_index:
            return function(x, axis=axis, keepdims=bool(keepdims))
        found = function(np.flip(x, axis), axis=axis, keepdims=bool(keepdims))
        return x.shape[axis] - 1 - found

    return place


def _top(x: Any, k: Any, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    """Of equal elements the first place comes first, also where the largest are wanted."""
    n = x.shape[axis]
    if largest:
        order = n - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    places = np.take(order, np.arange(integer(k)), axis=axis)
    return np.take_along_axis(x, places, axis), places


def _running_sum(x: Any, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Any:
    place = integer(axis)
    x = np.flip(x, place) if reverse else x
    total = cast(np.cumsum(x, axis=place), x.dtype)
    if exclusive:  # not total - x, which cancels
        before, last = np.split(total, [-1], place)
        total = np.concatenate([np.zeros_like(last), before], place)
    return np.flip(total, place) if reverse else total


def _normalised(x: Any, axis: Any, epsilon: float) -> Any:
    return _moments(x, axis, epsilon)[0]


def _moments(x: Any, axis: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return x with mean 0 and variance 1 along `axis`, the mean, and 1 / the deviation.

    The last two are wide, as ONNX's stash_type says.
    """
    mean = np.mean(wide(x), axis=axis, keepdims=True)
    centred = x - mean
    inverse = 1 / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + epsilon)
    return cast(centred * inverse, x.dtype), mean, inverse


def _per_channel(values: Any, ndim: int) -> Any:
    """Return one number for each channel, which is the second axis."""
    return np.reshape(values, (-1, *(1,) * (ndim - 2)))


def _batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, variance: Any,
    *, epsilon: float = 1e-5,
) -> Any:  # fmt: skip
    slope = scale / np.sqrt(variance + epsilon)
    return x * _per_channel(slope, x.ndim) + _per_channel(bias - mean * slope, x.ndim)


def _layer_norm(
    x: Any, scale: Any, bias: Any = None,
    *, axis: int = -1, epsilon: float = 1e-5,
) -> Any:  # fmt: skip
    y, mean, inverse = _moments(x, tuple(range(axis % x.ndim, x.ndim)), epsilon)
    return y * scale if bias is None else y * scale + bias, mean, inverse


def _rms_norm(x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5) -> Any:
    axes = tuple(range(axis % x.ndim, x.ndim))
    y = wide(x)
    root = np.sqrt(np.mean(y * y, axis=axes, keepdims=True) + epsilon)
    return cast(y / root, x.dtype) * scale


def _instance_norm(x: Any, scale: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    y = _normalised(x, tuple(range(2, x.ndim)), epsilon)
    return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


def _group_norm(
    x: Any, scale: Any, bias: Any,
    *, num_groups: int, epsilon: float = 1e-5,
) -> Any:  # fmt: skip
    """Until opset 20 there is a scale for each group, from 21 on for each channel."""
    grouped = np.reshape(x, (x.shape[0], num_groups, -1))
    y = np.reshape(_normalised(grouped, 2, epsilon), x.shape)
    channels = x.shape[1]
    each = (np.repeat(v, channels // v.shape[0]) for v in (scale, bias))
    scale, bias = (_per_channel(v, x.ndim) for v in each)
    return y * scale + bias


def _lp_norm(x: Any, *, axis: int = -1, p: int = 2) -> Any:
    y = wide(x)
    size = np.sum(np.abs(y), axis, keepdims=True) if p == 1 else _euclidean(y, axis, True)
    return cast(np.where(size == 0, 0, y / np.where(size == 0, 1, size)), x.dtype)


def _euclidean(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _hardmax(x: Any, *, axis: int = -1) -> Any:
    place = np.argmax(x, axis=axis, keepdims=True)
    others = [1] * x.ndim
    others[axis] = -1
    return cast(np.reshape(np.arange(x.shape[axis]), others) == place, x.dtype)


OPERATORS.update(
    {
        "ArgMax": _place(np.argmax),
        "ArgMin": _place(np.argmin),
        "BatchNormalization": _batch_norm,
        "CumSum": _running_sum,
        "GroupNormalization": _group_norm,
        "Hardmax": _hardmax,
        "InstanceNormalization": _instance_norm,
        "LayerNormalization": _layer_norm,
        "LogSoftmax": lambda x, *, axis=-1: nn.log_softmax(x, axis),
        "LpNormalization": _lp_norm,
        "MeanVarianceNormalization": lambda x, *, axes=(0, 2, 3): _normalised(x, tuple(axes), 1e-9),
        "RMSNormalization": _rms_norm,
        "ReduceL1": _reduction(lambda x, **along: np.sum(np.abs(x), **along)),
        "ReduceL2": _reduction(_euclidean),
        "ReduceLogSum": _reduction(lambda x, **along: np.log(np.sum(x, **along))),
        "ReduceLogSumExp": _reduction(_log_sum_exp),
        "ReduceMax": _reduction(np.max),
        "ReduceMean": _reduction(np.mean),
        "ReduceMin": _reduction(np.min),
        "ReduceProd": _reduction(np.prod),
        "ReduceSum": _reduction(np.sum),
        "ReduceSumSquare": _reduction(lambda x, **along: np.sum(x * x, **along)),
        "Softmax": lambda x, *, axis=-1: nn.softmax(x, axis),
        "TopK": _top,
    }
)
