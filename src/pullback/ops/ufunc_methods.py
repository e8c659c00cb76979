"""The methods of ufuncs: reduce, accumulate, reduceat, outer and at, of every ufunc with a rule."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pullback.core.aval import aval_of
from pullback.core.dispatch import lookup, methods, reductions, ufuncs
from pullback.core.errors import TracerError
from pullback.core.tracer import Tracer
from pullback.ops.axes import all_axes, flag, one_axis, reduced_shape
from pullback.ops.gather import take
from pullback.ops.index import HOLE, Template, gather_op, scatter_op, split_index
from pullback.ops.reduce import NOT_GIVEN, is_given, is_masked
from pullback.ops.values import as_array, concrete

ASSOCIATIVE = frozenset({
    np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2,
    np.hypot, np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or,
    np.bitwise_xor, np.gcd, np.lcm, np.matmul,
})  # fmt: skip
"""Ufuncs whose terms may be combined in any grouping, so that a fold takes log n steps."""

INVERSES: dict[Any, tuple[Any, Any]] = {
    np.subtract: (np.sum, np.cumsum),
    np.true_divide: (np.prod, np.cumprod),
}
"""a - b - c is a - (b + c), and a / b / c is a / (b * c)."""


def _typed(x: Any, dtype: Any) -> Any:
    x = as_array(x)
    return x if dtype is None else np.astype(x, dtype)


# reduce


def reduce(
    ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, keepdims: Any = False,
    initial: Any = NOT_GIVEN, where: Any = True,
) -> Any:  # fmt: skip
    """Combine all elements along `axis` from the left: f(f(x[0], x[1]), x[2]) ..."""
    if ufunc in reductions:
        options = {"keepdims": keepdims, "initial": initial}
        options |= {"dtype": dtype} if dtype is not None else {}
        options |= {"where": where} if where is not True else {}
        return reductions[ufunc](as_array(array), axis=axis, **options)
    lookup(ufuncs, ufunc)
    x = _typed(array, dtype)
    axes, name = all_axes(axis, x.ndim), f"np.{ufunc.__name__}.reduce"
    if len(axes) > 1 and ufunc not in ASSOCIATIVE:
        raise ValueError(f"{name}: expected one axis, since the order of terms matters, got {axes}")
    rows = _rows(x, axes)
    if is_masked(where):
        if ufunc.identity is None:
            raise ValueError(f"{name}: where= needs a ufunc with an identity, such as np.add")
        rows = np.where(_rows(np.broadcast_to(where, x.shape), axes), rows, ufunc.identity)
    if not is_given(initial) and rows.shape[-1] < 2:
        initial = ufunc.identity  # alone, an element is still combined with it
    if is_given(initial) and initial is not None:
        first = np.zeros((*rows.shape[:-1], 1), rows.dtype) + initial
        rows = np.concatenate([first, rows], axis=-1)
    if rows.shape[-1] == 0:
        raise ValueError(f"{name}: expected at least one element along axis {axis}, got none")
    result = _fold(ufunc, rows)
    return np.reshape(result, reduced_shape(x.shape, axes, True)) if flag(keepdims) else result


def _rows(x: Any, axes: tuple[int, ...]) -> Any:
    """Return `x` with the elements of all `axes` along its last one."""
    kept = [i for i in range(x.ndim) if i not in axes]
    length = int(np.prod([x.shape[i] for i in axes], dtype=int))
    return np.reshape(np.transpose(x, (*kept, *axes)), (*[x.shape[i] for i in kept], length))


def _fold(ufunc: Any, x: Any) -> Any:
    if ufunc in INVERSES:
        total, _ = INVERSES[ufunc]
        return ufunc(x[..., 0], total(x[..., 1:], axis=-1))
    if ufunc not in ASSOCIATIVE:
        return functools.reduce(ufunc, np.unstack(x, axis=-1))
    while (n := x.shape[-1]) > 1:  # pairs of neighbours, the odd one out waiting its turn
        pairs = ufunc(x[..., 0 : n - 1 : 2], x[..., 1:n:2])
        x = np.concatenate([pairs, x[..., n - 1 :]], axis=-1) if n % 2 else pairs
    return x[..., 0]


# accumulate


def accumulate(ufunc: Any, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Return the results of `reduce` up to each element along `axis`."""
    lookup(ufuncs, ufunc)
    x = as_array(array)
    if ufunc in (np.add, np.multiply):
        return (np.cumsum if ufunc is np.add else np.cumprod)(x, axis=axis, dtype=dtype)
    x = np.moveaxis(_typed(x, dtype), one_axis(axis, x.ndim), -1)
    return np.moveaxis(_running(ufunc, x), -1, axis)


def _running(ufunc: Any, x: Any) -> Any:
    n = x.shape[-1]
    if ufunc in INVERSES:
        _, running = INVERSES[ufunc]
        later = ufunc(x[..., :1], running(x[..., 1:], axis=-1))
        return np.concatenate([x[..., :1], later], axis=-1)
    if ufunc not in ASSOCIATIVE:
        results = list(np.unstack(x, axis=-1))
        for i in range(1, n):
            results[i] = ufunc(results[i - 1], results[i])
        return np.stack(results, axis=-1)
    steps = 1
    while steps < n:  # each pass doubles how many terms are combined (Hillis and Steele, 1986)
        x = np.concatenate([x[..., :steps], ufunc(x[..., :-steps], x[..., steps:])], axis=-1)
        steps *= 2
    return x


# reduceat


def reduceat(ufunc: Any, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Reduce the slices between neighbouring `indices`; the element itself where one is empty."""
    name = f"np.{ufunc.__name__}.reduceat"
    x = _typed(array, dtype)
    axis, length = one_axis(axis, x.ndim), x.shape[axis]
    starts = np.atleast_1d(np.asarray(concrete(indices, name)))
    if np.any((starts < 0) | (starts >= length)):
        raise IndexError(f"{name}: expected indices from 0 to {length - 1}, got {starts}")
    stops = np.maximum(np.append(starts[1:], length), starts + 1)
    if ufunc is np.add:
        return _segment_sums(x, starts, stops, axis)
    head = (slice(None),) * axis
    slices = [x[(*head, slice(a, b))] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
    return np.stack([reduce(ufunc, s, axis) for s in slices], axis=axis)


def _segment_sums(x: Any, starts: Any, stops: Any, axis: int) -> Any:
    members = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)])
    segment = np.repeat(np.arange(starts.size), stops - starts)
    shape = tuple(starts.size if i == axis else n for i, n in enumerate(x.shape))
    index = Template((*(slice(None),) * axis, HOLE))
    return scatter_op(take(x, members, axis=axis), segment, shape=shape, index=index)


# outer and at


def outer(ufunc: Any, a: Any, b: Any, /, **options: Any) -> Any:
    """Return f(a[i], b[j]) for all pairs of elements."""
    a, b = as_array(a), as_array(b)
    return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b, **options)


def at(ufunc: Any, a: Any, indices: Any, b: Any = None, /) -> None:
    """Write f(a[i], b[i]) into a[i] for each index in turn, in place; one may be named twice."""
    if not isinstance(a, Tracer):
        raise TracerError(
            f"np.{ufunc.__name__}.at: a traced value cannot be written into a plain numpy array; "
            "create the destination with np.zeros_like(x) of a traced x, or pb.numpy.zeros"
        )
    if ufunc in (np.add, np.subtract):
        template, arrays = split_index(a, indices)
        selected = gather_op.infer(aval_of(a), *map(aval_of, arrays), index=template).shape  # type: ignore[union-attr]
        terms = np.broadcast_to(as_array(b), selected)
        a[...] = ufunc(a, scatter_op(terms, *arrays, shape=a.shape, index=template))
        return
    index = concrete(indices, f"np.{ufunc.__name__}.at")
    places = np.arange(a.size).reshape(a.shape)[index]
    operands = [] if b is None else [np.ravel(np.broadcast_to(as_array(b), places.shape))]
    places, values = np.ravel(places), +np.ravel(a)
    turn = _occurrence(places)
    for k in range(int(turn.max(initial=-1)) + 1):
        now = np.flatnonzero(turn == k)
        values[places[now]] = ufunc(values[places[now]], *[v[now] for v in operands])
    a[...] = np.reshape(values, a.shape)


def _occurrence(places: Any) -> Any:
    """Return how often each number has occurred before."""
    order = np.argsort(places, kind="stable")
    _, first, counts = np.unique(places[order], return_index=True, return_counts=True)
    occurrence = np.empty_like(places)
    occurrence[order] = np.arange(places.size) - np.repeat(first, counts)
    return occurrence


methods.update(reduce=reduce, accumulate=accumulate, reduceat=reduceat, outer=outer, at=at)
