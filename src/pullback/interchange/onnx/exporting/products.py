"""Matrix products, Einstein sums, convolution and pooling.

Images are (samples, *space, channels) in pullback and (samples, channels, *space) in ONNX; kernels
(*size, inputs / groups, outputs) and (outputs, inputs / groups, *size).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.interchange.onnx.exporting.rules import as_result, enter
from pullback.interchange.onnx.outline import Entry
from pullback.interchange.onnx.writer import Value, Writer


def _channels_first(w: Writer, x: Value, ndim: int) -> Any:
    return w.Transpose(x, perm=[0, ndim - 1, *range(1, ndim - 1)])


def _channels_last(w: Writer, x: Value, ndim: int) -> Any:
    return w.Transpose(x, perm=[0, *range(2, ndim), 1])


def _kernel(w: Writer, x: Value, ndim: int) -> Any:
    return w.Transpose(x, perm=[ndim - 1, ndim - 2, *range(ndim - 2)])


def _window(params: Mapping[str, Any]) -> dict[str, Any]:
    before, after = zip(*params["padding"], strict=True)
    return {
        "strides": list(params["strides"]),
        "dilations": list(params["dilation"]),
        "pads": [*before, *after],
    }


def _conv(w: Writer, entry: Entry, x: Value, kernel: Value) -> Any:
    ndim, params = len(entry.shape), entry.params
    y = w.Conv(
        _channels_first(w, x, ndim), _kernel(w, kernel, ndim),
        kernel_shape=list(entry.inputs[1].shape[:-2]), group=params["groups"], **_window(params),
    )  # fmt: skip
    return _channels_last(w, y, ndim)


def _transposed(
    w: Writer, y: Value, kernel: Value, counts: Any, size: Any, params: Any, groups: int
) -> Any:
    """Return the transposed convolution to `space`, channels first."""
    missing = [
        n + a + b - (s * (m - 1) + d * (k - 1) + 1)
        for n, (a, b), s, m, d, k in zip(
            params["space"], params["padding"], params["strides"], counts, params["dilation"],
            size, strict=True,
        )
    ]  # fmt: skip
    return w.ConvTranspose(
        y, kernel,
        kernel_shape=list(size), group=groups, output_padding=missing, **_window(params),
    )  # fmt: skip


def _conv_input(w: Writer, entry: Entry, y: Value, kernel: Value) -> Any:
    ndim, params = len(entry.shape), entry.params
    counts, size = entry.inputs[0].shape[1:-1], entry.inputs[1].shape[:-2]
    first, swapped = _channels_first(w, y, ndim), _kernel(w, kernel, ndim)
    x = _transposed(w, first, swapped, counts, size, params, params["groups"])
    return _channels_last(w, x, ndim)


def _conv_kernel(w: Writer, entry: Entry, x: Value, y: Value) -> Any:
    """The correlation of x and y: a convolution whose channels are the samples.

    The strides of the one are the dilation of the other.
    """
    ndim, params = len(entry.shape), entry.params
    if entry.inputs[0].shape[0] == 0:  # no channels: some runtimes leave the memory as it was
        return w.constant(np.zeros(entry.shape, entry.dtype))
    groups, spatial = params["groups"], range(1, ndim - 1)
    window = _window(params)
    window["strides"], window["dilations"] = window["dilations"], window["strides"]
    xs, ys = (w.Transpose(a, perm=[ndim - 1, 0, *spatial]) for a in (x, y))
    inputs, outputs = entry.shape[-2], entry.shape[-1] // groups
    parts = []
    for g in range(groups):
        part = w.Conv(
            w.slice(xs, 0, g * inputs, (g + 1) * inputs),  # type: ignore[operator]
            w.slice(ys, 0, g * outputs, (g + 1) * outputs),
            kernel_shape=list(entry.inputs[1].shape[1:-1]), **window,
        )  # fmt: skip
        axes = list(range(2, ndim))  # the end of x that no window reaches counts for nothing
        size = list(params["size"])
        parts.append(w.Slice(part, [0] * len(axes), size, axes, [1] * len(axes)))
    together = parts[0] if groups == 1 else w.Concat(*parts, axis=1)
    return w.Transpose(together, perm=[*range(2, ndim), 0, 1])


def _max_pool(w: Writer, entry: Entry, x: Value) -> Any:
    ndim, params = len(entry.shape), entry.params
    window = _window(params)
    y = w.MaxPool(_channels_first(w, x, ndim), kernel_shape=list(params["size"]), **window)
    return _channels_last(w, y, ndim)


def _depthwise_ones(w: Writer, entry: Entry, dtype: Any) -> Any:
    channels, size = entry.shape[-1], entry.params["size"]
    return w.constant(np.ones((channels, 1, *size), dtype))


def _window_sum(w: Writer, entry: Entry, x: Value) -> Any:
    """The mean of each window times its size; a convolution if dilated.

    The padding is a node of its own, since runtimes differ in whether it counts for the mean.
    """
    ndim, params = len(entry.shape), entry.params
    window, size = _window(params), list(params["size"])
    images = _channels_first(w, x, ndim)
    if any(d != 1 for d in params["dilation"]):
        ones = _depthwise_ones(w, entry, x.dtype)
        y = w.Conv(images, ones, kernel_shape=size, group=entry.shape[-1], **window)
        return _channels_last(w, y, ndim)
    if any(window["pads"]):
        before, after = zip(*params["padding"], strict=True)
        images = w.Pad(images, [0, 0, *before, 0, 0, *after], 0.0)
    mean = w.AveragePool(images, kernel_shape=size, strides=window["strides"])
    return _channels_last(w, w.Mul(mean, math.prod(size)), ndim)


def _window_spread(w: Writer, entry: Entry, y: Value) -> Any:
    ndim, params, counts = len(entry.shape), entry.params, entry.inputs[0].shape[1:-1]
    ones = _depthwise_ones(w, entry, y.dtype)
    first, channels = _channels_first(w, y, ndim), entry.shape[-1]
    x = _transposed(w, first, ones, counts, params["size"], params, channels)  # type: ignore[arg-type]
    return _channels_last(w, x, ndim)


def _einsum(w: Writer, entry: Entry, *xs: Value) -> Any:
    equation = ",".join(entry.params["operands"]) + "->" + entry.params["result"]
    return w.Einsum(*xs, equation=equation)


enter(
    {
        "matmul": lambda w, entry, a, b: w.MatMul(a, b),
        "einsum": _einsum,
        "det": lambda w, entry, x: w.Det(x),
        "conv": _conv,
        "conv_input": _conv_input,
        "conv_kernel": _conv_kernel,
        "max_pool": _max_pool,
        "window_sum": _window_sum,
        "window_spread": _window_spread,
    },
    as_result,
)
