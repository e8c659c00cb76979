"""Orders: sorting, the places of extremes, and where a value goes among sorted ones.

Everything is loops of a known length without branches. Rows that are short are sorted by counting
what comes before each element; long ones digit by digit, the last one first (Knuth, "The Art of
Computer Programming", volume 3, 5.2.5). NaN comes last, and is the largest as well as the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pullback.core.aval import DType
from pullback.core.graph import Node
from pullback.native.loops import (
    INDEX,
    Affine,
    Apply,
    Buffer,
    Count,
    Expr,
    Gather,
    Kernel,
    Load,
    Place,
    Reduce,
    Store,
    affine,
    identity,
    linear,
    literal,
)

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

BOOL = np.dtype(bool)
SHORT = 64
"""Up to this length, counting what comes before each element is quicker than sorting by digits."""
RADIX = 256


def test(name: str, *args: Expr) -> Expr:
    """Return a comparison of numbers of one dtype."""
    return Apply(name, args, args[0].dtype, BOOL)


def either(x: Expr, y: Expr) -> Expr:
    """Return whether one of two tests holds."""
    return Apply("logical_or", (x, y), BOOL, BOOL)


def both(x: Expr, y: Expr) -> Expr:
    """Return whether both tests hold."""
    return Apply("logical_and", (x, y), BOOL, BOOL)


def negated(x: Expr) -> Expr:
    """Return whether a test fails."""
    return Apply("logical_not", (x,), BOOL, BOOL)


def choose(condition: Expr, x: Expr, y: Expr) -> Expr:
    """Return x where the condition holds, else y."""
    return Apply("where", (condition, x, y), x.dtype, x.dtype)


def comes_before(x: Expr, y: Expr) -> Expr:
    """Return whether x is sorted before y: it is less, or y alone is NaN."""
    less = test("less", x, y)
    if x.dtype.kind != "f":
        return less
    return either(less, both(test("isnan", y), negated(test("isnan", x))))


def takes(node: Node) -> bool:
    """Whether there are loops for this: its numbers are real, and there is something to find."""
    assert node.op is not None
    if any(i.dtype.kind == "c" for i in node.inputs):
        return False
    (x, *_), axis = node.inputs, node.params.get("axis")
    along = x.shape if axis is None else x.shape[axis : axis + 1]
    return not (node.op.name in ("argmax", "argmin") and 0 in along)


def _replaced(place: Place, axis: int, by: Affine) -> Place:
    return (*place[:axis], by, *place[axis + 1 :])


# places of extremes


def _extreme(combine: Literal["max", "min"]) -> Any:
    def lower(lowering: Lowering, node: Node, unit: Unit) -> None:
        (x,), axis = node.inputs, node.params["axis"]
        along = range(x.aval.ndim) if axis is None else [axis]
        kept = tuple(k for k in range(x.aval.ndim) if k not in along)
        here, shape = identity(x.shape), [x.shape[k] for k in kept]
        at = linear(tuple(here[k] for k in kept), shape)
        value = lowering.value(x, here)
        best = Buffer(f"{combine}.{node.name}", x.dtype, math.prod(shape), "arena")
        found = test("equal", value, Load(best, at))
        if x.dtype.kind == "f":
            found = either(found, test("isnan", value))
        lengths = [x.shape[k] for k in along]
        count = Count(linear(tuple(here[k] for k in along), lengths))
        first = choose(found, count, literal(math.prod(lengths), INDEX))
        unit.steps = [
            Kernel(x.shape, (Reduce(best, at, value, combine, kept),)),
            Kernel(x.shape, (Reduce(lowering.make_room(node), at, first, "min", kept),)),
        ]

    return lower


# sorting


def _argsort(lowering: Lowering, node: Node, unit: Unit) -> None:
    (x,), axis = node.inputs, node.params["axis"]
    sort = _by_counting if x.shape[axis] <= SHORT else _by_digits
    sort(lowering, node, unit, x, axis)


def _by_counting(lowering: Lowering, node: Node, unit: Unit, x: Node, axis: int) -> None:
    n, other = x.shape[axis], x.aval.ndim
    here = identity(x.shape)
    there = _replaced(here, axis, affine(0, {other: 1}))
    mine, its = lowering.value(x, here), lowering.value(x, there)
    earlier = test("less", Count(there[axis]), Count(here[axis]))
    before = either(comes_before(its, mine), both(negated(comes_before(mine, its)), earlier))
    rank = Buffer(f"rank.{node.name}", INDEX, x.aval.size, "arena")
    at = linear(here, x.shape)
    kept = tuple(range(other))
    unit.steps = [
        Kernel((*x.shape, n), (Reduce(rank, at, before, "sum", kept),)),
        Kernel(x.shape, (_sent(lowering.make_room(node), x, axis, Load(rank, at)),)),
    ]


def _sent(out: Buffer, x: Node, axis: int, to: Expr, value: Expr | None = None) -> Store:
    """Write the place of an element along `axis`, or a value, to the place `to` along it."""
    here = identity(x.shape)
    start = linear(_replaced(here, axis, Affine()), x.shape)
    stride = math.prod(x.shape[axis + 1 :])
    value = value or Count(here[axis])
    return Store(out, start, value, (Gather(to, x.shape[axis], stride),))


def _by_digits(lowering: Lowering, node: Node, unit: Unit, x: Node, axis: int) -> None:
    here, size = identity(x.shape), x.aval.size
    key_dtype = np.dtype(f"u{x.dtype.itemsize}")
    rows = math.prod(n for k, n in enumerate(x.shape) if k != axis)
    row = linear(
        tuple(p for k, p in enumerate(here) if k != axis),
        [n for k, n in enumerate(x.shape) if k != axis],
    )
    keys, order = (
        [Buffer(f"{name}{k}.{node.name}", dtype, size, "arena") for k in (0, 1)]
        for name, dtype in (("key", key_dtype), ("order", INDEX))
    )
    counts, ends = (
        Buffer(f"{name}.{node.name}", INDEX, rows * RADIX, "arena") for name in ("count", "end")
    )
    at, passes = linear(here, x.shape), key_dtype.itemsize
    out = lowering.make_room(node)
    # sorted along the last of its loops, whatever the axis: others are then done one by one
    sizes = x.shape
    unit.steps = [Kernel(sizes, (Store(keys[0], at, _key(lowering.value(x, here))),))]
    for k in range(passes):
        source, target = keys[k % 2], keys[1 - k % 2]
        into = out if k == passes - 1 else order[1 - k % 2]
        key = Load(source, at)
        place = Count(here[axis]) if k == 0 else Load(order[k % 2], at)
        digit = Gather(_digit(key, k), RADIX, 1)
        start = row.times(RADIX)
        to = Load(ends, start, (digit,))
        moves = [_sent(into, x, axis, to, place)]
        if k < passes - 1:
            moves.append(_sent(target, x, axis, to, key))
        one = literal(1, INDEX)
        unit.steps += [
            Kernel((counts.size,), (Store(counts, affine(0, {0: 1}), literal(0, INDEX)),)),
            Kernel(sizes, (Store(counts, start, one, (digit,), add=True),)),
            *_starts(counts, ends, rows),
            Kernel(sizes, (*moves, Store(ends, start, one, (digit,), add=True))),
        ]


def _starts(counts: Buffer, ends: Buffer, rows: int) -> list[Kernel]:
    """Add up, for each digit, how many elements have smaller ones."""
    at = affine(0, {0: RADIX, 1: 1})
    total = Apply("add", (Load(ends, at), Load(counts, at)), INDEX, INDEX)
    return [
        Kernel((rows,), (Store(ends, affine(0, {0: RADIX}), literal(0, INDEX)),)),
        Kernel((rows, RADIX - 1), (Store(ends, at + Affine(1), total),)),
    ]


def _key(x: Expr) -> Expr:
    """Return an unsigned integer that is sorted as x is."""
    dtype = x.dtype
    unsigned = np.dtype(f"u{dtype.itemsize}")
    if dtype.kind in "bu":
        return Apply("astype", (x,), dtype, unsigned)
    sign = literal(1 << (8 * dtype.itemsize - 1), unsigned)
    if dtype.kind == "i":
        return _bits("bitwise_xor", Apply("astype", (x,), dtype, unsigned), sign)
    # of a negative number all bits change, of others the first; zeros are alike, and so are NaN
    bits = Apply("bits", (Apply("add", (x, literal(0, dtype)), dtype, dtype),), dtype, unsigned)
    flipped = Apply("invert", (bits,), unsigned, unsigned)
    key = choose(test("less", bits, sign), _bits("bitwise_xor", bits, sign), flipped)
    return choose(test("isnan", x), literal(np.iinfo(unsigned).max, unsigned), key)


def _digit(key: Expr, k: int) -> Expr:
    shifted = _bits("right_shift", key, literal(8 * k, key.dtype))
    return _bits("bitwise_and", shifted, literal(RADIX - 1, key.dtype))


def _bits(name: str, x: Expr, y: Expr) -> Expr:
    return Apply(name, (x, y), x.dtype, x.dtype)


# searching


def _searchsorted(lowering: Lowering, node: Node, unit: Unit) -> None:
    knots, x = node.inputs
    common = np.result_type(knots.dtype, x.dtype)
    here = identity(node.shape)
    value = _cast(lowering.value(x, here), common)
    memory = lowering.memory(knots)
    assert memory is not None
    n = knots.shape[0]
    to_left = node.params["side"] == "left"

    def is_left(at: Expr | None, ahead: int) -> Expr:
        """Whether the knot `ahead` of a place belongs before the value."""
        gathers = () if at is None else (Gather(at, n - ahead, 1),)
        knot = _cast(Load(memory, Affine(ahead), gathers), common)
        return comes_before(knot, value) if to_left else negated(comes_before(value, knot))

    place: Expr | None = None
    left = n
    while left > 1:  # the place is among the `left` ones from `place` on
        half = left // 2
        moved = literal(half, INDEX)
        stays: Expr = literal(0, INDEX) if place is None else place
        if place is not None:
            moved = Apply("add", (place, moved), INDEX, INDEX)  # type: ignore[assignment]
        place = choose(is_left(place, half - 1), moved, stays)
        left -= half
    found = literal(0, INDEX) if n == 0 else _cast(is_left(place, 0), INDEX)
    if place is not None:
        found = Apply("add", (place, found), INDEX, INDEX)
    store = Store(lowering.make_room(node), linear(here, node.shape), found)
    unit.steps = [Kernel(node.shape, (store,))]


def _cast(x: Expr, dtype: DType) -> Expr:
    return Apply("astype", (x,), x.dtype, dtype)


LOWERINGS: dict[str, Callable[[Any, Node, Any], None]] = {
    "argmax": _extreme("max"),
    "argmin": _extreme("min"),
    "argsort": _argsort,
    "searchsorted": _searchsorted,
}
"""How orders are lowered."""
