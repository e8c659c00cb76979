"""Pooling: the greatest, and the sum, of each window that slides over the spatial axes.

Arrays are (samples, *space, channels); windows.py says what describes a window.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import OPS, Batch, Op
from pullback.ops.batching import batch_size, spread
from pullback.ops.families import general, linear
from pullback.ops.windows import count_windows, inside, offsets, padded

Ints = tuple[int, ...]


def _parts(x: Any, window: Mapping[str, Any], around: Any = 0) -> list[Any]:
    """Return for each place in a window what all windows have there, as views."""
    counts = count_windows("pooling", x.shape[1:-1], **window)
    full = padded(x, window["padding"], around)
    places = offsets(window["size"], counts, window["strides"], window["dilation"])
    return [full[index] for _, index in places]


def _overlapped(parts: Iterable[Any], like: Any, space: Ints, window: Mapping[str, Any]) -> Any:
    """Add up `parts`, one for each place in a window, where the windows have them in `space`."""
    counts, padding = like.shape[1:-1], window["padding"]
    room = [n + a + b for n, (a, b) in zip(space, padding, strict=True)]
    total = np.zeros((like.shape[0], *room, like.shape[-1]), like.dtype)
    places = offsets(window["size"], counts, window["strides"], window["dilation"])
    for part, (_, index) in zip(parts, places, strict=False):
        total[index] += part
    return np.ascontiguousarray(total[inside(padding, space)])


def _least(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max_pool(x: Any, **window: Any) -> Any:
    return _greatest(_parts(x, window, _least(x.dtype)))


def _greatest(parts: list[Any]) -> Any:
    greatest = parts[0].copy()
    for part in parts[1:]:
        np.maximum(greatest, part, out=greatest)
    return greatest


def _winners(x: Any, window: Mapping[str, Any]) -> Iterator[Any]:
    """Yield for each place in a window where it has the first maximum; NaN is greater than all."""
    parts = _parts(x, window, _least(x.dtype))
    greatest = _greatest(parts)
    open_yet = np.ones(greatest.shape, np.bool_)
    for part in parts:
        wins = open_yet & ((part == greatest) | (part != part))
        yield wins
        open_yet ^= wins


def _pick_max(x: Any, v: Any, **window: Any) -> Any:
    parts = _parts(v, window)
    picked = np.zeros(parts[0].shape, v.dtype)
    for part, wins in zip(parts, _winners(x, window), strict=True):
        np.copyto(picked, part, where=wins)
    return picked


def _place_max(x: Any, y: Any, **window: Any) -> Any:
    parts = (np.where(wins, y, 0) for wins in _winners(x, window))
    return _overlapped(parts, y, x.shape[1:-1], window)


def _window_sum(x: Any, **window: Any) -> Any:
    first, *rest = _parts(x, window)
    total = first.copy()
    for part in rest:
        total += part
    return total


def _window_spread(y: Any, space: Ints, **window: Any) -> Any:
    return _overlapped(itertools.repeat(y), y, space, window)


def _pooled(x: Aval, window: Mapping[str, Any]) -> Ints:
    return (x.shape[0], *count_windows("pooling", x.shape[1:-1], **window), x.shape[-1])


def _batch(name: str) -> Batch:
    """Batching rule: examples are more samples."""

    def rule(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
        size = batch_size(args, batched)
        merged = [np.reshape(a, (size * a.shape[1], *a.shape[2:])) for a in spread(args, batched)]
        out = OPS[name](*merged, **params)
        return np.reshape(out, (size, out.shape[0] // size, *out.shape[1:]))

    return rule


_WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 6, 2), {"size": (2,), "strides": (2,), "padding": ((0, 0),), "dilation": (1,)}),
    ((1, 7, 1), {"size": (3,), "strides": (1,), "padding": ((1, 1),), "dilation": (2,)}),
    (
        (2, 5, 4, 2),
        {"size": (3, 2), "strides": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 1)},
    ),
]
"""Shapes of x, and windows, for the samples."""


def _samples(*roles: str) -> Any:
    """Draw arguments: "x" like the input, "y" like the result."""

    def draw(rng: np.random.Generator) -> Any:
        for shape, window in _WINDOWS:
            shapes = {"x": shape, "y": _pooled(Aval(shape, np.float64), window)}
            space = {} if "x" in roles else {"space": shape[1:-1]}
            yield tuple(rng.normal(size=shapes[r]) for r in roles), {**window, **space}

    return lambda rng: list(draw(rng))


max_pool: Op = general(
    "max_pool",
    _max_pool,
    vjp=lambda i, ct, out, args, window: place_max(args[0], ct, **window),
    jvp=lambda tangents, out, args, window: pick_max(args[0], tangents[0], **window),
    infer=lambda x, **window: Aval(_pooled(x, window), x.dtype),
    batch=_batch("max_pool"),
    samples=_samples("x"),
    undefined_at="ties: the first maximum of the window, in the order of its axes, has it all",
)
pick_max: Op = linear(
    "pick_max",
    _pick_max,
    lambda i, ct, args, window: place_max(args[0], ct, **window),
    arguments=(1,),
    infer=lambda x, v, **window: Aval(_pooled(x, window), v.dtype),
    batch=_batch("pick_max"),
    samples=_samples("x", "x"),
)
place_max: Op = linear(
    "place_max",
    _place_max,
    lambda i, ct, args, window: pick_max(args[0], ct, **window),
    arguments=(1,),
    infer=lambda x, y, **window: Aval(x.shape, y.dtype),
    batch=_batch("place_max"),
    samples=_samples("x", "y"),
)
window_sum: Op = linear(
    "window_sum",
    _window_sum,
    lambda i, ct, args, window: window_spread(ct, space=args[0].shape[1:-1], **window),
    infer=lambda x, **window: Aval(_pooled(x, window), x.dtype),
    batch=_batch("window_sum"),
    samples=_samples("x"),
)
window_spread: Op = linear(
    "window_spread",
    _window_spread,
    lambda i, ct, args, params: window_sum(
        ct, **{name: value for name, value in params.items() if name != "space"}
    ),
    infer=lambda y, space, **window: Aval((y.shape[0], *space, y.shape[-1]), y.dtype),
    batch=_batch("window_spread"),
    samples=_samples("y"),
)
