"""Pooling as loops: what a window holds is one expression, and what it sends back one body."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.aval import DType
from pullback.core.graph import Node
from pullback.native import complexes
from pullback.native.loops import (
    Affine,
    Apply,
    Combine,
    Expr,
    Kernel,
    Parts,
    Place,
    identity,
    linear,
    literal,
    part_of,
    reduces,
    stores,
)
from pullback.native.windows import Room, filled, inside, padded, room_around, slid

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

BOOL, PLACE = np.dtype(bool), np.dtype(np.int32)

MOST_TAPS = 64
"""Windows of more places are loops, or are left to NumPy where they look for a maximum."""


def _taps(node: Node) -> list[Place]:
    """Return the places in a window, one after the other."""
    return [tuple(map(Affine, k)) for k in itertools.product(*map(range, node.params["size"]))]


def _at(node: Node, window: Place, taps: Place) -> Place:
    """Return where in the padded array a window, (n, *p, channel), has `taps`."""
    n, *p, channel = window
    return (n, *slid(p, taps, node.params["strides"], node.params["dilation"]), channel)


def _entries(node: Node, room: Room, shape: Sequence[int]) -> list[Parts]:
    """Return all that a window holds, for windows that are an array of `shape`."""
    return [room.at(_at(node, identity(shape), taps)) for taps in _taps(node)]


def _stored(lowering: Lowering, node: Node, value: Parts) -> Kernel:
    place = linear(identity(node.shape), node.shape)
    return Kernel(node.shape, stores(lowering.make_room(node), place, value))


def _least(dtype: DType) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def max_pool(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower the greatest of each window."""
    _combine(lowering, node, unit, _greater, "max", _least(node.dtype))


def window_sum(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower the sum of each window."""
    _combine(lowering, node, unit, complexes.total, "sum", 0)


def _greater(x: Parts, y: Parts, dtype: DType) -> Parts:
    return (Apply("maximum", (*x, *y), dtype, dtype),)


def _combine(
    lowering: Lowering, node: Node, unit: Unit,
    both: Callable[[Parts, Parts, DType], Parts], combine: Combine, around: Any,
) -> None:  # fmt: skip
    (x,) = node.inputs
    room = padded(lowering, unit, x, node.params["padding"], around)
    if math.prod(node.params["size"]) <= MOST_TAPS:
        entries = _entries(node, room, node.shape)
        value = functools.reduce(lambda a, b: both(a, b, node.dtype), entries)
        unit.steps.append(_stored(lowering, node, value))
        return
    sizes, kept = (*node.shape, *node.params["size"]), node.aval.ndim
    loops = identity(sizes)
    entry = room.at(_at(node, loops[:kept], loops[kept:]))
    at = linear(loops[:kept], node.shape)
    body = reduces(lowering.make_room(node), at, entry, combine, tuple(range(kept)))
    unit.steps.append(Kernel(sizes, body))


def _winner(node: Node, room: Room, shape: Sequence[int]) -> Expr:
    """Return which entry of each window is its first maximum; NaN is greater than all."""
    greatest, *rest = (entry for (entry,) in _entries(node, room, shape))
    dtype = room.buffer.dtype
    winner: Expr = literal(0, PLACE)
    for k, entry in enumerate(rest, 1):
        below = Apply("less_equal", (entry, greatest), dtype, BOOL)
        number = Apply("equal", (greatest, greatest), dtype, BOOL)
        above = Apply("logical_not", (below,), BOOL, BOOL)
        wins = Apply("logical_and", (above, number), BOOL, BOOL)
        greatest = Apply("where", (wins, entry, greatest), dtype, dtype)
        winner = Apply("where", (wins, literal(k, PLACE), winner), PLACE, PLACE)
    return winner


def _if_winner(winner: Expr, k: int, value: Parts, otherwise: Parts) -> Parts:
    wins = Apply("equal", (winner, literal(k, PLACE)), PLACE, BOOL)
    pairs = zip(value, otherwise, strict=True)
    return tuple(Apply("where", (wins, a, b), a.dtype, a.dtype) for a, b in pairs)


def _zero(dtype: DType) -> Parts:
    return complexes.cast((literal(0, part_of(dtype)),), part_of(dtype), dtype)


def pick_max(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower what each window has in v where it has its maximum in x."""
    x, v = node.inputs
    room = padded(lowering, unit, x, node.params["padding"], _least(x.dtype))
    other = padded(lowering, unit, v, node.params["padding"])
    winner = _winner(node, room, node.shape)
    picked = _zero(node.dtype)
    for k, entry in enumerate(_entries(node, other, node.shape)):
        picked = _if_winner(winner, k, entry, picked)
    unit.steps.append(_stored(lowering, node, picked))


def place_max(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower y of each window, sent to where the window has its maximum in x."""
    x, y = node.inputs
    room = padded(lowering, unit, x, node.params["padding"], _least(x.dtype))
    winner = _winner(node, room, y.shape)
    value, zero = lowering.parts(y, identity(y.shape)), _zero(node.dtype)
    parts = [
        (_at(node, identity(y.shape), taps), _if_winner(winner, k, value, zero))
        for k, taps in enumerate(_taps(node))
    ]
    _spread(lowering, node, unit, y.shape, parts)


def window_spread(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower y of each window, sent to all its places."""
    (y,) = node.inputs
    sizes = (*y.shape[:-1], *node.params["size"], y.shape[-1])
    loops = identity(sizes)
    window, taps = (*loops[: y.aval.ndim - 1], loops[-1]), loops[y.aval.ndim - 1 : -1]
    part = _at(node, window, taps), lowering.parts(y, window)
    _spread(lowering, node, unit, sizes, [part])


def _spread(
    lowering: Lowering, node: Node, unit: Unit, sizes: tuple[int, ...],
    parts: Sequence[tuple[Place, Parts]],
) -> None:  # fmt: skip
    """Lower the array that has the sum of all parts that go to a place."""
    padding = node.params["padding"]
    surrounded = any(map(any, padding))
    out = lowering.make_room(node)
    room = room_around(node, padding) if surrounded else Room(out, node.shape)
    body = [
        store
        for place, value in parts
        for store in stores(room.buffer, linear(place, room.shape), value, add=_overlap(node))
    ]
    unit.steps += [filled(room.buffer), Kernel(sizes, tuple(body))]
    if surrounded:
        place = identity(node.shape)
        value = room.at(inside(place, padding))
        unit.steps.append(Kernel(node.shape, stores(out, linear(place, node.shape), value)))


def _overlap(node: Node) -> bool:
    """Whether windows may share places."""
    params = node.params
    return any(
        stride < (size - 1) * dilation + 1
        for size, stride, dilation in zip(
            params["size"], params["strides"], params["dilation"], strict=True
        )
    )


def takes(node: Node) -> bool:
    """Whether there are loops for this: maxima of real numbers, looked for in few places."""
    assert node.op is not None
    few = math.prod(node.params["size"]) <= MOST_TAPS
    return node.op.name.startswith("window") or (node.inputs[0].dtype.kind != "c" and few)


LOWERINGS: dict[str, Callable[[Any, Node, Any], None]] = {
    "max_pool": max_pool,
    "pick_max": pick_max,
    "place_max": place_max,
    "window_sum": window_sum,
    "window_spread": window_spread,
}
