"""ONNX's products, convolutions and pooling. Images are (samples, channels, *space) there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.interchange.onnx.importing.operators import OPERATORS
from pullback.nn import functional
from pullback.ops.pooling import max_pool, window_sum

Pairs = tuple[tuple[int, int], ...]


def _gemm(
    a: Any, b: Any, c: Any = None,
    *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0,
) -> Any:  # fmt: skip
    product = (a.T if transA else a) @ (b.T if transB else b)
    product = product if alpha == 1 else alpha * product
    if c is None:
        return product
    return product + (c if beta == 1 else beta * c)


def _last(x: Any) -> Any:
    return np.moveaxis(x, 1, -1)


def _first(x: Any) -> Any:
    return np.moveaxis(x, -1, 1)


def _padding(
    auto_pad: str, pads: Any, space: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> Pairs:
    """Return the padding of each axis; `reach` is how many places a window covers."""
    if auto_pad in ("NOTSET", "VALID"):
        sides = [0] * (2 * len(space)) if pads is None or auto_pad == "VALID" else list(pads)
        return tuple(zip(sides[: len(space)], sides[len(space) :], strict=True))
    missing = [
        max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(space, reach, strides, strict=True)
    ]
    return tuple(_halves(m, less_first=auto_pad == "SAME_UPPER") for m in missing)


def _halves(total: int, *, less_first: bool) -> tuple[int, int]:
    """Return two halves; of an odd number the first or the second is the smaller one."""
    half = total // 2
    return (half, total - half) if less_first else (total - half, half)


def _reach(size: Sequence[int], dilations: Sequence[int]) -> list[int]:
    return [d * (k - 1) + 1 for k, d in zip(size, dilations, strict=True)]


def _each(given: Any, axes: int) -> tuple[int, ...]:
    return (1,) * axes if given is None else tuple(given)


def _conv(
    x: Any, weight: Any, bias: Any = None,
    *, auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    axes = x.ndim - 2
    jumps, steps = _each(strides, axes), _each(dilations, axes)
    padding = _padding(auto_pad, pads, x.shape[2:], _reach(weight.shape[2:], steps), jumps)
    kernel = np.transpose(weight, (*range(2, weight.ndim), 1, 0))
    y = functional.conv(
        _last(x), kernel, bias, strides=jumps, padding=padding, dilation=steps, groups=group
    )
    return _first(y)


def _conv_transpose(
    x: Any, weight: Any, bias: Any = None,
    *, auto_pad: str = "NOTSET", dilations: Any = None, group: int = 1, kernel_shape: Any = None,
    output_padding: Any = None, output_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    axes, space = x.ndim - 2, x.shape[2:]
    jumps, steps = _each(strides, axes), _each(dilations, axes)
    extra = (0,) * axes if output_padding is None else tuple(output_padding)
    reach = _reach(weight.shape[2:], steps)
    if auto_pad.startswith("SAME"):
        output_shape = [n * s for n, s in zip(space, jumps, strict=True)]
    if output_shape is None:
        padding = _padding(auto_pad, pads, space, reach, jumps)
    else:
        full = [s * (n - 1) + e + k for n, s, e, k in zip(space, jumps, extra, reach, strict=True)]
        cut = [n - m for n, m in zip(full, output_shape, strict=True)]
        extra = tuple(e + max(-n, 0) for e, n in zip(extra, cut, strict=True))
        padding = tuple(_halves(max(n, 0), less_first=auto_pad == "SAME_UPPER") for n in cut)
    kernel = np.transpose(weight, (*range(2, weight.ndim), 1, 0))
    y = functional.conv_transpose(
        _last(x), kernel, bias, strides=jumps, padding=padding, output_padding=extra,
        dilation=steps, groups=group,
    )  # fmt: skip
    return _first(y)


def _windows(
    x: Any, kernel_shape: Any, strides: Any, dilations: Any, pads: Any, auto_pad: str,
    ceil_mode: int,
) -> tuple[dict[str, Any], Pairs]:  # fmt: skip
    """Return the windows of a pooling, and how much of their padding is only of ceil_mode."""
    axes, size = x.ndim - 2, tuple(kernel_shape)
    jumps, steps = _each(strides, axes), _each(dilations, axes)
    reach = _reach(size, steps)
    padding = _padding(auto_pad, pads, x.shape[2:], reach, jumps)
    extra = [0] * axes
    if ceil_mode:
        for i, (n, k, s, (a, b)) in enumerate(zip(x.shape[2:], reach, jumps, padding, strict=True)):
            count = -(-(n + a + b - k) // s) + 1
            count -= (count - 1) * s >= n + a  # a window that begins in the padding is left out
            extra[i] = max((count - 1) * s + k - (n + a + b), 0)
    grown = tuple((a, b + e) for (a, b), e in zip(padding, extra, strict=True))
    window = {"size": size, "strides": jumps, "dilation": steps, "padding": grown}
    return window, padding


def _max_pool(
    x: Any, *, kernel_shape: Any, strides: Any = None, dilations: Any = None, pads: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: int = 0,
) -> Any:  # fmt: skip
    window, _ = _windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return _first(max_pool(_last(x), **window))


def _average_pool(
    x: Any, *, kernel_shape: Any, strides: Any = None, dilations: Any = None, pads: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
) -> Any:  # fmt: skip
    window, padding = _windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    inside = np.ones((1, *x.shape[2:], 1), x.dtype)
    if count_include_pad:
        width = ((0, 0), *padding, (0, 0))
        inside = np.pad(inside, width, constant_values=1)
        rest = [(g[0] - p[0], g[1] - p[1]) for g, p in zip(window["padding"], padding, strict=True)]
        counts = window_sum(inside, **{**window, "padding": tuple(rest)})
    else:
        counts = window_sum(inside, **window)
    return _first(window_sum(_last(x), **window) / counts)


def _space(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


OPERATORS.update(
    {
        "AveragePool": _average_pool,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "Det": np.linalg.det,
        "Einsum": lambda *xs, equation: np.einsum(equation, *xs),
        "Gemm": _gemm,
        "GlobalAveragePool": lambda x: np.mean(x, axis=_space(x), keepdims=True),
        "GlobalMaxPool": lambda x: np.max(x, axis=_space(x), keepdims=True),
        "MatMul": np.matmul,
        "MaxPool": _max_pool,
    }
)
