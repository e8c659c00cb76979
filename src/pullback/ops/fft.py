"""Discrete Fourier transforms: linear, each with its transpose (numpy.fft).

With w = exp(-2 pi i / n), fft is the symmetric matrix w**(j k), so it is its own transpose; rfft
keeps its first n // 2 + 1 rows, and irfft is the inverse for real signals. NumPy's `norm` only
scales; the transposes of rfft and irfft are each other, with the two ways' scales exchanged.
(Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd edition, 2010, chapter 8.)
"""

from __future__ import annotations

import operator
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from pullback.core.aval import Aval, DType
from pullback.core.dispatch import implements
from pullback.core.op import Op
from pullback.ops.axes import one_axis
from pullback.ops.batching import along
from pullback.ops.families import linear
from pullback.ops.reduce import finish

OPPOSITE: dict[str, Literal["backward", "ortho", "forward"]] = {
    "backward": "forward",
    "ortho": "ortho",
    "forward": "backward",
}


def _spectrum_dtype(dtype: DType) -> DType:
    return np.fft.fft(np.zeros(1, dtype)).dtype


def _samples(dtype: type, **options: Any) -> Any:
    def samples(rng: np.random.Generator) -> Any:
        def draw(*shape: int) -> Any:
            x = rng.normal(size=shape)
            return x + 1j * rng.normal(size=shape) if dtype is complex else x

        return [
            ((draw(5),), {**options, "axis": 0, "norm": "backward"}),
            ((draw(3, 4),), {**options, "axis": 1, "norm": "forward"}),
            ((draw(5, 2),), {**options, "axis": 0, "norm": "ortho"}),
            ((draw(0, 4),), {**options, "axis": 1, "norm": "backward"}),
        ]

    return samples


# the four transforms, each along one axis, of arrays that have the right length already


def _symmetric(name: str, function: Any) -> Op:
    op: Op = linear(
        name,
        lambda x, axis, norm: function(x, axis=axis, norm=norm),
        lambda i, ct, args, params: op(ct, **params),
        infer=lambda x, axis, norm: Aval(x.shape, _spectrum_dtype(x.dtype)),
        batch=along(name, "axis"),
        samples=_samples(complex),
    )
    return op


fft_op = _symmetric("fft", np.fft.fft)
ifft_op = _symmetric("ifft", np.fft.ifft)


def _multiplicity(n: int, axis: int, ndim: int, dtype: DType) -> Any:
    """Return how many of the n frequencies each of the n // 2 + 1 kept by rfft stands for."""
    counts = np.full(n // 2 + 1, 2, np.empty(0, dtype).real.dtype)
    counts[0] = 1
    if n % 2 == 0:
        counts[-1] = 1
    return counts.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _rfft_transpose(i: int, ct: Any, args: Any, params: Any) -> Any:
    axis, n = params["axis"], args[0].shape[params["axis"]]
    half = np.conjugate(ct) / _multiplicity(n, axis, ct.ndim, ct.dtype)
    return irfft_op(half, n=n, axis=axis, norm=OPPOSITE[params["norm"]])


def _irfft_transpose(i: int, ct: Any, args: Any, params: Any) -> Any:
    axis = params["axis"]
    half = np.conjugate(rfft_op(ct, axis=axis, norm=OPPOSITE[params["norm"]]))
    return half * _multiplicity(params["n"], axis, ct.ndim, ct.dtype)


def _with_length(x: Aval, axis: int, length: int, dtype: DType) -> Aval:
    return Aval([length if i == axis else m for i, m in enumerate(x.shape)], dtype)


rfft_op: Op = linear(
    "rfft",
    lambda x, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    _rfft_transpose,
    infer=lambda x, axis, norm: _with_length(
        x, axis, x.shape[axis] // 2 + 1, _spectrum_dtype(x.dtype)
    ),
    batch=along("rfft", "axis"),
    samples=_samples(float),
)


def _irfft_samples(rng: np.random.Generator) -> Any:
    return [
        ((x,), {**params, "n": 2 * (x.shape[params["axis"]] - 1) + odd})
        for (x,), params in _samples(complex)(rng)
        for odd in (0, 1)
    ]


irfft_op: Op = linear(
    "irfft",
    lambda x, n, axis, norm: np.fft.irfft(x, n, axis=axis, norm=norm),
    _irfft_transpose,
    infer=lambda x, n, axis, norm: _with_length(
        x, axis, n, np.empty(0, _spectrum_dtype(x.dtype)).real.dtype
    ),
    batch=along("irfft", "axis"),
    samples=_irfft_samples,
)


# NumPy's signatures


def _norm(norm: Any) -> str:
    if norm is not None and norm not in OPPOSITE:
        raise ValueError(f"norm: expected None, 'backward', 'ortho' or 'forward', got {norm!r}")
    return norm or "backward"


def _length(n: Any, default: int) -> int:
    length = default if n is None else operator.index(n)
    if length < 1:
        raise ValueError(f"n: expected at least 1 point to transform, got {length}")
    return length


def _fitted(a: Any, n: int, axis: int) -> Any:
    """Return `a` cut off, or filled with zeros, to length `n` along `axis`."""
    length = a.shape[axis]
    if n < length:
        return a[(*(slice(None),) * axis, slice(n))]
    if n > length:
        return np.pad(a, [(0, n - length) if i == axis else (0, 0) for i in range(a.ndim)])
    return a


def _one_dimensional(op: Op, meaning: str) -> Any:
    def transform(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
        axis = one_axis(axis, a.ndim)
        fitted = _fitted(a, _length(n, a.shape[axis]), axis)
        return finish(op(fitted, axis=axis, norm=_norm(norm)), out)

    transform.__name__ = op.name
    transform.__doc__ = f"Return the {meaning} along `axis`, of `n` points."
    return transform


fft = implements(np.fft.fft)(_one_dimensional(fft_op, "discrete Fourier transform"))
ifft = implements(np.fft.ifft)(_one_dimensional(ifft_op, "inverse Fourier transform"))
rfft = implements(np.fft.rfft)(_one_dimensional(rfft_op, "Fourier transform of real numbers"))


@implements(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """Return the real signal of `n` points whose spectrum begins with `a`."""
    axis = one_axis(axis, a.ndim)
    n = _length(n, 2 * (a.shape[axis] - 1))
    return finish(irfft_op(_fitted(a, n // 2 + 1, axis), n=n, axis=axis, norm=_norm(norm)), out)


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """Return the real spectrum of the signal whose first half is `a`, the other its conjugate."""
    return np.fft.irfft(np.conjugate(a), n, axis, OPPOSITE[_norm(norm)], out)


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """Return the first half of the signal whose spectrum, `a`, is real."""
    return finish(np.conjugate(np.fft.rfft(a, n, axis, OPPOSITE[_norm(norm)])), out)


# several dimensions: one axis after the other


def _lengths_and_axes(a: Any, s: Any, axes: Any) -> tuple[list[Any], list[int]]:
    """Return the number of points (None for all there are) along each of the axes."""
    if axes is None:
        axes = range(a.ndim) if s is None else range(-len(s), 0)
    places = [one_axis(i, a.ndim) for i in axes]
    lengths = [None] * len(places) if s is None else [None if n in (None, -1) else n for n in s]
    if len(lengths) != len(places):
        raise ValueError(
            f"s: expected one number of points for each of the axes {tuple(places)}, got {s}"
        )
    return lengths, places


def _all_axes(function: Any, defaults: Any, meaning: str) -> Any:
    def transform(
        a: Any, s: Any = None, axes: Any = defaults, norm: Any = None, out: Any = None
    ) -> Any:
        lengths, places = _lengths_and_axes(a, s, axes)
        for n, axis in zip(reversed(lengths), reversed(places), strict=True):
            a = function(a, n, axis, norm)
        return finish(a, out)

    transform.__doc__ = f"Return the {meaning} over several axes."
    return transform


for _defaults, _fftn, _ifftn in (
    (None, np.fft.fftn, np.fft.ifftn),
    ((-2, -1), np.fft.fft2, np.fft.ifft2),
):
    implements(_fftn)(_all_axes(np.fft.fft, _defaults, "discrete Fourier transform"))
    implements(_ifftn)(_all_axes(np.fft.ifft, _defaults, "inverse Fourier transform"))


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """Return the transform of real numbers over several axes, the last of them halved."""
    (*lengths, n), (*places, last) = _lengths_and_axes(a, s, axes)
    half = np.fft.rfft(a, n, last, norm)
    return finish(np.fft.fftn(half, _points(half, lengths, places), places, norm), out)


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """Return the real numbers whose transform over several axes, the last one halved, is `a`."""
    (*lengths, n), (*places, last) = _lengths_and_axes(a, s, axes)
    half = np.fft.ifftn(a, _points(a, lengths, places), places, norm)
    return np.fft.irfft(half, n, last, norm, out)


def _points(a: Any, lengths: Any, places: Any) -> list[int]:
    return [a.shape[i] if n is None else n for n, i in zip(lengths, places, strict=True)]


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """Return the transform of real numbers over two axes, the second of them halved."""
    return np.fft.rfftn(a, s, axes, norm, out)


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """Return the real numbers whose transform over two axes, the second one halved, is `a`."""
    return np.fft.irfftn(a, s, axes, norm, out)


def _shifted(x: Any, axes: Any, sign: int) -> Any:
    given = range(x.ndim) if axes is None else axes
    places = normalize_axis_tuple(given, x.ndim, allow_duplicate=True)
    return np.roll(x, [sign * (x.shape[i] // 2) for i in places], places)


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """Move the zero frequency to the middle."""
    return _shifted(x, axes, 1)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """Move the zero frequency from the middle back to the front."""
    return _shifted(x, axes, -1)
