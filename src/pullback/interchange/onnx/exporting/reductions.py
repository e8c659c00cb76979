"""Reductions, running sums and orders along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.errors import UnsupportedError
from pullback.interchange.onnx.exporting.rules import (
    as_given,
    as_ordered,
    as_result,
    as_truth,
    enter,
)
from pullback.interchange.onnx.outline import Entry
from pullback.interchange.onnx.sizes import Length
from pullback.interchange.onnx.writer import START, Writer


def _reduced(operator: str) -> Any:
    def write(w: Writer, entry: Entry, x: Any) -> Any:
        axes, keepdims = entry.params["axis"], int(entry.params["keepdims"])
        if not axes:
            return x
        return w.add(operator, [x, list(axes)], 1, None, {"keepdims": keepdims})

    return write


def _extreme(operator: str) -> Any:
    """ONNX has no extremes of booleans."""
    reduce = _reduced(operator)
    return lambda w, entry, x: w.cast(reduce(w, entry, x), entry.dtype)


def _truth(operator: str) -> Any:
    """All is the least of the truth values 0 and 1, any the greatest."""
    reduce = _reduced(operator)
    return lambda w, entry, x: w.cast(reduce(w, entry, w.cast(x, np.int32)), np.bool_)


def _place(operator: str) -> Any:
    def write(w: Writer, entry: Entry, x: Any) -> Any:
        axis, keepdims = entry.params["axis"], int(entry.params["keepdims"])
        if axis is not None:
            return w.add(operator, [x], 1, None, {"axis": axis, "keepdims": keepdims})
        flat = w.Reshape(x, [-1])
        return w.reshape(w.add(operator, [flat], 1, None, {"axis": 0}), entry.shape)

    return write


def _argsort(w: Writer, entry: Entry, x: Any) -> Any:
    """Of equal elements TopK puts the first place first, as a stable sort does."""
    if 0 in entry.shape:  # where onnxruntime before 1.31 divides by zero
        return w.constant(np.zeros(entry.shape, np.int64))
    axis = entry.params["axis"]
    count = w.lengths([entry.shape[axis]])
    return w.TopK(x, count, axis=axis, largest=0, sorted=1, outputs=2, dtype=np.int64)[1]


def _running_product(w: Writer, entry: Entry, x: Any) -> Any:
    """Each pass doubles how many factors are multiplied (Hillis and Steele 1986)."""
    axis = entry.params["axis"]
    n = entry.shape[axis]
    if isinstance(n, Length):
        raise UnsupportedError(
            "export_onnx: cumprod along a batch of any size has no counterpart in ONNX; pass "
            "dynamic_batch=False"
        )
    steps = 1
    while steps < n:
        factors = w.slice(x, axis, 0, n - steps)
        head, tail = w.slice(x, axis, 0, steps), w.slice(x, axis, steps)
        x = w.Concat(head, w.Mul(tail, factors), axis=axis)
        steps *= 2
    return x


def _searchsorted(w: Writer, entry: Entry, grid: Any, x: Any) -> Any:
    """How many grid points lie below x (side "left"), or not above it."""
    below = w.Less if entry.params["side"] == "left" else w.LessOrEqual
    counts = w.cast(below(grid, w.Unsqueeze(x, [-1])), np.int64)
    return w.ReduceSum(counts, [len(entry.shape)], keepdims=0)


def _flip(w: Writer, entry: Entry, x: Any) -> Any:
    axes = list(entry.params["axis"])
    k = len(axes)
    return w.Slice(x, [-1] * k, [START] * k, axes, [-1] * k)


def _roll(w: Writer, entry: Entry, x: Any) -> Any:
    for shift, axis in zip(entry.params["shift"], entry.params["axis"], strict=True):
        count = w.lengths([entry.shape[axis]])
        places = w.Mod(w.Sub(w.count(entry.shape[axis]), shift), count)
        x = w.Gather(x, places, axis=axis)
    return x


enter({"sum": _reduced("ReduceSum"), "prod": _reduced("ReduceProd")}, as_result)
enter({"max": _extreme("ReduceMax"), "min": _extreme("ReduceMin")}, as_ordered)
enter({"all": _truth("ReduceMin"), "any": _truth("ReduceMax")}, as_truth)
enter({"argmax": _place("ArgMax"), "argmin": _place("ArgMin"), "argsort": _argsort}, as_ordered)
enter(
    {
        "cumsum": lambda w, entry, x: w.CumSum(x, w.constant(np.int64(entry.params["axis"]))),
        "cumprod": _running_product,
    },
    as_result,
)
enter({"searchsorted": _searchsorted}, as_ordered)
enter({"flip": _flip, "roll": _roll}, as_given)
