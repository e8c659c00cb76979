"""Convolution and pooling as functions of arrays (samples, *space, channels).

Numbers may be given once for all spatial axes, or one for each. All raise ShapeError where shapes
do not fit, ConfigError for numbers that mean nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError
from pullback.nn.shapes import each_axis
from pullback.ops.conv import conv as conv_op
from pullback.ops.conv import conv_input
from pullback.ops.pooling import max_pool as max_pool_op
from pullback.ops.pooling import window_sum
from pullback.ops.windows import count_windows

Size = int | tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Padding = Literal["same", "valid"] | int | tuple[int, ...] | Pairs
"""Zeros around space: a number for all sides, one or a pair for each axis; "valid" is none, "same"
as many as give ceil(n / stride) results for n entries."""


def conv(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution y[p] = b + sum over k of x[p stride + k dilation - pad] W[k].

    x is (n, *space, inputs), `weight` (*size, inputs / groups, outputs), `bias` (outputs,). With
    `groups`, the channels are split, and each group of outputs sees its group of inputs only.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285.

    >>> x = np.array([[[1.0], [2.0], [4.0], [8.0]]])
    >>> conv(x, np.ones((2, 1, 1)))[0, :, 0]
    array([ 3.,  6., 12.])
    >>> conv(x, np.ones((2, 1, 1)), padding="same", strides=2)[0, :, 0]
    array([ 3., 12.])
    """
    x, weight = array_of(x), array_of(weight)
    axes = weight.ndim - 2
    window: dict[str, Any] = {
        "strides": each_axis("strides", strides, axes),
        "dilation": each_axis("dilation", dilation, axes),
    }
    space = x.shape[1:-1] if x.ndim == weight.ndim else (1,) * axes
    pairs = _padding(padding, space, weight.shape[:-2], **window)
    conv_op.infer(aval_of(x), aval_of(weight), padding=pairs, groups=groups, **window)
    y = conv_op(x, weight, padding=pairs, groups=groups, **window)
    return y if bias is None else y + bias


def conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    strides: Size = 1,
    padding: int | tuple[int, ...] | Pairs = 0,
    output_padding: int | tuple[int, ...] = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """Return the transpose of `conv` as a linear map of x, plus `bias`: it enlarges by `strides`.

    x is (n, *space, inputs), `weight` (*size, outputs / groups, inputs): that of the convolution it
    transposes. Space becomes (n - 1) stride + dilation (size - 1) + 1 - padding + output_padding;
    of the results that `conv` maps to n, `output_padding` < stride chooses one.

    >>> conv_transpose(np.array([[[1.0], [2.0]]]), np.ones((2, 1, 1)), strides=2)[0, :, 0]
    array([1., 1., 2., 2.])
    """
    x, weight = array_of(x), array_of(weight)
    size = weight.shape[:-2]
    axes = len(size)
    strides, dilation = each_axis("strides", strides, axes), each_axis("dilation", dilation, axes)
    pairs = _pairs("padding", padding, axes)
    extra = (output_padding,) * axes if isinstance(output_padding, int) else output_padding
    if len(extra) != axes or not all(0 <= e < s for e, s in zip(extra, strides, strict=True)):
        raise ConfigError(
            f"output_padding: expected 0 or more and less than strides {strides}, got {extra}."
        )
    space = tuple(
        (n - 1) * s + d * (k - 1) + 1 - sum(pair) + e
        for n, s, d, k, pair, e in zip(
            x.shape[1:-1], strides, dilation, size, pairs, extra, strict=True
        )
    )
    params: dict[str, Any] = {
        "space": space, "strides": strides, "padding": pairs, "dilation": dilation,
        "groups": groups,
    }  # fmt: skip
    conv_input.infer(aval_of(x), aval_of(weight), **params)
    y = conv_input(x, weight, **params)
    return y if bias is None else y + bias


def max_pool(
    x: Any,
    size: Size,
    *,
    strides: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Any:
    """Return the greatest entry of each window, for each channel; NaN is greater than all.

    `strides=None` is `size`: windows side by side. At ties the first has the gradient.

    >>> max_pool(np.array([[[1.0], [5.0], [2.0], [3.0]]]), 2)[0, :, 0]
    array([5., 3.])
    """
    x = array_of(x)
    window = _window(x, size, strides, padding, dilation)
    count_windows("max_pool", x.shape[1:-1], **window)
    return max_pool_op(x, **window)


def avg_pool(
    x: Any,
    size: Size,
    *,
    strides: Size | None = None,
    padding: Padding = 0,
    count_padding: bool = True,
) -> Any:
    """Return the mean of each window, for each channel.

    `strides=None` is `size`. With `count_padding`, zeros around space count as entries.

    >>> avg_pool(np.array([[[1.0], [5.0], [2.0], [4.0]]]), 2)[0, :, 0]
    array([3., 3.])
    """
    x = array_of(x)
    window = _window(x, size, strides, padding, 1)
    count_windows("avg_pool", x.shape[1:-1], **window)
    total = window_sum(x, **window)
    if count_padding or not any(map(any, window["padding"])):
        return total * (1 / np.prod(window["size"]).item())
    counts = window_sum(np.ones((1, *x.shape[1:-1], 1)), **window)
    return total * (1 / counts).astype(x.dtype)


def adaptive_avg_pool(x: Any, size: Size) -> Any:
    """Return the means of `size` parts of each axis that cover it evenly.

    Part i of m goes from floor(i n / m) to ceil((i + 1) n / m), as in PyTorch.

    >>> adaptive_avg_pool(np.array([[[1.0], [2.0], [6.0]]]), 2)[0, :, 0]
    array([1.5, 4. ])
    """
    x = array_of(x)
    for axis, parts in enumerate(_parts_of_axes(x, size), 1):
        mean = np.zeros((len(parts), x.shape[axis]), x.dtype)
        for i, part in enumerate(parts):
            mean[i, part] = 1 / (part.stop - part.start)
        x = np.moveaxis(np.tensordot(mean, x, axes=(1, axis)), 0, axis)
    return x


def adaptive_max_pool(x: Any, size: Size) -> Any:
    """Return the greatest entries of `size` parts of each axis that cover it evenly.

    >>> adaptive_max_pool(np.array([[[1.0], [2.0], [6.0]]]), 2)[0, :, 0]
    array([2., 6.])
    """
    x = array_of(x)
    splits = _parts_of_axes(x, size)
    # the last axis first: so the first of several equal entries is that of the whole part
    for axis in range(len(splits), 0, -1):
        x = _greatest_of_parts(x, axis, splits[axis - 1])
    return x


def _greatest_of_parts(x: Any, axis: int, parts: list[slice]) -> Any:
    axes = x.ndim - 2

    def along(length: int) -> tuple[int, ...]:
        return tuple(length if i == axis - 1 else 1 for i in range(axes))

    n, m = x.shape[axis], len(parts)
    if n % m == 0:
        return max_pool(x, along(n // m))
    pieces = [
        max_pool(x[(*(slice(None),) * axis, part)], along(part.stop - part.start)) for part in parts
    ]
    return np.concatenate(pieces, axis=axis)


def _parts_of_axes(x: Any, size: Size) -> list[list[slice]]:
    counts = each_axis("size", size, x.ndim - 2)
    return [
        [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(x.shape[1:-1], counts, strict=True)
    ]


def _window(
    x: Any, size: Size, strides: Size | None, padding: Padding, dilation: Size
) -> dict[str, Any]:
    axes = x.ndim - 2
    sizes = each_axis("size", size, axes)
    window = {
        "strides": sizes if strides is None else each_axis("strides", strides, axes),
        "dilation": each_axis("dilation", dilation, axes),
    }
    pairs = _padding(padding, x.shape[1:-1], sizes, **window)
    for pair, k, d in zip(pairs, sizes, window["dilation"], strict=True):
        if max(pair) > (d * (k - 1) + 1) // 2:
            raise ConfigError(
                f"padding: expected at most half the window {sizes} on each side, got {pairs}."
            )
    return {"size": sizes, "padding": pairs, **window}


def _padding(
    padding: Padding,
    space: tuple[int, ...],
    size: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pairs:
    """Return padding as pairs; those of "same" depend on the space."""
    if padding == "same":
        missing = [
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(space, size, strides, dilation, strict=True)
        ]
        return tuple((m // 2, m - m // 2) for m in missing)
    return _pairs("padding", 0 if padding == "valid" else padding, len(size))


def _pairs(name: str, value: Any, axes: int) -> Pairs:
    each = (value,) * axes if isinstance(value, int) else value
    if isinstance(each, str) or len(each) != axes:
        raise ConfigError(
            f"{name}: expected 'same', 'valid', a number, or {axes} numbers or pairs, "
            f"got {value!r}."
        )
    pairs = tuple((p, p) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in each)
    if any(side < 0 for pair in pairs for side in pair):
        raise ConfigError(f"{name}: expected numbers of 0 or more, got {value!r}.")
    return pairs
