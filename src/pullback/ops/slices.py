"""Functions that call a function of the user on slices of an array."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.ops.axes import one_axis
from pullback.ops.values import as_array


@implements(np.apply_along_axis)
def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """Call `func1d` on each vector along `axis`, and put the results where the vectors were."""
    arr = as_array(arr)
    axis = one_axis(axis, arr.ndim)
    rows = np.moveaxis(arr, axis, -1)
    outer = rows.shape[:-1]
    if 0 in outer:
        raise ValueError(f"apply_along_axis: expected at least one vector, got shape {arr.shape}")
    results = [
        as_array(func1d(rows[place], *args, **kwargs))
        for place in itertools.product(*map(range, outer))
    ]
    inner = results[0].shape
    together = np.reshape(np.stack(results), (*outer, *inner))
    last = range(len(outer), together.ndim)
    return np.moveaxis(together, last, range(axis, axis + len(inner)))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: Any) -> Any:
    """Call `func(a, axis)` for one axis after the other, the axes being kept."""
    result = as_array(a)
    ndim = result.ndim
    for axis in [axes] if np.ndim(axes) == 0 else axes:
        place = one_axis(axis, ndim)
        reduced = func(result, place)
        result = reduced if reduced.ndim == ndim else np.expand_dims(reduced, place)
        if result.ndim != ndim:
            raise ShapeError(
                f"func: expected a result of {ndim} axes, or of one less, got shape {reduced.shape}"
            )
    return result
