"""Convolution layers, for sequences and for images.

With the windows of x laid out as the rows of a matrix X, and the weight as a matrix W of one column
for each output, a convolution is Y = X W + 1 b, a dense layer shared by all places. So its backward
equations are those of a dense layer, with delta = dL/dY:

    dL/dW = X^T delta        the correlation of x and delta
    dL/db = 1^T delta        the sum over samples and places
    dL/dx = fold(delta W^T)  each place collects what the windows that contain it send back

and the last one is the transposed convolution of delta with the same weight.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike

from pullback.core.errors import ConfigError, ShapeError
from pullback.nn import functional
from pullback.nn import init as initialisers
from pullback.nn.functional import Padding, Size
from pullback.nn.init import Initialiser
from pullback.nn.module import Module, static
from pullback.nn.shapes import Layout, check_layout, each_axis, over_space, positive
from pullback.numpy.random import Key


class _Conv(Module):
    """What convolutions over 1 and over 2 axes have in common."""

    weight: Any
    bias: Any
    strides: Size = static(default=1)
    padding: Padding = static(default=0)
    dilation: Size = static(default=1)
    groups: int = static(default=1)
    layout: Layout = static(default="channels_last")
    axes: ClassVar[int]

    def __post_init__(self) -> None:
        _check_weights(self, self.weight.shape[-1:])

    @classmethod
    def create(
        cls,
        key: Key,
        inputs: int,
        outputs: int,
        size: Size,
        *,
        strides: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        layout: Layout = "channels_last",
        init: Initialiser = initialisers.he_uniform,
        dtype: DTypeLike = np.float32,
    ) -> Self:
        """Return a layer from `inputs` to `outputs` channels, with weights drawn by `init`.

        `size` is that of the window; `groups` divides both numbers of channels.
        """
        sizes = _check_options(cls.axes, inputs, outputs, size, groups, layout)
        shape = (*sizes, inputs // groups, outputs)
        weight = _drawn(key, shape, inputs // groups, outputs // groups, init, dtype)
        zeros = np.zeros(outputs, dtype) if bias else None
        return cls(weight, zeros, strides, padding, dilation, groups, layout)

    def __call__(self, x: Any) -> Any:
        """Return the convolution of x, plus the bias."""
        inputs, outputs = self.weight.shape[-2] * self.groups, self.weight.shape[-1]

        def apply(x: Any) -> Any:
            return functional.conv(
                x, self.weight, self.bias,
                strides=self.strides, padding=self.padding, dilation=self.dilation,
                groups=self.groups,
            )  # fmt: skip

        name = f"{type(self).__name__}({inputs} -> {outputs})"
        return over_space(name, apply, x, inputs, self.axes, self.layout)


class Conv1d(_Conv):
    """Convolution of sequences: x is (n, length, inputs), weight (size, inputs / groups, outputs).

    `padding` is a number, a pair for each axis, "same" or "valid"; with layout="channels_first"
    x is (n, inputs, length). A single sequence, without the first axis, gives a single result.
    Raises ShapeError if x does not fit. The equations of `nn.functional.conv`.

    >>> layer = Conv1d(np.array([[[1.0]], [[-1.0]]]), None)
    >>> layer(np.array([[[1.0], [4.0], [9.0]]]))[0, :, 0]
    array([-3., -5.])
    """

    axes = 1


class Conv2d(_Conv):
    """Convolution of images: x (n, height, width, inputs), weight (h, w, inputs / groups, outputs).

    `padding` is a number, a pair for each axis, "same" or "valid"; with layout="channels_first"
    x is (n, inputs, height, width). A single image, without the first axis, gives a single result.
    Raises ShapeError if x does not fit. The equations of `nn.functional.conv`.

    >>> from pullback import random
    >>> layer = Conv2d.create(random.key(0), 3, 8, 5, padding="same", strides=2)
    >>> layer(np.ones((1, 28, 28, 3), np.float32)).shape
    (1, 14, 14, 8)
    """

    axes = 2


class _ConvTranspose(Module):
    """What transposed convolutions over 1 and over 2 axes have in common."""

    weight: Any
    bias: Any
    strides: Size = static(default=1)
    padding: int | tuple[int, ...] = static(default=0)
    output_padding: int | tuple[int, ...] = static(default=0)
    dilation: Size = static(default=1)
    groups: int = static(default=1)
    layout: Layout = static(default="channels_last")
    axes: ClassVar[int]

    def __post_init__(self) -> None:
        _check_weights(self, (self.weight.shape[-2] * self.groups,))

    @classmethod
    def create(
        cls,
        key: Key,
        inputs: int,
        outputs: int,
        size: Size,
        *,
        strides: Size = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        layout: Layout = "channels_last",
        init: Initialiser = initialisers.he_uniform,
        dtype: DTypeLike = np.float32,
    ) -> Self:
        """Return a layer from `inputs` to `outputs` channels, with weights drawn by `init`."""
        sizes = _check_options(cls.axes, inputs, outputs, size, groups, layout)
        shape = (*sizes, outputs // groups, inputs)
        weight = _drawn(key, shape, inputs // groups, outputs // groups, init, dtype)
        zeros = np.zeros(outputs, dtype) if bias else None
        return cls(weight, zeros, strides, padding, output_padding, dilation, groups, layout)

    def __call__(self, x: Any) -> Any:
        """Return the transposed convolution of x, plus the bias."""
        inputs, outputs = self.weight.shape[-1], self.weight.shape[-2] * self.groups

        def apply(x: Any) -> Any:
            return functional.conv_transpose(
                x, self.weight, self.bias,
                strides=self.strides, padding=self.padding, output_padding=self.output_padding,
                dilation=self.dilation, groups=self.groups,
            )  # fmt: skip

        name = f"{type(self).__name__}({inputs} -> {outputs})"
        return over_space(name, apply, x, inputs, self.axes, self.layout)


class ConvTranspose1d(_ConvTranspose):
    """The transpose of `Conv1d`: x is (n, length, inputs), weight (size, outputs / groups, inputs).

    The equations of `nn.functional.conv_transpose`. Raises ShapeError if x does not fit.

    >>> layer = ConvTranspose1d(np.array([[[1.0]], [[0.5]]]), None, strides=2)
    >>> layer(np.array([[[1.0], [4.0]]]))[0, :, 0]
    array([1. , 0.5, 4. , 2. ])
    """

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of `Conv2d`: x is (n, height, width, inputs), weight (h, w, outputs, inputs).

    With `groups`, the weight has outputs / groups. The equations of `nn.functional.conv_transpose`.
    Raises ShapeError if x does not fit.

    >>> from pullback import random
    >>> layer = ConvTranspose2d.create(random.key(0), 8, 3, 4, strides=2, padding=1)
    >>> layer(np.ones((1, 14, 14, 8), np.float32)).shape
    (1, 28, 28, 3)
    """

    axes = 2


def _check_options(
    axes: int, inputs: int, outputs: int, size: Size, groups: int, layout: Layout
) -> tuple[int, ...]:
    positive("inputs", inputs)
    positive("outputs", outputs)
    positive("groups", groups)
    check_layout(layout)
    if inputs % groups or outputs % groups:
        raise ConfigError(
            f"groups: expected a divisor of {inputs} inputs and {outputs} outputs, got {groups}."
        )
    return each_axis("size", size, axes)


def _check_weights(layer: Any, bias: tuple[int, ...]) -> None:
    name, shape = type(layer).__name__, np.shape(layer.weight)
    if len(shape) != layer.axes + 2:
        raise ShapeError(
            f"{name}: weight: expected {layer.axes} axes of the window and two of channels, "
            f"got shape {shape}."
        )
    if layer.bias is not None and np.shape(layer.bias) != bias:
        raise ShapeError(
            f"{name}: bias: expected shape {bias} for a weight of shape {shape}, "
            f"got {np.shape(layer.bias)}."
        )


def _drawn(
    key: Key, shape: tuple[int, ...], inputs: int, outputs: int, init: Initialiser, dtype: DTypeLike
) -> Any:
    places = math.prod(shape[:-2])
    return init(key, shape, places * inputs, places * outputs, dtype)
