"""Shape operations: linear, each with its transpose. Most of them are views, as in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from pullback.core.arrays import array_of
from pullback.core.aval import Aval
from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError, ShapeError
from pullback.core.op import Notation, Op
from pullback.core.tracer import Tracer, View
from pullback.ops.axes import one_axis
from pullback.ops.batching import along, shaped
from pullback.ops.families import linear

Shape = tuple[int, ...]


def as_view(result: Any, base: Any, read: Callable[[Any], Any], write: Any) -> Any:
    """Mark `result` as a view of `base`: assignments to either are seen by both."""
    if isinstance(result, Tracer) and isinstance(base, Tracer) and result is not base:
        result.origin = View(base, read, write)
    return result


# reshape

reshape_op = linear(
    "reshape",
    lambda x, shape: x.reshape(shape),
    lambda i, ct, args, params: np.reshape(ct, args[0].shape),
    infer=lambda x, shape: Aval(shape, x.dtype),
    batch=shaped("reshape", "shape"),
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)),), {"shape": (2, 6)}),
        ((rng.normal(size=()),), {"shape": (1, 1)}),
        ((np.zeros((0, 3)),), {"shape": (3, 0)}),
    ],
)


def _full_shape(old: Shape, new: Any) -> Shape:
    """Return `new` with -1 worked out; raises ShapeError where the sizes differ."""
    wanted = (int(new),) if np.ndim(new) == 0 else tuple(int(n) for n in new)
    size = math.prod(old)
    known = math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) == 1 and known > 0 and size % known == 0:
        wanted = tuple(size // known if n == -1 else n for n in wanted)
    if -1 in wanted or math.prod(wanted) != size:
        raise ShapeError(f"reshape: cannot give an array of shape {old} the shape {wanted}")
    return wanted


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: Any = None, **old: Any) -> Any:
    """Return the elements in another shape; a view."""
    shape = old.get("newshape", shape)
    if order not in ("C", "F") and a.ndim > 1:
        raise NotDifferentiableError(
            f"order={order!r} asks how the array lies in memory, which a traced one does not: "
            "expected 'C' (rows first) or 'F' (columns first)"
        )
    if order == "F":
        wanted = _full_shape(a.shape, shape)
        return np.transpose(np.reshape(np.transpose(a), wanted[::-1]))
    wanted = _full_shape(a.shape, shape)
    result = reshape_op(a, shape=wanted)
    if isinstance(a, Tracer) and a.origin is not None:
        return as_view(result, a, _view_or_copy, _view_or_copy)
    return as_view(
        result, a, lambda base: reshape_op(base, shape=wanted),
        lambda base, new: reshape_op(new, shape=base.shape),
    )  # fmt: skip


def _view_or_copy(*arrays: Any) -> Any:
    raise NotDifferentiableError(
        "assignment after np.reshape of a view (a slice or a transpose): whether NumPy makes a "
        "view or a copy there depends on memory order. Write y = np.reshape(x, ...).copy() for a "
        "copy, or assign through x itself."
    )


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """Return the elements as one axis."""
    return reshape(a, -1, order)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    """Insert axes of length 1 at the positions `axis` of the result."""
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = normalize_axis_tuple(given, a.ndim + len(given))
    lengths = iter(a.shape)
    return np.reshape(a, [1 if i in axes else next(lengths) for i in range(a.ndim + len(given))])


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Remove axes of length 1."""
    if axis is None:
        axes: Any = [i for i, n in enumerate(a.shape) if n == 1]
    else:
        axes = normalize_axis_tuple(axis, a.ndim)
    wrong = [i for i in axes if a.shape[i] != 1]
    if wrong:
        raise ShapeError(f"squeeze: axis {wrong[0]} has length {a.shape[wrong[0]]}, expected 1")
    return np.reshape(a, [n for i, n in enumerate(a.shape) if i not in axes])


# transpose


def _inverse(axes: Shape) -> Shape:
    return tuple(int(i) for i in np.argsort(axes))


transpose_op: Op = linear(
    "transpose",
    lambda x, axes: x.transpose(axes),
    lambda i, ct, args, params: np.transpose(ct, _inverse(params["axes"])),
    infer=lambda x, axes: Aval([x.shape[i] for i in axes], x.dtype),
    batch=lambda args, batched, params: transpose_op(
        *args, axes=(0, *[i + 1 for i in params["axes"]])
    ),
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)),), {"axes": (1, 0)}),
        ((rng.normal(size=(2, 3, 4)),), {"axes": (2, 0, 1)}),
        ((rng.normal(size=()),), {"axes": ()}),
    ],
    notation=Notation("call", "transpose"),
)


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    """Permute the axes, in reverse order by default; a view."""
    order = tuple(range(a.ndim))[::-1] if axes is None else normalize_axis_tuple(axes, a.ndim)
    if len(order) != a.ndim:
        raise ShapeError(f"transpose: expected {a.ndim} axes, got {order}")
    back = _inverse(order)
    return as_view(
        transpose_op(a, axes=order), a, lambda base: transpose_op(base, axes=order),
        lambda base, new: transpose_op(new, axes=back),
    )  # fmt: skip


implements(np.permute_dims)(transpose)


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """Exchange the last two axes."""
    return np.swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    order = list(range(a.ndim))
    i, j = one_axis(axis1, a.ndim), one_axis(axis2, a.ndim)
    order[i], order[j] = order[j], order[i]
    return np.transpose(a, order)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Move axes to other positions."""
    sources = normalize_axis_tuple(source, a.ndim)
    targets = normalize_axis_tuple(destination, a.ndim)
    order = [i for i in range(a.ndim) if i not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return np.transpose(a, order)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """Roll one axis backwards to before position `start`."""
    axis = one_axis(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


# broadcasting


def _broadcast_batch(args: Any, batched: Any, params: Any) -> Any:
    (x,), shape = args, params["shape"]
    ones = (1,) * (len(shape) - x.ndim + 1)
    return broadcast_op(
        np.reshape(x, (x.shape[0], *ones, *x.shape[1:])), shape=(x.shape[0], *shape)
    )


broadcast_op: Op = linear(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    lambda i, ct, args, params: ct,  # summed to the argument's shape by the family
    infer=lambda x, shape: Aval(shape, x.dtype),
    batch=_broadcast_batch,
    samples=lambda rng: [
        ((rng.normal(size=(3, 1)),), {"shape": (2, 3, 4)}),
        ((rng.normal(size=()),), {"shape": (2,)}),
        ((rng.normal(size=(1,)),), {"shape": (0,)}),
    ],
)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """Stretch to `shape` by NumPy's broadcasting."""
    wanted = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
    if array.shape == wanted:
        return array
    try:
        fits = np.broadcast_shapes(array.shape, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"broadcast_to: shape {array.shape} does not broadcast to {wanted}")
    return broadcast_op(array, shape=wanted)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """Stretch all arrays to their common shape."""
    shape = np.broadcast_shapes(*[np.shape(a) for a in args])
    return tuple(np.broadcast_to(a, shape) for a in args)


@implements(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """Return arrays with at least one axis."""
    results = [a if a.ndim >= 1 else np.reshape(a, (1,)) for a in map(array_of, arrays)]
    return results[0] if len(results) == 1 else tuple(results)


@implements(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """Return arrays with at least two axes."""
    results = [
        a if a.ndim >= 2 else np.reshape(a, (1, *a.shape) if a.ndim else (1, 1))
        for a in map(array_of, arrays)
    ]
    return results[0] if len(results) == 1 else tuple(results)


@implements(np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    """Return arrays with at least three axes."""
    shapes: dict[int, Any] = {0: lambda s: (1, 1, 1), 1: lambda s: (1, *s, 1), 2: lambda s: (*s, 1)}
    results = [
        a if a.ndim >= 3 else np.reshape(a, shapes[a.ndim](a.shape)) for a in map(array_of, arrays)
    ]
    return results[0] if len(results) == 1 else tuple(results)


# order along an axis

flip_op = linear(
    "flip",
    lambda x, axis: np.flip(x, axis),
    lambda i, ct, args, params: np.flip(ct, params["axis"]),
    infer=lambda x, axis: Aval(x.shape, x.dtype),
    batch=along("flip", "axis"),
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)),), {"axis": (0,)}),
        ((rng.normal(size=(3, 4)),), {"axis": (0, 1)}),
    ],
)


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """Reverse the order along `axis`; a view."""
    axes = normalize_axis_tuple(range(m.ndim) if axis is None else axis, m.ndim)
    return as_view(
        flip_op(m, axis=axes), m, lambda base: flip_op(base, axis=axes),
        lambda base, new: flip_op(new, axis=axes),
    )  # fmt: skip


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """Reverse the second axis."""
    return np.flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """Reverse the first axis."""
    return np.flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Rotate by 90 degrees `k` times in the plane of `axes`."""
    first, second = axes
    turns = {
        0: lambda x: np.flip(np.flip(x, first), first),
        1: lambda x: np.swapaxes(np.flip(x, second), first, second),
        2: lambda x: np.flip(x, (first, second)),
        3: lambda x: np.flip(np.swapaxes(x, first, second), second),
    }
    return turns[k % 4](m)


def _rolled(x: Any, shift: Shape, axis: Shape) -> Any:
    """Return np.roll(x, shift, axis), which takes several times as long for small arrays."""
    for by, where in zip(shift, axis, strict=True):
        if x.shape[where]:
            head = (slice(None),) * where
            at = -by % x.shape[where]
            x = np.concatenate([x[(*head, slice(at, None))], x[(*head, slice(at))]], axis=where)
    return x


roll_op = linear(
    "roll",
    _rolled,
    lambda i, ct, args, params: np.roll(ct, tuple(-s for s in params["shift"]), params["axis"]),
    infer=lambda x, shift, axis: Aval(x.shape, x.dtype),
    batch=along("roll", "axis"),
    samples=lambda rng: [
        ((rng.normal(size=(3, 4)),), {"shift": (1,), "axis": (1,)}),
        ((rng.normal(size=(3, 4)),), {"shift": (1, -2), "axis": (0, 1)}),
    ],
)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Shift elements along `axis`, those that fall off coming in at the other end."""
    if axis is None:
        return np.reshape(np.roll(np.ravel(a), shift, 0), a.shape)
    axes = normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)
    shifts, places = np.broadcast_arrays(shift, axes)
    return roll_op(a, shift=tuple(map(int, shifts)), axis=tuple(map(int, places)))
