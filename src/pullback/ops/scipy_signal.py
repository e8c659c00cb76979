"""Convolution of arrays of any number of axes: one bilinear operation, closed under transposition.

SciPy computes it; imported when pullback.scipy.signal is first used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.signal

from pullback.core.aval import Aval, result_type
from pullback.core.op import Op
from pullback.ops.batching import aligned
from pullback.ops.families import bilinear, broadcast_shapes


def _convolve(x: Any, y: Any, axes: int, valid: bool, method: Any) -> Any:
    """Convolve the last `axes` axes; those before them broadcast."""
    mode: Any = "valid" if valid else "full"
    dtype = np.result_type(x, y)
    if x.ndim == y.ndim == axes:
        return scipy.signal.convolve(x, y, mode, method).astype(dtype)
    last = tuple(range(-axes, 0))
    if method == "fft":
        loops = np.broadcast_shapes(x.shape[:-axes], y.shape[:-axes])
        x = np.broadcast_to(x, loops + x.shape[-axes:])
        y = np.broadcast_to(y, loops + y.shape[-axes:])
        return scipy.signal.fftconvolve(x, y, mode, last).astype(dtype)
    size = y.shape[-axes:]
    if not valid:
        x = np.pad(x, [(0, 0)] * (x.ndim - axes) + [(n - 1, n - 1) for n in size])
    windows = np.lib.stride_tricks.sliding_window_view(x, size, last)
    letters = [*range(axes)]
    return np.einsum(
        windows, [..., *letters, *(axes + i for i in letters)],
        np.flip(y, last), [..., *(axes + i for i in letters)],
        [..., *letters],
    )  # fmt: skip


def _infer(x: Aval, y: Aval, axes: int, valid: bool, method: str) -> Aval:
    loops = broadcast_shapes("convolve", x.shape[:-axes], y.shape[:-axes])
    change = [1 - n if valid else n - 1 for n in y.shape[-axes:]]
    core = [n + d for n, d in zip(x.shape[-axes:], change, strict=True)]
    return Aval((*loops, *core), result_type(x, y))


def _reversed(x: Any, axes: int) -> Any:
    return np.flip(x, tuple(range(-axes, 0)))


def _transpose_first(ct: Any, x: Any, y: Any, axes: int, valid: bool, method: str) -> Any:
    # x[i] meets y[j] in out[i + j], so its cotangent correlates out's with y
    return convolve_op(ct, _reversed(y, axes), axes=axes, valid=not valid, method=method)


def _transpose_second(ct: Any, x: Any, y: Any, axes: int, valid: bool, method: str) -> Any:
    if valid:
        return convolve_op(_reversed(x, axes), ct, axes=axes, valid=True, method=method)
    return convolve_op(ct, _reversed(x, axes), axes=axes, valid=True, method=method)


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
    axes = params["axes"]
    return convolve_op(*aligned(args, batched, (axes, axes)), **params)


def _samples(rng: np.random.Generator) -> Any:
    cases = [
        ((5,), (3,), 1, True, "direct"),
        ((3,), (5,), 1, False, "direct"),
        ((4, 3), (2, 3), 2, True, "fft"),
        ((2, 4), (2, 3), 2, False, "direct"),
        ((2, 6), (3, 1, 2), 1, True, "fft"),
        ((2, 4, 3), (2, 2), 2, False, "direct"),
    ]
    return [
        (
            (rng.normal(size=x), rng.normal(size=y)),
            {"axes": axes, "valid": valid, "method": method},
        )
        for x, y, axes, valid, method in cases
    ]


convolve_op: Op = bilinear(
    "convolve",
    _convolve,
    _transpose_first,
    _transpose_second,
    infer=_infer,
    batch=_batch,
    samples=_samples,
)
