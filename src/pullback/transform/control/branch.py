"""cond and switch: a choice between functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError, DTypeError, ShapeError, TreeError
from pullback.transform.control.branch_op import switch_op
from pullback.transform.control.carry import owned
from pullback.transform.control.closure import Closed, close, has_no_truth, is_number


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Return `true_fun(*operands)` if `pred` holds, else `false_fun(*operands)`.

    `pred` is one boolean or number. Only the chosen function runs. Under `pb.trace` both are
    traced and must return pytrees of one structure, with the same shapes and dtypes; under
    `pb.vmap` with one `pred` per example both are computed and chosen from.
    Raises ShapeError where `pred` is no scalar, and TreeError, ShapeError or DTypeError where the
    results differ.

    >>> import numpy as np, pullback as pb
    >>> pb.grad(lambda x: pb.cond(x > 0, np.log, np.negative, x))(2.0)
    np.float64(0.5)
    """
    _scalar(pred, "cond: pred")
    if has_no_truth(pred):
        index = np.astype(np.not_equal(pred, 0), np.intp)
        return _choose(index, [false_fun, true_fun], operands, "cond: true_fun and false_fun")
    return true_fun(*owned(operands)) if pred else false_fun(*owned(operands))


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return `branches[index](*operands)`; an index out of range takes the nearest branch.

    `index` is one integer. Only the chosen branch runs; otherwise as `cond`.
    Raises ConfigError without branches, DTypeError where `index` is not an integer, and
    ShapeError, DTypeError or TreeError where the results differ.

    >>> import numpy as np, pullback as pb
    >>> pb.switch(1, [np.sin, np.exp, np.log], 0.0)
    np.float64(1.0)
    """
    if not branches:
        raise ConfigError("switch: expected at least one branch, got none")
    _scalar(index, "switch: index")
    if aval_of(index).dtype.kind not in "iub":
        raise DTypeError(
            f"switch: index: expected an integer, got {aval_of(index).dtype}; "
            "write index.astype(int)"
        )
    if has_no_truth(index):
        return _choose(index, branches, operands, "switch: the branches")
    return branches[min(max(int(index), 0), len(branches) - 1)](*owned(operands))


def _scalar(x: Any, name: str) -> None:
    shape = aval_of(x).shape
    if shape:
        raise ShapeError(
            f"{name}: expected one value, got shape {shape}; reduce it with np.all or np.any, or "
            "choose element by element with np.where or pb.vmap"
        )


def _choose(index: Any, functions: Sequence[Any], operands: Any, name: str) -> Any:
    closed = close(functions, *operands)
    _same_results(closed, name)
    leaves = [x for x in pytree.leaves(operands) if not is_number(x)]
    results = switch_op(index, *closed.captured, *leaves, branches=closed.graphs)
    return pytree.unflatten(closed.graphs[0].out_tree, results)


def _same_results(closed: Closed, name: str) -> None:
    first, *others = closed.graphs
    for graph in others:
        if graph.out_tree != first.out_tree:
            raise TreeError(
                f"{name} must return the same structure, got {graph.out_tree} of {graph.name} and "
                f"{first.out_tree} of {first.name}"
            )
        for a, b in zip(graph.results, first.results, strict=True):
            if a.aval.shape == b.aval.shape and a.aval.dtype == b.aval.dtype:
                continue
            error = ShapeError if a.aval.shape != b.aval.shape else DTypeError
            raise error(
                f"{name} must return the same shapes and dtypes, got {a.aval} of {graph.name} and "
                f"{b.aval} of {first.name}"
            )
