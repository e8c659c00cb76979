"""Convolution and correlation of sequences: one bilinear operation, closed under transposition."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval, result_type
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.core.op import Op
from pullback.ops.batching import last_axes
from pullback.ops.families import bilinear, broadcast_shapes


def _slide(x: Any, w: Any) -> Any:
    """Return y[k] = sum over j of x[k + j] w[j], wherever w lies inside x."""
    if x.ndim == w.ndim == 1:
        return np.convolve(x, w[::-1], "valid")
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[-1], axis=-1)
    return np.einsum("...kj,...j->...k", windows, w)


def _slide_infer(x: Aval, w: Aval) -> Aval:
    loops = broadcast_shapes("correlate", x.shape[:-1], w.shape[:-1])
    return Aval((*loops, x.shape[-1] - w.shape[-1] + 1), result_type(x, w))


def _padded(x: Any, before: int, after: int) -> Any:
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)]) if before or after else x


def _slide_samples(rng: np.random.Generator) -> Any:
    shapes = [((5,), (2,)), ((3,), (3,)), ((2, 6), (3,)), ((4,), (2, 1)), ((0, 3), (2,))]
    return [((rng.normal(size=x), rng.normal(size=w)), {}) for x, w in shapes]


slide_op: Op = bilinear(
    "correlate",
    _slide,
    lambda ct, x, w: slide_op(_padded(ct, w.shape[-1] - 1, w.shape[-1] - 1), np.flip(w, -1)),
    lambda ct, x, w: slide_op(x, ct),
    infer=_slide_infer,
    batch=last_axes("correlate", 1, 1),
    samples=_slide_samples,
)


def _overhang(mode: str, length: int) -> tuple[int, int]:
    """Return how far the shorter sequence may stick out before and after the longer one."""
    if mode == "full":
        return length - 1, length - 1
    if mode == "same":
        return length // 2, (length - 1) // 2
    if mode == "valid":
        return 0, 0
    raise ValueError(f"mode: expected 'full', 'same' or 'valid', got {mode!r}")


def _sequence(name: str, x: Any) -> Any:
    x = np.atleast_1d(x)
    if x.ndim != 1 or x.size == 0:
        raise ShapeError(
            f"{name}: expected a sequence of one axis with at least one element, got shape "
            f"{x.shape}; pb.vmap goes over the rows of a matrix"
        )
    return x


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Return the convolution sum over j of a[k - j] v[j]."""
    a, v = _sequence("a", a), _sequence("v", v)
    if a.shape[0] < v.shape[0]:
        a, v = v, a
    return slide_op(_padded(a, *_overhang(mode, v.shape[0])), np.flip(v))


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """Return the correlation sum over j of a[k + j] times the conjugate of v[j]."""
    a, v = _sequence("a", a), _sequence("v", v)
    if a.shape[0] < v.shape[0]:
        return np.flip(np.conjugate(correlate(v, a, mode)))
    return slide_op(_padded(a, *_overhang(mode, v.shape[0])), np.conjugate(v))
