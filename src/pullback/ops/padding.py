"""Padding: zeros are an operation; other sides are made of the array and joined to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError
from pullback.core.tracer import Tracer
from pullback.ops.batching import shaped
from pullback.ops.families import linear
from pullback.ops.gather import take
from pullback.ops.values import as_array


def _pad_infer(x: Aval, width: Any) -> Aval:
    return Aval([n + a + b for n, (a, b) in zip(x.shape, width, strict=True)], x.dtype)


pad_op = linear(
    "pad",
    lambda x, width: np.pad(x, width),
    lambda i, ct, args, params: ct[
        tuple(slice(a, a + n) for (a, _), n in zip(params["width"], args[0].shape, strict=True))
    ],
    infer=_pad_infer,
    batch=shaped("pad", "width", lambda size: (0, 0)),
    samples=lambda rng: [
        ((rng.normal(size=(2, 3)),), {"width": ((1, 0), (2, 1))}),
        ((rng.normal(size=(2,)),), {"width": ((0, 3),)}),
    ],
)


BY_INDEX = ("edge", "reflect", "symmetric", "wrap")
STATISTICS: dict[str, Any] = {
    "maximum": np.max,
    "minimum": np.min,
    "mean": np.mean,
    "median": np.median,
}
OPTIONS = {
    "constant": ("constant_values",),
    "linear_ramp": ("end_values",),
    "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
    **dict.fromkeys(STATISTICS, ("stat_length",)),
    **dict.fromkeys(("edge", "wrap", "empty"), ()),
}
"""The options of each mode."""


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """Pad with zeros or constants, by the array's own elements, or by what is made of them."""
    if callable(mode):
        raise NotDifferentiableError(
            "np.pad: a function as mode writes into plain arrays; join what it makes to the array "
            "with np.concatenate"
        )
    if mode not in OPTIONS:
        raise ValueError(f"mode: expected one of {', '.join(OPTIONS)}, got {mode!r}")
    unknown = ", ".join(options.keys() - OPTIONS[mode])
    if unknown:
        raise ValueError(f"mode={mode!r} does not take the options {unknown}")
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(i, pad_width.get(i - array.ndim, 0)) for i in range(array.ndim)]
        pad_width = [(w, w) if np.ndim(w) == 0 else tuple(w) for w in pad_width]
    width = [(int(a), int(b)) for a, b in _pairs(pad_width, array.ndim)]
    if any(w < 0 for pair in width for w in pair):
        raise ValueError(f"pad_width: expected numbers of at least 0, got {pad_width}")
    value = as_array(options.get("constant_values", 0))
    if not width:
        return np.copy(array)
    zeros = mode == "constant" and not isinstance(value, Tracer) and not np.any(value)
    if zeros or mode == "empty":
        return pad_op(array, width=tuple(width))
    for axis, pair in enumerate(width):
        if any(pair):
            array = np.moveaxis(array, axis, 0)
            array = np.moveaxis(_padded_rows(array, axis, pair, mode, options), 0, axis)
    return array


def _pairs(value: Any, ndim: int) -> Any:
    """Return NumPy's one value for all sides, or for both of each axis, as pairs."""
    return np.broadcast_to(as_array(value), (ndim, 2))


def _padded_rows(x: Any, axis: int, pair: tuple[int, int], mode: Any, options: Any) -> Any:
    """Pad the rows of `x`, which `axis` was moved to."""
    n, odd = x.shape[0], options.get("reflect_type", "even") == "odd"
    if mode in BY_INDEX and not odd:
        return take(x, np.pad(np.arange(n), pair, mode, **options), axis=0)
    if mode in STATISTICS:
        length = options.get("stat_length")
        lengths = (n, n) if length is None else tuple(map(int, _pairs(length, x.ndim)[axis]))
        statistic = STATISTICS[mode]
        sides = [statistic(x[: lengths[0]], axis=0), statistic(x[max(n - lengths[1], 0) :], axis=0)]
    elif mode == "constant":
        sides = list(_pairs(options["constant_values"], x.ndim)[axis])
    else:
        return np.concatenate(_linear_sides(x, axis, pair, mode, options))
    before, after = (
        np.broadcast_to(np.astype(as_array(side), x.dtype), (count, *x.shape[1:]))
        for side, count in zip(sides, pair, strict=True)
    )
    return np.concatenate([before, x, after])


def _linear_sides(x: Any, axis: int, pair: tuple[int, int], mode: Any, options: Any) -> list[Any]:
    """Return the sides that are linear in the rows, with the coefficients that NumPy itself has."""
    n, before = x.shape[0], pair[0]
    if mode == "linear_ramp":
        ends = _pairs(options.get("end_values", 0), x.ndim)[axis]
        settings: Any = {"end_values": 0}
    else:
        ends, settings = np.zeros(2), options
    coefficients = np.stack([np.pad(unit, pair, mode, **settings) for unit in np.eye(n)], axis=1)
    parts = []
    for rows, end in ((coefficients[:before], ends[0]), (coefficients[before + n :], ends[1])):
        used = np.flatnonzero(rows.any(axis=0))  # so that no other NaN is multiplied by zero
        side = np.tensordot(rows[:, used].astype(x.dtype), take(x, used, axis=0), 1)
        if mode == "linear_ramp":
            share = (1 - rows.sum(axis=1)).astype(x.dtype)
            side = side + np.reshape(share, (-1, *(1,) * (x.ndim - 1))) * end
        parts.append(np.astype(side, x.dtype))
    return [parts[0], x, parts[1]]
