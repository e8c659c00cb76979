"""Convolution over spatial axes, as networks have it: three operations from one trilinear form.

For x (samples, *space, inputs), w (*size, inputs / groups, outputs), y (samples, *counts, outputs)

    T(x, w, y) = sum over n, p, k, i, o of x[n, p s + k d - pad, i] w[k, i, o] y[n, p, o]

with strides s and dilation d, is linear in each of the three. Its slopes are the operations: in y
`conv(x, w)`, in x `conv_input(y, w)`, in w `conv_kernel(x, y)`. So the transposes of each are the
other two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval, result_type
from pullback.core.errors import ShapeError
from pullback.core.op import OPS, Batch, Op
from pullback.ops.batching import batch_size
from pullback.ops.families import bilinear
from pullback.ops.windows import Pairs, count_windows, inside, offsets, padded, windows

Ints = tuple[int, ...]


def _patches(x: Any, size: Ints, counts: Ints, groups: int, strides: Any, dilation: Any) -> Any:
    """Return the windows of each group as rows: (groups, samples * counts, size * channels)."""
    views = windows(x, size, counts, strides, dilation)
    channels = x.shape[-1] // groups
    grouped = np.moveaxis(views.reshape(*views.shape[:-1], groups, channels), -2, 0)
    return grouped.reshape(groups, x.shape[0] * math.prod(counts), math.prod(size) * channels)


def _channels_by_group(a: Any, groups: int) -> Any:
    """Return (groups, everything else, channels / groups)."""
    channels = a.shape[-1] // groups
    return np.moveaxis(a.reshape(math.prod(a.shape[:-1]), groups, channels), 1, 0)


def _ungrouped(a: Any, shape: Sequence[int]) -> Any:
    """Undo `_channels_by_group`."""
    return np.moveaxis(a, 0, 1).reshape(shape)


def _conv(x: Any, w: Any, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    size = w.shape[:-2]
    counts = count_windows("conv", x.shape[1:-1], size, strides, padding, dilation)
    patches = _patches(padded(x, padding), size, counts, groups, strides, dilation)
    y = patches @ _channels_by_group(w, groups)
    return _ungrouped(y, (x.shape[0], *counts, w.shape[-1]))


def _conv_input(
    y: Any, w: Any, space: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    size, inputs = w.shape[:-2], w.shape[-2]
    samples, counts = y.shape[0], y.shape[1:-1]
    by_place = _channels_by_group(w, groups).reshape(
        groups, math.prod(size), inputs, w.shape[-1] // groups
    )
    # a product for each place k of the window, so that what is added up lies together in memory
    parts = _channels_by_group(y, groups)[:, None] @ by_place.swapaxes(2, 3)
    parts = np.moveaxis(parts, 0, 2).reshape(*size, samples, *counts, groups * inputs)
    room = [n + a + b for n, (a, b) in zip(space, padding, strict=True)]
    x = np.zeros((samples, *room, groups * inputs), parts.dtype)
    for k, places in offsets(size, counts, strides, dilation):
        x[places] += parts[k]
    return np.ascontiguousarray(x[inside(padding, space)])


def _conv_kernel(
    x: Any, y: Any, size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    counts = y.shape[1:-1]
    patches = _patches(padded(x, padding), size, counts, groups, strides, dilation)
    w = patches.swapaxes(1, 2) @ _channels_by_group(y, groups)
    return _ungrouped(w, (*size, x.shape[-1] // groups, y.shape[-1]))


def _fits(name: str, groups: int, **shapes: tuple[int, ...]) -> None:
    """Check the axes of two of x, w, y, and that their channels agree."""
    x, w, y = shapes.get("x"), shapes.get("w"), shapes.get("y")
    (first, a), (second, b) = shapes.items()
    if len(a) != len(b) or len(a) < 3:
        raise ShapeError(
            f"{name}: expected as many axes of {first} as of {second}, 3 or more, "
            f"got the shapes {a} and {b}"
        )
    if x is not None and w is not None and x[-1] != w[-2] * groups:
        raise ShapeError(
            f"{name}: x of shape {x} has {x[-1]} channels, expected {w[-2] * groups} for w of "
            f"shape {w} and groups={groups}"
        )
    if y is not None and w is not None and y[-1] != w[-1]:
        raise ShapeError(f"{name}: y of shape {y} has {y[-1]} channels, expected {w[-1]} as w {w}")
    if x is not None and y is not None and x[0] != y[0]:
        raise ShapeError(f"{name}: x of shape {x} and y of shape {y} have different samples")
    outputs = (y or w or ())[-1]
    if groups < 1 or outputs % groups or (x is not None and x[-1] % groups):
        raise ShapeError(f"{name}: groups: expected a divisor of all channels, got {groups}")


def _conv_infer(
    x: Aval, w: Aval, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Aval:
    _fits("conv", groups, x=x.shape, w=w.shape)
    counts = count_windows("conv", x.shape[1:-1], w.shape[:-2], strides, padding, dilation)
    return Aval((x.shape[0], *counts, w.shape[-1]), result_type(x, w))


def _conv_input_infer(
    y: Aval, w: Aval, space: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Aval:
    _fits("conv_input", groups, y=y.shape, w=w.shape)
    counts = count_windows("conv_input", space, w.shape[:-2], strides, padding, dilation)
    _same_counts("conv_input", y.shape[1:-1], counts)
    return Aval((y.shape[0], *space, w.shape[-2] * groups), result_type(y, w))


def _conv_kernel_infer(
    x: Aval, y: Aval, size: Ints, strides: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Aval:
    _fits("conv_kernel", groups, x=x.shape, y=y.shape)
    counts = count_windows("conv_kernel", x.shape[1:-1], size, strides, padding, dilation)
    _same_counts("conv_kernel", y.shape[1:-1], counts)
    return Aval((*size, x.shape[-1] // groups, y.shape[-1]), result_type(x, y))


def _same_counts(name: str, got: Ints, expected: Ints) -> None:
    if got != expected:
        raise ShapeError(f"{name}: y: expected the spatial shape {expected}, got {got}")


# vmap: the new axis becomes part of an axis that both batched ones share

_FOLDED_INTO: dict[str | None, dict[str, tuple[int, bool]]] = {
    "w": {"x": (0, False), "y": (0, False)},  # more samples
    "y": {"x": (-1, True), "w": (-2, False)},  # more inputs in each group
    "x": {"w": (-1, True), "y": (-1, True)},  # more outputs in each group
    None: {"x": (-1, False), "w": (-1, False), "y": (-1, False)},  # more groups
}
"""By the one of x, w, y that has no batch: the axis of the others, and whether groups split it."""


def _batch(name: str, first: str, second: str, result: str) -> Batch:
    def rule(args: Sequence[Any], batched: Sequence[bool], params: Mapping[str, Any]) -> Any:
        size, groups = batch_size(args, batched), params["groups"]
        single = next((r for r, b in zip((first, second), batched, strict=True) if not b), None)
        into = _FOLDED_INTO[single]
        if single is None:
            params = {**params, "groups": size * groups}

        def place(role: str) -> tuple[int, int]:
            axis, split = into[role]
            return axis, groups if split else 1

        folded = [
            a if role == single else _fold(a, *place(role))
            for a, role in zip(args, (first, second), strict=True)
        ]
        return _unfold(OPS[name](*folded, **params), size, *place(result))

    return rule


def _fold(a: Any, axis: int, parts: int) -> Any:
    """Merge the first axis into `axis` of the rest, inside each of the `parts` of that axis."""
    size, *rest = a.shape
    axis %= len(rest)
    length = rest[axis] // parts
    split = np.reshape(a, (size, *rest[:axis], parts, length, *rest[axis + 1 :]))
    moved = np.moveaxis(split, 0, axis + 1)
    return np.reshape(moved, (*rest[:axis], parts * size * length, *rest[axis + 1 :]))


def _unfold(a: Any, size: int, axis: int, parts: int) -> Any:
    """Undo `_fold`."""
    shape = a.shape
    axis %= len(shape)
    length = shape[axis] // (parts * size)
    split = np.reshape(a, (*shape[:axis], parts, size, length, *shape[axis + 1 :]))
    moved = np.moveaxis(split, axis + 1, 0)
    return np.reshape(moved, (size, *shape[:axis], parts * length, *shape[axis + 1 :]))


_CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 6, 3), (3, 3, 2), {"strides": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}),
    ((2, 7, 2), (3, 1, 4), {"strides": (2,), "padding": ((2, 1),), "dilation": (2,), "groups": 2}),
    (
        (2, 5, 4, 2),
        (3, 2, 2, 3),
        {"strides": (1, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 1), "groups": 1},
    ),
    (
        (1, 6, 7, 4),
        (2, 3, 2, 2),
        {"strides": (2, 3), "padding": ((0, 0), (1, 2)), "dilation": (3, 1), "groups": 2},
    ),
    ((0, 3, 1), (2, 1, 1), {"strides": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}),
]
"""Shapes of x and w, and parameters, for the samples of all three."""


def _samples(first: str, second: str, *extra: str) -> Any:
    def draw(rng: np.random.Generator) -> Any:
        cases = []
        for x, w, params in _CASES:
            y = _conv_infer(Aval(x, np.float64), Aval(w, np.float64), **params).shape
            shapes = {"x": x, "w": w, "y": y, "space": x[1:-1], "size": w[:-2]}
            drawn = tuple(rng.normal(size=shapes[role]) for role in (first, second))
            cases.append((drawn, {**params, **{name: shapes[name] for name in extra}}))
        return cases

    return draw


conv: Op = bilinear(
    "conv",
    _conv,
    lambda ct, x, w, **params: conv_input(ct, w, space=x.shape[1:-1], **params),
    lambda ct, x, w, **params: conv_kernel(x, ct, size=w.shape[:-2], **params),
    infer=_conv_infer,
    batch=_batch("conv", "x", "w", "y"),
    samples=_samples("x", "w"),
)
conv_input: Op = bilinear(
    "conv_input",
    _conv_input,
    lambda ct, y, w, space, **params: conv(ct, w, **params),
    lambda ct, y, w, space, **params: conv_kernel(ct, y, size=w.shape[:-2], **params),
    infer=_conv_input_infer,
    batch=_batch("conv_input", "y", "w", "x"),
    samples=_samples("y", "w", "space"),
)
conv_kernel: Op = bilinear(
    "conv_kernel",
    _conv_kernel,
    lambda ct, x, y, size, **params: conv_input(y, ct, space=x.shape[1:-1], **params),
    lambda ct, x, y, size, **params: conv(x, ct, **params),
    infer=_conv_kernel_infer,
    batch=_batch("conv_kernel", "x", "y", "w"),
    samples=_samples("x", "y", "size"),
)
