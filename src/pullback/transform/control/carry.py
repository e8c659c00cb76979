"""The values that a loop hands from step to step: they must keep structure, shape and dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval, aval_of, result_type
from pullback.core.buffer import unwrap
from pullback.core.errors import DTypeError, ShapeError
from pullback.core.tracer import Tracer
from pullback.transform.control.closure import close, is_number


def kept(new: Any, old: Any, name: str) -> Any:
    """Return the carry `new`, checked to be like the one before, `old`.

    A number of Python's takes the dtype of its counterpart where that loses nothing.
    Raises TreeError, ShapeError or DTypeError naming `name` and the leaf.
    """
    before, structure = pytree.flatten(old)
    after = pytree.match(structure, new, f"the carry that {name} returns")
    if all(map(_alike, after, before)):
        return new
    paths = [path.removeprefix("*") for path in pytree.paths(old)]
    fitted = [_fitted(*group, name) for group in zip(after, before, paths, strict=True)]
    return pytree.unflatten(structure, fitted)


def _alike(new: Any, old: Any) -> bool:
    if not (hasattr(new, "dtype") and hasattr(old, "dtype")):
        return False
    return bool(new.shape == old.shape and new.dtype == old.dtype)


def _fitted(new: Any, old: Any, path: str, name: str) -> Any:
    got, expected = aval_of(new), aval_of(old)
    if got.shape != expected.shape:
        raise ShapeError(
            f"the carry{path} that {name} returns: expected shape {expected.shape}, as at the "
            f"start, got {got.shape}. Start with an array of the shape it shall have throughout."
        )
    if got.weak and not expected.weak and _widens(got, expected):
        return np.asarray(new, expected.dtype)
    if got.dtype != expected.dtype and not (expected.weak and _widens(expected, got)):
        raise DTypeError(
            f"the carry{path} that {name} returns: expected dtype {expected.dtype}, as at the "
            f"start, got {got.dtype}. Start with that dtype, or return x.astype({expected.dtype})."
        )
    return new


def _widens(scalar: Aval, other: Aval) -> bool:
    """Whether a number may take the dtype of `other`."""
    return result_type(scalar, other) == other.dtype


def settled(step: Callable[..., Any], init: Any, *others: Any, name: str) -> Any:
    """Return `init` with arrays for the numbers in it, of the dtype that `step` gives them."""
    if not has_numbers(init):
        return arrays(init)
    graph = close([step], init, *others).graphs[0]
    results = pytree.unflatten(graph.out_tree, [node.aval for node in graph.results])
    return started(init, kept(results, init, name))


def arrays(tree: Any) -> Any:
    """Return `tree` with arrays for numbers and whatever else NumPy takes for an array."""
    return pytree.map(lambda x: x if hasattr(x, "dtype") else np.asarray(x), tree)


def owned(tree: Any) -> Any:
    """Return `tree` as it is now: assignments of a body, in place, reach no other step's values."""
    return pytree.map(_owned, tree)


def _owned(x: Any) -> Any:
    x = unwrap(x)
    if isinstance(x, np.ndarray):
        return x.copy()
    if isinstance(x, Tracer):
        x.refresh()
        return x.alias()
    return x


def has_numbers(init: Any) -> bool:
    """Whether `init` holds numbers of Python's, whose dtype the first step tells."""
    return any(map(is_number, pytree.leaves(init)))


def started(init: Any, new: Any) -> Any:
    """Return `init` with arrays for the numbers in it, of the dtypes in `new`."""
    return pytree.map(
        lambda x, y: np.asarray(x, aval_of(y).dtype)[()] if is_number(x) else x, init, new
    )
