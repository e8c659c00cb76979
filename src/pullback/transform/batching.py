"""vmap: a function of one example becomes a function of many, without a loop over them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.arrays import array_of
from pullback.core.aval import aval_of
from pullback.core.batch import BatchTrace
from pullback.core.buffer import unwrap
from pullback.core.errors import ConfigError, ShapeError, TreeError
from pullback.core.tracer import Tracer


def vmap(
    function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, axis_size: int | None = None
) -> Callable[..., Any]:
    """Return `function` for a batch of arguments: each operation runs once for all examples.

    `in_axes` names the batch axis of each argument: an integer, None for an argument that all
    examples share, or a tuple with one entry per argument, which may be a pytree that is a prefix
    of the argument's. `out_axes` says likewise where the batch goes in the result; None takes a
    result that does not depend on the example. Keyword arguments are shared. `axis_size` is the
    length of the batch, needed only where no argument has one. Nests with itself and with every
    other transformation: `vmap(grad(f), in_axes=(None, 0))` gives per-example gradients.
    Raises ShapeError where batches differ in length, TreeError where `in_axes` does not fit.

    >>> import numpy as np, pullback as pb
    >>> pb.vmap(np.dot)(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    array([3., 3.])
    >>> def loss(w, x, t):
    ...     return (np.dot(w, x) - t) ** 2
    >>> x, t = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 1.0])
    >>> pb.vmap(pb.grad(loss), in_axes=(None, 0, 0))(np.zeros(2), x, t)
    array([[-2., -0.],
           [-0., -4.]])
    """

    def batched(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.flatten(args)
        axes = _axes_of(in_axes, args)
        names = ["argument " + path.removeprefix("*") for path in pytree.paths(args)]
        size = _batch_size(leaves, axes, names, axis_size)
        trace = BatchTrace()
        inputs = [
            leaf if axis is None else trace.wrap(_to_front(leaf, axis, name), True)
            for leaf, axis, name in zip(leaves, axes, names, strict=True)
        ]
        out = function(*pytree.unflatten(structure, inputs), **kwargs)
        results, out_structure = pytree.flatten(out)
        places = _prefix(out_axes, out, "out_axes")
        found = [_placed(trace, x, axis, size) for x, axis in zip(results, places, strict=True)]
        return pytree.unflatten(out_structure, found)

    functools.update_wrapper(batched, function, assigned=("__name__", "__doc__"), updated=())
    return batched


def _axes_of(in_axes: Any, args: Sequence[Any]) -> list[int | None]:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise TreeError(
            f"in_axes: expected one entry for each of the {len(args)} arguments, got {in_axes}"
        )
    per_argument = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
    return [
        axis
        for entry, arg in zip(per_argument, args, strict=True)
        for axis in _prefix(entry, arg, "in_axes")
    ]


def _prefix(axes: Any, tree: Any, name: str) -> list[int | None]:
    """Return one axis for each leaf of `tree`; `axes` is a prefix of it."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(pytree.leaves(tree))
    found = pytree.spread_prefix(axes, tree, name)
    wrong = [axis for axis in found if axis is not None and not isinstance(axis, int)]
    if wrong:
        raise TreeError(f"{name}: expected integers and None in containers, got {wrong[0]!r}")
    return found


def _batch_size(
    leaves: Sequence[Any], axes: Sequence[int | None], names: Sequence[str], given: int | None
) -> int:
    sizes = {}
    for leaf, axis, name in zip(leaves, axes, names, strict=True):
        if axis is None:
            continue
        shape = aval_of(leaf).shape
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                f"vmap: {name} has shape {shape} and no axis {axis} to map over; give it None in "
                "in_axes if all examples share it"
            )
        sizes[name] = shape[axis]
    if given is not None:
        sizes["axis_size"] = given
    if not sizes:
        raise ConfigError("vmap: expected an argument with a batch axis, or axis_size=")
    if len(set(sizes.values())) > 1:
        raise ShapeError(f"vmap: expected batches of one length, got {sizes}")
    return next(iter(sizes.values()))


def _to_front(leaf: Any, axis: int, name: str) -> Any:
    array = array_of(leaf)
    if array.dtype.kind not in "biufc":
        raise ShapeError(f"vmap: {name} is of dtype {array.dtype}; expected numbers")
    return array if axis == 0 else np.moveaxis(array, axis, 0)


def _placed(trace: BatchTrace, x: Any, axis: int | None, size: int) -> Any:
    x = unwrap(x)
    mine = isinstance(x, Tracer) and x.context is trace
    if mine:
        x.refresh()
    value = x.value if mine else x
    if axis is None:
        if mine and x.node:
            raise ShapeError(
                "out_axes: None is for results that do not depend on the example, but this one "
                f"does (shape {x.shape} each); give the axis where the batch shall be"
            )
        return value
    if not (mine and x.node):
        value = np.broadcast_to(value, (size, *np.shape(value)))
    return value if axis == 0 else np.moveaxis(value, 0, axis)
