"""Many numbers in a few: their norm, mean, deviation and histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 40


@dataclass(frozen=True, slots=True)
class Spread:
    """The spread of an array's entries.

    `norm` is Euclidean, `std` that of the population; `counts` is a histogram of `BINS` equal bins
    from `low` to `high`. Entries that are not finite are counted in `bad` and otherwise left out.
    """

    size: int
    bad: int
    norm: float
    mean: float
    std: float
    low: float
    high: float
    counts: tuple[int, ...]


def spread_of(values: Sequence[Any]) -> Spread:
    """Return the spread of the entries of all `values`, in float64.

    >>> spread = spread_of([np.array([3.0, np.nan]), np.array([[-4.0]])])
    >>> spread.norm, spread.mean, spread.bad, spread.low, spread.high
    (5.0, -0.5, 1, -4.0, 3.0)
    """
    parts = [np.ravel(np.abs(v) if np.iscomplexobj(v) else v) for v in values]
    joined = np.concatenate(parts).astype(np.float64)
    x = joined[np.isfinite(joined)]
    if not x.size:
        return Spread(joined.size, joined.size, 0.0, 0.0, 0.0, 0.0, 0.0, (0,) * BINS)
    scale = np.abs(x).max() or 1.0  # so that squares neither overflow nor vanish
    y = x / scale
    low, high = float(x.min()), float(x.max())
    counts, _ = np.histogram(y, BINS, (low / scale, high / scale))
    return Spread(
        size=joined.size,
        bad=joined.size - x.size,
        norm=float(scale * np.sqrt(y @ y)),
        mean=float(scale * y.mean()),
        std=float(scale * y.std()),
        low=low,
        high=high,
        counts=tuple(map(int, counts)),
    )
