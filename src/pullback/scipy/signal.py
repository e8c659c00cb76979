"""`scipy.signal` for traced code: convolution and correlation.

The functions take arrays and traced arrays in SciPy's signatures, and are differentiable in both
inputs to any order. Any other name is SciPy's own.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.signal import convolve
>>> pb.grad(lambda kernel: convolve(np.arange(4.0), kernel, "valid").sum())(np.ones(2))
array([6., 3.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as _np
import scipy.signal as _signal

from pullback.core.errors import ConfigError as _ConfigError
from pullback.core.errors import ShapeError as _ShapeError
from pullback.ops.axes import one_axis as _one_axis
from pullback.ops.scipy_signal import convolve_op as _convolve_op
from pullback.ops.values import as_array as _as_array

Mode = Literal["full", "valid", "same"]


def convolve(
    in1: Any, in2: Any, mode: Mode = "full", method: Literal["auto", "direct", "fft"] = "auto"
) -> Any:
    """Return the convolution of two arrays of as many axes, out[k] = sum over j in1[k - j] in2[j].

    `mode` "full" gives every place where they overlap, "valid" those where one lies within the
    other, "same" the middle of "full" in the shape of `in1`. `method` "direct" sums, "fft"
    multiplies transforms, "auto" takes the faster one by SciPy's estimate.
    Raises ShapeError where the numbers of axes differ or, for "valid", neither fits in the other.

    >>> convolve([1.0, 2.0, 3.0], [0.0, 1.0], "same")
    array([0., 1., 2.])
    """
    x, y = _pair(in1, in2, mode)
    if method == "auto":
        method = _signal.choose_conv_method(_hollow(x), _hollow(y), mode)
    return _convolved(x, y, mode, method, x.ndim)


def fftconvolve(
    in1: Any, in2: Any, mode: Mode = "full", axes: int | Sequence[int] | None = None
) -> Any:
    """Return the convolution of two arrays by fast Fourier transforms; see `convolve`.

    `axes` are those to convolve over, all by default; the others broadcast.

    >>> fftconvolve([1.0, 2.0], [0.5, 1.0]).round(12)
    array([0.5, 2. , 2. ])
    """
    x, y = _pair(in1, in2, mode)
    if axes is None:
        return _convolved(x, y, mode, "fft", x.ndim)
    given = (axes,) if isinstance(axes, int) else axes
    places = [_one_axis(axis, x.ndim) for axis in given]
    last = range(-len(places), 0)
    x, y = _np.moveaxis(x, places, last), _np.moveaxis(y, places, last)
    return _np.moveaxis(_convolved(x, y, mode, "fft", len(places)), last, places)


def correlate(
    in1: Any, in2: Any, mode: Mode = "full", method: Literal["auto", "direct", "fft"] = "auto"
) -> Any:
    """Return the correlation, out[k] = sum over j in1[k + j] times the conjugate of in2[j].

    Modes, methods and errors are those of `convolve`.

    >>> correlate([1.0, 2.0, 3.0], [0.0, 1.0], "valid")
    array([2., 3.])
    """
    x, y = _pair(in1, in2, mode)
    return convolve(x, _np.conjugate(_np.flip(y)), mode, method)


def _pair(in1: Any, in2: Any, mode: str) -> tuple[Any, Any]:
    if mode not in ("full", "same", "valid"):
        raise _ConfigError(f"mode: expected 'full', 'same' or 'valid', got {mode!r}")
    x, y = _as_array(in1), _as_array(in2)
    if x.ndim != y.ndim or x.ndim == 0 or 0 in (*x.shape, *y.shape):
        raise _ShapeError(
            "in1, in2: expected arrays with as many axes, at least one, and no empty ones, got "
            f"shapes {x.shape} and {y.shape}; add axes with in2[None]"
        )
    return x, y


def _hollow(x: Any) -> Any:
    """Return an array like `x` that holds no memory, to estimate costs with."""
    return _np.broadcast_to(_np.zeros((), x.dtype), x.shape)


def _convolved(x: Any, y: Any, mode: Mode, method: str, axes: int) -> Any:
    """Convolve the last `axes` axes."""
    size, other = x.shape[-axes:], y.shape[-axes:]
    params = {"axes": axes, "method": method}
    if mode == "full":
        return _convolve_op(x, y, valid=False, **params)
    if mode == "same":
        full = _convolve_op(x, y, valid=False, **params)
        middle = [slice((m - 1) // 2, (m - 1) // 2 + n) for n, m in zip(size, other, strict=True)]
        return full[(..., *middle)]
    if all(n >= m for n, m in zip(size, other, strict=True)):
        return _convolve_op(x, y, valid=True, **params)
    if all(n <= m for n, m in zip(size, other, strict=True)):
        return _convolve_op(y, x, valid=True, **params)
    raise _ShapeError(
        f"mode 'valid': expected one array to be at least as long as the other on every axis, got "
        f"{size} and {other}; use mode 'full' or 'same'"
    )


def __getattr__(name: str) -> Any:
    return getattr(_signal, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_signal)})
