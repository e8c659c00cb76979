"""Pooling layers: one number for each window and channel. They have no parameters.

x is (n, length, channels) for those that end in 1d, (n, height, width, channels) for 2d; with
layout="channels_first" the channels come right after the samples. A single sample, without the
first axis, gives a single result. All raise ShapeError if x does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pullback.nn import functional
from pullback.nn.functional import Padding, Size
from pullback.nn.module import Module, static
from pullback.nn.shapes import Layout, over_space


def _pooled(layer: Any, pool: Callable[..., Any], x: Any, **options: Any) -> Any:
    def apply(x: Any) -> Any:
        return pool(x, layer.size, **options)

    return over_space(type(layer).__name__, apply, x, None, layer.axes, layer.layout)


class _MaxPool(Module):
    size: Size = static()
    strides: Size | None = static(default=None)
    padding: Padding = static(default=0)
    dilation: Size = static(default=1)
    layout: Layout = static(default="channels_last")
    axes: ClassVar[int]

    def __call__(self, x: Any) -> Any:
        """Return the greatest entry of each window."""
        return _pooled(
            self, functional.max_pool, x,
            strides=self.strides, padding=self.padding, dilation=self.dilation,
        )  # fmt: skip


class _AvgPool(Module):
    size: Size = static()
    strides: Size | None = static(default=None)
    padding: Padding = static(default=0)
    count_padding: bool = static(default=True)
    layout: Layout = static(default="channels_last")
    axes: ClassVar[int]

    def __call__(self, x: Any) -> Any:
        """Return the mean of each window."""
        return _pooled(
            self, functional.avg_pool, x,
            strides=self.strides, padding=self.padding, count_padding=self.count_padding,
        )  # fmt: skip


class _AdaptivePool(Module):
    size: Size = static()
    layout: Layout = static(default="channels_last")
    axes: ClassVar[int]
    pool: ClassVar[Callable[..., Any]]

    def __call__(self, x: Any) -> Any:
        """Return `size` entries along each axis."""
        return _pooled(self, type(self).pool, x)


class MaxPool1d(_MaxPool):
    """The greatest entry of each window of `size`, moved by `strides` (None: `size`).

    At ties the first of the window has the gradient, as in PyTorch.

    >>> import numpy as np
    >>> MaxPool1d(2)(np.array([[[1.0], [5.0], [2.0], [3.0]]]))[0, :, 0]
    array([5., 3.])
    """

    axes = 1


class MaxPool2d(_MaxPool):
    """The greatest entry of each window of `size`, moved by `strides` (None: `size`).

    At ties the first of the window has the gradient, as in PyTorch.

    >>> import numpy as np
    >>> MaxPool2d(3, strides=2, padding=1)(np.ones((1, 8, 8, 4))).shape
    (1, 4, 4, 4)
    """

    axes = 2


class AvgPool1d(_AvgPool):
    """The mean of each window of `size`, moved by `strides` (None: `size`).

    >>> import numpy as np
    >>> AvgPool1d(2)(np.array([[[1.0], [5.0], [2.0], [4.0]]]))[0, :, 0]
    array([3., 3.])
    """

    axes = 1


class AvgPool2d(_AvgPool):
    """The mean of each window of `size`, moved by `strides` (None: `size`).

    >>> import numpy as np
    >>> AvgPool2d((2, 4))(np.ones((1, 8, 8, 4))).shape
    (1, 4, 2, 4)
    """

    axes = 2


class AdaptiveMaxPool1d(_AdaptivePool):
    """The greatest entries of `size` parts of each axis that cover it evenly.

    >>> import numpy as np
    >>> AdaptiveMaxPool1d(2)(np.array([[[1.0], [2.0], [6.0]]]))[0, :, 0]
    array([2., 6.])
    """

    axes = 1
    pool = functional.adaptive_max_pool


class AdaptiveMaxPool2d(_AdaptivePool):
    """The greatest entries of `size` parts of each axis that cover it evenly.

    >>> import numpy as np
    >>> AdaptiveMaxPool2d(3)(np.ones((1, 8, 8, 4))).shape
    (1, 3, 3, 4)
    """

    axes = 2
    pool = functional.adaptive_max_pool


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of `size` parts of each axis that cover it evenly.

    >>> import numpy as np
    >>> AdaptiveAvgPool1d(2)(np.array([[[1.0], [2.0], [6.0]]]))[0, :, 0]
    array([1.5, 4. ])
    """

    axes = 1
    pool = functional.adaptive_avg_pool


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of `size` parts of each axis that cover it evenly.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d(1)(np.ones((1, 8, 8, 4))).shape
    (1, 1, 1, 4)
    """

    axes = 2
    pool = functional.adaptive_avg_pool
