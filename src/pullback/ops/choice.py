"""Choices between arrays, and NumPy's functions that write chosen elements in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.buffer import Buffer
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError, TracerError
from pullback.core.tracer import Tracer
from pullback.ops.gather import take
from pullback.ops.values import as_array, concrete


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """Return at each place the element of the array whose number stands there in `a`."""
    options = [as_array(c) for c in choices]
    a = as_array(a)
    if mode == "wrap":
        a = a % len(options)
    elif mode == "clip":
        a = np.clip(a, 0, len(options) - 1)
    elif not isinstance(a, Tracer) and np.any((a < 0) | (a >= len(options))):
        raise ValueError(f"a: expected numbers from 0 to {len(options) - 1}, got {a}")
    result = options[-1]
    for k in range(len(options) - 2, -1, -1):
        result = np.where(a == k, options[k], result)
    result = np.broadcast_to(result, np.broadcast_shapes(a.shape, *[c.shape for c in options]))
    if out is not None:
        out[...] = result
        return out
    return result


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Return the function of the first conditions that holds; the last one may be the default.

    Each function sees the elements where its condition holds and no others; where the values of
    the conditions are not known, in a graph or under vmap, it sees all and np.where chooses.
    """
    x, conditions = as_array(x), _conditions(condlist, np.ndim(x))
    pieces = list(funclist)
    if len(pieces) == len(conditions) + 1:
        covered = np.stack(conditions).any(axis=0)
        conditions.append(~covered)
    if len(pieces) != len(conditions):
        raise ValueError(
            f"funclist: expected {len(conditions)} functions, or one more as the default, got "
            f"{len(pieces)}"
        )
    y: Any = Buffer(np.zeros(x.shape, x.dtype))
    for condition, piece in zip(conditions, pieces, strict=True):
        known = not isinstance(condition, Tracer)
        part = x[condition] if known else x
        value = piece(part, *args, **kw) if callable(piece) else piece
        if known:
            y[condition] = value
        else:
            y[...] = np.where(condition, value, y)
    return +y


def _conditions(condlist: Any, ndim: int) -> list[Any]:
    conditions = condlist if isinstance(condlist, (list, tuple)) else list(condlist)
    first: Any = conditions[0] if len(conditions) else None
    if np.ndim(first) == 0 and ndim != 0:  # one condition, given without a list around it
        conditions = [condlist]
    return [np.astype(as_array(c), np.bool_) for c in conditions]


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """Return the elements where the condition holds, as one axis."""
    return take(np.ravel(as_array(arr)), np.flatnonzero(condition))


# in place


def _destination(name: str, a: Any) -> Any:
    if not isinstance(a, Tracer):
        raise TracerError(
            f"np.{name}: a traced value cannot be written into a plain numpy array; create the "
            "destination with np.zeros_like(x) of a traced x, or pb.numpy.zeros"
        )
    return a


def _cycled(values: Any, count: int) -> Any:
    return np.resize(as_array(values), (count,))


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write values to places of the flattened array."""
    a = _destination("put", a)
    places = np.ravel(np.asarray(concrete(ind, "np.put")))
    if mode == "wrap":
        places = places % a.size
    elif mode == "clip":
        places = np.clip(places, 0, a.size - 1)
    _write(a, places, _cycled(v, places.size))


def _write(a: Any, places: Any, values: Any) -> None:
    flat = +np.ravel(a)
    flat[places] = values
    a[...] = np.reshape(flat, a.shape)


@implements(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> None:
    """Write where the mask holds, `values` being repeated to the size of the array."""
    a = _destination("putmask", a)
    a[...] = np.where(mask, np.reshape(_cycled(values, a.size), a.shape), a)


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write where the mask holds, one value after the other, beginning again when they end."""
    arr = _destination("place", arr)
    places = np.flatnonzero(np.asarray(concrete(mask, "np.place")))
    if places.size and not np.size(vals):
        raise ValueError("vals: expected at least one value, got none")
    _write(arr, places, _cycled(vals, places.size))


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write `val`, repeated as needed, to the main diagonal."""
    a = _destination("fill_diagonal", a)
    if a.ndim < 2 or (a.ndim > 2 and len(set(a.shape)) != 1):
        raise ShapeError(
            f"a: expected a matrix, or more axes of one length, got an array of shape {a.shape}"
        )
    step = int(np.sum(np.cumprod((1, *a.shape[:0:-1]))))
    end = a.size if wrap or a.ndim > 2 else a.shape[1] * a.shape[1]
    places = np.arange(0, min(end, a.size), step)
    _write(a, places, _cycled(val, places.size))
