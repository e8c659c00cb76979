"""associative_scan: running combinations in a logarithmic number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.errors import ConfigError, ShapeError


def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """Return the running combinations of `elems` along `axis` by the associative `fn`.

    Entry t is `fn(fn(elems[0], elems[1]), ...)` up to elems[t]; with `reverse` from the end down
    to t, the later ones first. `fn(a, b)` takes and returns pytrees like `elems` with any number of
    entries along `axis`, which it combines one by one: it is called about 2 log2(n) times, on n
    pairs in all (Blelloch, Prefix sums and their applications, 1990). The result has the
    structure, shapes and dtypes of `elems`.
    Raises ShapeError where the leaves differ in length along `axis`.

    >>> import numpy as np, pullback as pb
    >>> pb.associative_scan(np.multiply, np.array([1.0, 2.0, 3.0, 4.0]))
    array([ 1.,  2.,  6., 24.])
    """
    leaves, structure = pytree.flatten(elems)
    arrays = [x if hasattr(x, "dtype") else np.asarray(x) for x in leaves]
    if not arrays:
        raise ConfigError("associative_scan: elems: expected at least one array, got none")
    shapes = [x.shape for x in arrays]
    if any(not -len(shape) <= axis < len(shape) for shape in shapes):
        raise ShapeError(f"associative_scan: expected an axis {axis} in all, got shapes {shapes}")
    axes = [axis % len(shape) for shape in shapes]
    if len({shape[a] for shape, a in zip(shapes, axes, strict=True)}) > 1:
        raise ShapeError(
            f"associative_scan: expected the same length along axis {axis} of all, got {shapes}"
        )

    def combine(first: list[Any], second: list[Any]) -> list[Any]:
        out = fn(pytree.unflatten(structure, first), pytree.unflatten(structure, second))
        return pytree.match(structure, out, "the result of fn of associative_scan")

    def part(values: list[Any], start: int | None, stop: int | None, step: int = 1) -> list[Any]:
        entries = slice(start, stop, step)
        return [x[(slice(None),) * a + (entries,)] for x, a in zip(values, axes, strict=True)]

    def running(values: list[Any]) -> list[Any]:
        count = values[0].shape[axes[0]]
        if count < 2:
            return values
        pairs = combine(part(values, 0, count - 1, 2), part(values, 1, None, 2))
        odd = running(pairs)  # the entries at 1, 3, 5, ...
        before = part(odd, None, -1) if count % 2 == 0 else odd
        later = combine(before, part(values, 2, None, 2)) if count > 2 else part(values, 0, 0)
        even = [
            np.concatenate([first, x], axis=a)
            for first, x, a in zip(part(values, 0, 1), later, axes, strict=True)
        ]
        return [_interleaved(x, y, a) for x, y, a in zip(even, odd, axes, strict=True)]

    if reverse:
        arrays = part(arrays, None, None, -1)
    results = running(arrays)
    if reverse:
        results = part(results, None, None, -1)
    return pytree.unflatten(structure, results)


def _interleaved(even: Any, odd: Any, axis: int) -> Any:
    """Return x with x[0::2] = even and x[1::2] = odd along `axis`."""
    before = (slice(None),) * axis
    count, shape = odd.shape[axis], list(odd.shape)
    shape[axis] = 2 * count
    pairs = np.stack([even[(*before, slice(count))], odd], axis=axis + 1)
    woven = np.reshape(pairs, shape)
    if even.shape[axis] == count:
        return woven
    return np.concatenate([woven, even[(*before, slice(count, None))]], axis=axis)
