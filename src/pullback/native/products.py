"""Operations that always get memory: products of matrices, and those that write regions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pullback.core.graph import Node
from pullback.native import complexes, convolution, library, places, pooling, scans, sorting
from pullback.native.loops import (
    Affine,
    Apply,
    Kernel,
    Place,
    Reduce,
    affine,
    identity,
    linear,
    reduces,
    stores,
)
from pullback.native.narrow import is_narrow
from pullback.native.steps import Matmul
from pullback.native.windows import filled

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

OF_NARROW = {"matmul", "roll", "concatenate", "pad", "setitem"}
"""What there is for floats of 16 bits: no sums, which would lose their digits."""

READ_TWICE = {
    "einsum", "argsort", "argmax", "argmin", "searchsorted", *convolution.LOWERINGS,
    *pooling.LOWERINGS,
} - {"window_spread"}  # fmt: skip
"""What reads its inputs many times over."""

SMALL_PRODUCT = 512
"""Products of fewer multiplications are plain loops; a library's call would cost more."""


def is_native(node: Node) -> bool:
    """Whether an operation that always gets memory has loops."""
    assert node.op is not None
    name = node.op.name
    if name not in OF_NARROW and any(is_narrow(x.dtype) for x in (node, *node.inputs)):
        return False
    if name in sorting.LOWERINGS:
        return sorting.takes(node)
    if name in pooling.LOWERINGS:
        return pooling.takes(node)
    return name in LOWERINGS


def sources(node: Node) -> Iterator[Node]:
    """Yield the inputs that must lie in memory for `node` to be computed."""
    assert node.op is not None
    if node.op.name == "matmul":
        for x in node.inputs:
            yield x.inputs[0] if _is_transposed(x) else x
    elif node.op.name in READ_TWICE:
        yield from node.inputs


def _is_transposed(x: Node) -> bool:
    """Whether `x` is a matrix, or several, with the last two axes exchanged."""
    if x.op is None or x.op.name != "transpose":
        return False
    axes = x.params["axes"]
    n = len(axes)
    return n >= 2 and axes == (*range(n - 2), n - 1, n - 2)


def _matmul(lowering: Lowering, node: Node, unit: Unit) -> None:
    x, y = node.inputs
    mixed = node.dtype.kind == "f" and not x.dtype == y.dtype == node.dtype
    if node.dtype.kind == "c" or is_narrow(node.dtype) or (mixed and node.aval.size):
        library.matmul(lowering, node, unit)
        return
    if x.dtype != node.dtype or y.dtype != node.dtype or node.dtype.kind != "f":
        multiplications = 0
    else:
        multiplications = math.prod(node.shape) * x.shape[-1]
    vectors = x.aval.ndim == 1 or y.aval.ndim == 1
    if vectors or _are_inner_products(node) or multiplications <= SMALL_PRODUCT:
        _product_loops(lowering, node, unit)
        return
    a, b = (z.inputs[0] if _is_transposed(z) else z for z in (x, y))
    a_memory, b_memory = lowering.memory(a), lowering.memory(b)
    if a_memory is None or b_memory is None:
        _product_loops(lowering, node, unit)
        return
    batch = node.shape[:-2]
    loops, corner = identity(batch), (Affine(), Affine())
    out_at, a_at, b_at = (
        linear((*places.broadcast(loops, z.shape[:-2]), *corner), z.shape) for z in (node, a, b)
    )
    product = Matmul(
        out=lowering.make_room(node), a=a_memory, b=b_memory,
        m=node.shape[-2], n=node.shape[-1], k=x.shape[-1],
        a_transposed=_is_transposed(x), b_transposed=_is_transposed(y),
        batch=batch, offsets=(out_at, a_at, b_at), rounded=lowering.rounds(node),
    )  # fmt: skip
    unit.steps = [product]


def _are_inner_products(node: Node) -> bool:
    """Whether a row, or a column, is multiplied by what lies along it in memory."""
    x, y = node.inputs
    one_row, one_column = node.shape[-2] == 1, node.shape[-1] == 1
    return (one_row and _is_transposed(y)) or (one_column and not _is_transposed(x))


def _product_loops(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Lower a product to loops, the innermost along what lies together in memory."""
    x, y = node.inputs
    k = x.shape[-1]
    rows, columns = x.shape[-2:-1], y.shape[-1:] if y.aval.ndim > 1 else ()
    batch = node.shape[: node.aval.ndim - len(rows) - len(columns)]
    inner_first = not columns or _is_transposed(y)
    last = (*columns, k) if inner_first else (k, *columns)
    sizes = (*batch, *rows, *last)
    at = identity(sizes)
    n_batch, n_rows = len(batch), len(rows)
    b, i = at[:n_batch], at[n_batch : n_batch + n_rows]
    tail = at[n_batch + n_rows :]
    inner, j = (tail[-1], tail[:-1]) if inner_first else (tail[0], tail[1:])
    left = lowering.value(x, (*places.broadcast(b, x.shape[:-2]), *i, inner))
    right = lowering.value(
        y, (*places.broadcast(b, y.shape[:-2]), inner, *j) if columns else (inner,)
    )
    value = Apply("multiply", (left, right), node.dtype, node.dtype)
    inner_loop = len(sizes) - 1 if inner_first else n_batch + n_rows
    kept = tuple(loop for loop in range(len(sizes)) if loop != inner_loop)
    offset = linear((*b, *i, *j), node.shape)
    unit.steps = [Kernel(sizes, (Reduce(lowering.make_room(node), offset, value, "sum", kept),))]


def _einsum(lowering: Lowering, node: Node, unit: Unit) -> None:
    operands, result = node.params["operands"], node.params["result"]
    as_matrices = _einsum_as_matmul(node, operands, result)
    if as_matrices is not None:
        a, b = map(lowering.memory, node.inputs)
        if a is not None and b is not None:
            unit.steps = [
                Matmul(
                    out=lowering.make_room(node),
                    a=a,
                    b=b,
                    rounded=lowering.rounds(node),
                    **as_matrices,
                )
            ]
            return
    lengths: dict[str, int] = {}
    for letters, x in zip(operands, node.inputs, strict=True):
        for letter, n in zip(letters, x.shape, strict=True):
            if lengths.get(letter, 1) == 1:  # broadcasts, to 0 too
                lengths[letter] = n
    order = [*result, *[c for c in lengths if c not in result]]
    sizes = tuple(lengths[c] for c in order)
    at = dict(zip(order, identity(sizes), strict=True))
    factors = []
    for letters, x in zip(operands, node.inputs, strict=True):
        place = places.broadcast(tuple(at[c] for c in letters), x.shape)
        factors.append(complexes.cast(lowering.parts(x, place), x.dtype, node.dtype))
    parts = functools.reduce(lambda x, y: complexes.product(x, y, node.dtype), factors)
    offset = linear(tuple(at[c] for c in result), node.shape)
    out = lowering.make_room(node)
    kept = tuple(range(len(result)))
    unit.steps = [Kernel(sizes, reduces(out, offset, parts, "sum", kept))]


def _einsum_as_matmul(node: Node, operands: Any, result: str) -> Any:
    """Return what Matmul takes after its buffers, where this einsum is one; else None."""
    if len(operands) != 2 or len(result) < 2 or node.dtype.kind != "f":
        return None
    first, second = operands
    batch, m, n = result[:-2], result[-2], result[-1]
    k = next((c for c in first if c not in result), "")
    orders_a, orders_b = (batch + m + k, batch + k + m), (batch + k + n, batch + n + k)
    a, b = node.inputs
    if not k or first not in orders_a or second not in orders_b:
        return None
    if any(x.dtype != node.dtype for x in (a, b)) or a.shape[:-2] != b.shape[:-2]:
        return None
    length = dict(zip(first, a.shape, strict=True)) | dict(zip(second, b.shape, strict=True))
    if a.shape[first.index(k)] != b.shape[second.index(k)] or math.prod(length.values()) < (
        SMALL_PRODUCT
    ):
        return None
    corner = (Affine(), Affine())
    loops = identity(node.shape[:-2])
    offsets = tuple(linear((*loops, *corner), x.shape) for x in (node, a, b))
    return {
        "m": length[m], "n": length[n], "k": length[k], "a_transposed": first == orders_a[1],
        "b_transposed": second == orders_b[1], "batch": node.shape[:-2], "offsets": offsets,
    }  # fmt: skip


def _roll(lowering: Lowering, node: Node, unit: Unit) -> None:
    (x,) = node.inputs
    shifts = [0] * x.aval.ndim
    for axis, shift in zip(node.params["axis"], node.params["shift"], strict=True):
        shifts[axis] = (shifts[axis] + shift) % x.shape[axis] if x.shape[axis] else 0
    out = lowering.make_room(node)
    # each axis falls into two pieces, which change places
    pieces = [[(0, n - s, s), (n - s, s, -(n - s))] for n, s in zip(x.shape, shifts, strict=True)]
    for choice in itertools.product(*pieces):
        sizes = tuple(length for _, length, _ in choice)
        if 0 in sizes:
            continue
        at = identity(sizes)
        source = tuple(p + affine(start, {}) for p, (start, _, _) in zip(at, choice, strict=True))
        target = tuple(
            p + affine(start + by, {}) for p, (start, _, by) in zip(at, choice, strict=True)
        )
        body = stores(out, linear(target, node.shape), lowering.parts(x, source))
        unit.steps.append(Kernel(sizes, body))


def _concatenate(lowering: Lowering, node: Node, unit: Unit) -> None:
    axis, start = node.params["axis"], 0
    elements = [lowering.parts(x, identity(x.shape)) for x in node.inputs]
    out = lowering.make_room(node)
    for x, parts in zip(node.inputs, elements, strict=True):
        place = linear(_moved(identity(x.shape), axis, start), node.shape)
        body = stores(out, place, complexes.cast(parts, x.dtype, node.dtype))
        unit.steps.append(Kernel(x.shape, body))
        start += x.shape[axis]


def _moved(place: Place, axis: int, by: int) -> Place:
    return tuple(p + affine(by, {}) if k == axis else p for k, p in enumerate(place))


def _pad(lowering: Lowering, node: Node, unit: Unit) -> None:
    (x,) = node.inputs
    parts = lowering.parts(x, identity(x.shape))
    out = lowering.make_room(node)
    place = identity(x.shape)
    for axis, (before, _) in enumerate(node.params["width"]):
        place = _moved(place, axis, before)
    unit.steps = [filled(out), Kernel(x.shape, stores(out, linear(place, node.shape), parts))]


def _setitem(lowering: Lowering, node: Node, unit: Unit) -> None:
    x, value, *indices = node.inputs
    template = node.params["index"]
    selected = _selected_shape(template, x, indices)
    place = identity(selected)
    shown = value.shape[max(0, value.aval.ndim - len(selected)) :]
    lead = (Affine(),) * (value.aval.ndim - len(shown))
    base = lowering.parts(x, identity(x.shape))
    new = lowering.parts(value, (*lead, *places.broadcast(place, shown)))
    new = complexes.cast(new, value.dtype, node.dtype)
    offset, gathers = _target(lowering, template, x.shape, indices, place)
    out = lowering.make_room(node)
    copy = Kernel(x.shape, stores(out, linear(identity(x.shape), x.shape), base))
    unit.steps = [copy, Kernel(selected, stores(out, offset, new, gathers))]


def _scatter_add(lowering: Lowering, node: Node, unit: Unit) -> None:
    ct, *indices = node.inputs
    parts = lowering.parts(ct, identity(ct.shape))
    offset, gathers = _target(
        lowering, node.params["index"], node.shape, indices, identity(ct.shape)
    )
    out = lowering.make_room(node)
    body = stores(out, offset, parts, gathers, add=bool(indices))
    unit.steps = [filled(out), Kernel(ct.shape, body)]


def _target(
    lowering: Lowering, template: Any, shape: tuple[int, ...], indices: list[Node], place: Place
) -> Any:
    if not indices:
        return places.region(template.parts, shape, place), ()
    return places.selected(lowering, template.parts, shape, indices, place)


def _selected_shape(template: Any, x: Node, indices: list[Node]) -> tuple[int, ...]:
    from pullback.core.op import OPS

    avals = [x.aval, *[i.aval for i in indices]]
    return OPS["getitem"].infer(*avals, index=template).shape  # type: ignore[union-attr]


LOWERINGS: dict[str, Callable[[Any, Node, Any], None]] = {
    "matmul": _matmul,
    "einsum": _einsum,
    "roll": _roll,
    "concatenate": _concatenate,
    "pad": _pad,
    "setitem": _setitem,
    "scatter_add": _scatter_add,
    **scans.LOWERINGS,
    **sorting.LOWERINGS,
    **convolution.LOWERINGS,
    **pooling.LOWERINGS,
}
"""How an operation that always gets memory is lowered."""
