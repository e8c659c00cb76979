"""Windows that slide over the spatial axes of arrays (samples, *space, channels).

`size`, `strides`, `dilation` have one number for each spatial axis, `padding` one pair. Window p
holds the places p * stride - padding_before + k * dilation for k = 0 .. size - 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pullback.core.errors import ShapeError

Pairs = tuple[tuple[int, int], ...]


def count_windows(
    name: str,
    space: Sequence[int],
    size: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """Return how many windows fit along each axis; raise ShapeError where none does."""
    axes = len(space)
    for what, given in (("strides", strides), ("padding", padding), ("dilation", dilation)):
        if len(given) != axes:
            raise ShapeError(
                f"{name}: {what}: expected {axes} entries, one for each spatial axis, got {given}"
            )
    counts = []
    for n, k, stride, (before, after), step in zip(
        space, size, strides, padding, dilation, strict=True
    ):
        free = n + before + after - step * (k - 1) - 1
        if free < 0:
            raise ShapeError(
                f"{name}: a window of {step * (k - 1) + 1} places does not fit into "
                f"{n + before + after}, spatial shape {tuple(space)} with padding "
                f"{tuple(padding)}; take a smaller window or more padding"
            )
        counts.append(free // stride + 1)
    return tuple(counts)


def padded(x: Any, padding: Pairs, value: Any = 0) -> Any:
    """Return `x` with `value` around its spatial axes."""
    if not any(map(any, padding)):
        return x
    space = [n + a + b for n, (a, b) in zip(x.shape[1:-1], padding, strict=True)]
    out = np.full((x.shape[0], *space, x.shape[-1]), value, x.dtype)
    out[inside(padding, x.shape[1:-1])] = x
    return out


def inside(padding: Pairs, space: Sequence[int]) -> tuple[slice, ...]:
    """Return the index of what padding surrounds."""
    return (
        slice(None),
        *(slice(a, a + n) for (a, _), n in zip(padding, space, strict=True)),
    )


def windows(x: Any, size: Sequence[int], counts: Sequence[int], strides: Any, dilation: Any) -> Any:
    """Return the view (samples, *counts, *size, channels) of all windows of a padded array."""
    jumps = x.strides[1:-1]
    return np.lib.stride_tricks.as_strided(
        x,
        (x.shape[0], *counts, *size, x.shape[-1]),
        (
            x.strides[0],
            *(j * s for j, s in zip(jumps, strides, strict=True)),
            *(j * d for j, d in zip(jumps, dilation, strict=True)),
            x.strides[-1],
        ),
        writeable=False,
    )


def offsets(
    size: Sequence[int], counts: Sequence[int], strides: Any, dilation: Any
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield each place k in the window, and the index of a padded array's k-th places."""
    for k in itertools.product(*map(range, size)):
        starts = [i * d for i, d in zip(k, dilation, strict=True)]
        yield (
            k,
            (
                slice(None),
                *(
                    slice(start, start + (n - 1) * stride + 1, stride)
                    for start, n, stride in zip(starts, counts, strides, strict=True)
                ),
            ),
        )
