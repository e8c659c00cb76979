"""Batching rules: what vmap makes of an operation, by the kind of axes it works on.

A batched argument has the batch as its first axis, and so has the result. Rules are NumPy
expressions, so that a batched operation is differentiated, batched again or traced like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.op import OPS, Batch


def batch_size(args: Sequence[Any], batched: Sequence[bool]) -> int:
    """Return the length of the batch."""
    return next(a.shape[0] for a, b in zip(args, batched, strict=True) if b)  # type: ignore[no-any-return]


def aligned(
    args: Sequence[Any], batched: Sequence[bool], core: Sequence[int] | None = None
) -> list[Any]:
    """Return `args` so that broadcasting pairs up their batches.

    Broadcasting counts axes from the last, so a batched argument of fewer axes than another gets
    axes of length 1 after the batch. `core` is the number of last axes of each argument that do
    not take part in broadcasting, as in the products of matrices.
    """
    cores = core or [0] * len(args)
    loops = [np.ndim(a) - b - c for a, b, c in zip(args, batched, cores, strict=True)]
    most = max(loops)
    return [
        np.reshape(a, (a.shape[0], *(1,) * (most - n), *a.shape[1:])) if b and n < most else a
        for a, b, n in zip(args, batched, loops, strict=True)
    ]


def spread(args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Return `args` with every one batched, those that were not being repeated."""
    return spread_to(batch_size(args, batched), args, batched)


def spread_to(size: int, args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Return `args` with every one batched, to a batch of `size`."""
    return [
        a if b else np.broadcast_to(a, (size, *np.shape(a)))
        for a, b in zip(args, batched, strict=True)
    ]


def pointwise(name: str) -> Batch:
    """Batching rule of an operation that acts on each element, with broadcasting."""
    return lambda args, batched, params: OPS[name](*aligned(args, batched), **params)


def last_axes(name: str, *core: int) -> Batch:
    """Batching rule of an operation on the last axes, `core` many of each argument.

    The axes before them broadcast, as in NumPy's linear algebra.
    """
    return lambda args, batched, params: OPS[name](*aligned(args, batched, core), **params)


def along(name: str, *axis_params: str) -> Batch:
    """Batching rule of an operation of one array, whose `axis_params` count axes from the first."""

    def rule(args: Sequence[Any], batched: Sequence[bool], params: Any) -> Any:
        moved = {key: _shifted(params[key]) for key in axis_params}
        return OPS[name](*args, **{**params, **moved})

    return rule


def _shifted(axes: Any) -> Any:
    return tuple(i + 1 for i in axes) if isinstance(axes, tuple) else axes + 1


def shaped(name: str, param: str, first: Callable[[int], Any] = lambda size: size) -> Batch:
    """Batching rule of an operation of one array, whose `param` has one entry per axis.

    `first` makes the batch's entry of its length.
    """

    def rule(args: Sequence[Any], batched: Sequence[bool], params: Any) -> Any:
        entry = first(batch_size(args, batched))
        return OPS[name](*args, **{**params, param: (entry, *params[param])})

    return rule
