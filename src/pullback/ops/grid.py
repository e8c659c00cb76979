"""Grids and sequences whose ends may be traced: linspace, logspace, geomspace, meshgrid, ix_."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.ops.axes import one_axis
from pullback.ops.values import as_array


@implements(np.meshgrid)
def meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Any, ...]:
    """Return the coordinates of a grid from those of its axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing: expected 'xy' or 'ij', got {indexing!r}")
    n = len(xi)
    order = (1, 0, *range(2, n)) if indexing == "xy" and n > 1 else tuple(range(n))
    grids = [
        np.reshape(as_array(x), [-1 if i == place else 1 for i in range(n)])
        for x, place in zip(xi, order, strict=True)
    ]
    if not sparse:
        shape = np.broadcast_shapes(*[g.shape for g in grids])
        grids = [np.broadcast_to(g, shape) for g in grids]
    return tuple(+g if copy else g for g in grids)


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """Return index arrays that select the grid of the given rows, columns, ..."""
    found = []
    for k, arg in enumerate(args):
        index = as_array(arg)
        if index.ndim != 1:
            raise ShapeError(f"ix_: expected sequences, got shape {index.shape} for number {k}")
        if not index.size:
            index = index.astype(np.intp)
        if index.dtype.kind == "b":
            (index,) = np.nonzero(index)
        found.append(np.reshape(index, [-1 if i == k else 1 for i in range(len(args))]))
    return tuple(found)


@implements(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False,
    dtype: Any = None, axis: int = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    """Return `num` numbers at equal distances from `start` to `stop`."""
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"num: expected 0 or more numbers, got {num}")
    start, stop, precision = _ends(start, stop)
    intervals = num - 1 if endpoint else num
    step = (stop - start) / intervals if intervals > 0 else np.nan * (stop - start)
    count = np.reshape(np.arange(num, dtype=precision), (-1, *(1,) * step.ndim))
    numbers = start + (count * step if intervals > 0 else count)
    if endpoint and num > 1:
        numbers = np.concatenate([numbers[:-1], np.broadcast_to(stop, step.shape)[None]])
    numbers = np.moveaxis(numbers, 0, one_axis(axis, numbers.ndim))
    if dtype is not None:
        whole = np.dtype(dtype).kind in "iu"
        numbers = np.astype(np.floor(numbers) if whole else numbers, dtype)
    return (numbers, step) if retstep else numbers


def _ends(*ends: Any) -> tuple[Any, ...]:
    """Return the ends as arrays of one floating dtype, and that dtype."""
    ends = tuple(as_array(e) if isinstance(e, (list, tuple)) else e for e in ends)
    precision = np.result_type(*ends)
    if precision.kind not in "fc":
        precision = np.dtype(np.float64)
    return *[np.astype(as_array(e), precision) for e in ends], precision


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0,
    dtype: Any = None, axis: int = 0,
) -> Any:  # fmt: skip
    """Return `num` powers of `base` whose exponents have equal distances."""
    exponents = np.linspace(start, stop, num, endpoint=endpoint, axis=axis)
    if np.ndim(base):
        base = np.expand_dims(as_array(base), axis)
    powers = np.power(base, exponents)
    return powers if dtype is None else np.astype(powers, dtype)


@implements(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Return `num` numbers of equal ratios from `start` to `stop`."""
    start, stop, precision = _ends(start, stop)
    start = np.astype(start, np.result_type(precision, np.float64))  # NumPy's computation
    exponents = np.linspace(0, np.log(stop / start), num, endpoint=endpoint, axis=axis)
    numbers = np.expand_dims(start, axis) * np.exp(exponents)
    return numbers if dtype is None else np.astype(numbers, dtype)
