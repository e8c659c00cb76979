"""Jacobians, Hessians and Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError
from pullback.transform.batching import vmap
from pullback.transform.forward import jvp
from pullback.transform.inputs import argument_positions, flat_arrays
from pullback.transform.reverse import grad, pull_back

Mode = Literal["auto", "forward", "reverse"]
BATCH_ELEMENTS = 1 << 22
"""How many elements a batch of basis arrays may have: 32 MB of float64."""


def jacobian(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, mode: Mode = "auto"
) -> Callable[..., Any]:
    """Return the function that gives the Jacobian of `function`, of any number of outputs.

    For an output of shape `s` and an argument of shape `t` the block has shape `s + t`; pytrees
    give a pytree of outputs whose leaves are pytrees of arguments. `mode` "forward" pushes one
    direction per input element, "reverse" pulls one per output element, "auto" takes whichever are
    fewer; either way they run as one batch, without a loop over them.
    Raises ConfigError for another mode, DTypeError for integer arguments.

    >>> import numpy as np, pullback as pb
    >>> pb.jacobian(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x)(np.array([1.0, 1.0]))
    array([[1., 2.],
           [3., 4.]])
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ConfigError(f"mode: expected 'auto', 'forward' or 'reverse', got {mode!r}")

    def transformed(*args: Any, **kwargs: Any) -> Any:
        positions = argument_positions(argnums, len(args))
        wanted = tuple(args[p] for p in positions)
        leaves, in_tree = flat_arrays(wanted, "arguments of jacobian")

        def flat_function(*flat: Any) -> Any:
            full = list(args)
            for p, x in zip(positions, pytree.unflatten(in_tree, flat), strict=True):
                full[p] = x
            return function(*full, **kwargs)

        out, pullback = pull_back(flat_function, *leaves)
        out_leaves, out_tree = pytree.flatten(out)
        sizes = [sum(np.size(x) for x in group) for group in (leaves, out_leaves)]
        if mode == "forward" or (mode == "auto" and sizes[0] < sizes[1]):
            blocks = _forward(flat_function, leaves, out_leaves)
        else:
            blocks = _reverse(pullback, out_tree, leaves, out_leaves)
        rows = []
        for row in blocks:
            tree = pytree.unflatten(in_tree, row)
            rows.append(tree[0] if isinstance(argnums, int) else tree)
        return pytree.unflatten(out_tree, rows)

    return transformed


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return the function that gives the Hessian of a scalar function.

    For an argument of shape `t` it has shape `t + t`; for several or for pytrees, nested ones.
    Raises ShapeError where the function does not return one number, DTypeError for integer
    arguments.

    >>> import numpy as np, pullback as pb
    >>> pb.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(grad(function, argnums), argnums, mode="forward")


def hvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, ...]:
    """Return the product of the Hessian of a scalar function with `tangents`, without the Hessian.

    `primals` and `tangents` are tuples with one pytree per argument, as is the result. Forward
    over reverse: a small constant times the cost of the function (Pearlmutter, Fast exact
    multiplication by the Hessian, Neural Computation 6(1), 1994).
    Raises ShapeError where the function does not return one number or a tangent does not fit,
    TreeError where `primals` and `tangents` are no such tuples, DTypeError for integers.

    >>> import numpy as np, pullback as pb
    >>> pb.hvp(lambda x: (x**3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    (array([ 6., 12.]),)
    """
    gradient = grad(function, argnums=tuple(range(len(primals))))
    return jvp(gradient, primals, tangents)[1]  # type: ignore[no-any-return]


def _forward(function: Any, leaves: Sequence[Any], out_leaves: Sequence[Any]) -> list[list[Any]]:
    blocks: list[list[Any]] = [[] for _ in out_leaves]
    zeros = [np.zeros_like(x) for x in leaves]
    widest = max(np.size(x) for x in (*leaves, *out_leaves))
    for position, leaf in enumerate(leaves):

        def push(basis: Any, position: int = position) -> Any:
            tangents = [basis if i == position else zero for i, zero in enumerate(zeros)]
            return pytree.leaves(jvp(function, tuple(leaves), tuple(tangents))[1])

        for block, columns, out in zip(
            blocks, _mapped(push, leaf, out_leaves, widest), out_leaves, strict=True
        ):
            last = np.moveaxis(columns, 0, -1)
            block.append(np.reshape(last, np.shape(out) + np.shape(leaf)))
    return blocks


def _reverse(
    pullback: Any, out_tree: pytree.Structure, leaves: Sequence[Any], out_leaves: Sequence[Any]
) -> list[list[Any]]:
    blocks: list[list[Any]] = []
    zeros = [np.zeros_like(x) for x in out_leaves]
    widest = max(np.size(x) for x in (*leaves, *out_leaves))
    for position, out in enumerate(out_leaves):

        def pull(basis: Any, position: int = position) -> Any:
            seed = [basis if i == position else zero for i, zero in enumerate(zeros)]
            return pullback(pytree.unflatten(out_tree, seed))

        rows = _mapped(pull, out, leaves, widest)
        blocks.append(
            [
                np.reshape(row, np.shape(out) + np.shape(leaf))
                for row, leaf in zip(rows, leaves, strict=True)
            ]
        )
    return blocks


def _mapped(linear: Any, like: Any, results: Sequence[Any], widest: int) -> list[Any]:
    """Return `linear` of every basis array of the space of `like`, stacked.

    `results` are like the results of one call. They run in batches of bounded memory.
    """
    aval = aval_of(like)
    if aval.size == 0:
        return [np.zeros((0, *np.shape(x)), aval_of(x).dtype) for x in results]
    basis = np.reshape(np.eye(aval.size, dtype=aval.dtype), (aval.size, *aval.shape))
    rows = max(1, BATCH_ELEMENTS // max(widest, 1))
    mapped = vmap(linear)
    parts = [list(mapped(basis[k : k + rows])) for k in range(0, aval.size, rows)]
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(group, axis=0) for group in zip(*parts, strict=True)]
