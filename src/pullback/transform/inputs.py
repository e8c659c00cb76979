"""Checks at the door of the transformations: inputs that can be differentiated, scalar outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of, is_differentiable
from pullback.core.errors import (
    DTypeError,
    NotDifferentiableError,
    ShapeError,
)
from pullback.core.foreign import plain
from pullback.core.tracer import Tracer


def as_array(leaf: Any, describe: Callable[[], str]) -> Any:
    """Return `leaf` as an array to differentiate; Python floats become float64.

    Raises DTypeError, naming the argument by `describe()`, for what has no derivative.
    """
    if isinstance(leaf, (np.ndarray, Tracer)) and is_differentiable(leaf.dtype):
        return leaf if leaf.__class__ is np.ndarray else plain(leaf, describe())
    if isinstance(leaf, (float, complex)) and not isinstance(leaf, np.generic):
        return np.asarray(leaf)
    if isinstance(leaf, np.generic) and is_differentiable(leaf.dtype):
        return leaf
    if isinstance(leaf, (bool, int, np.ndarray, np.generic, Tracer)):
        kind = leaf.dtype.name if hasattr(leaf, "dtype") else type(leaf).__name__
        raise DTypeError(
            f"{describe()} is {kind}: expected a floating or complex dtype, since integers and "
            "booleans have no derivative. Write e.g. 3.0 instead of 3, or x.astype(float)."
        )
    raise DTypeError(
        f"{describe()} is of type {type(leaf).__name__}: expected an array or a float. "
        "Pass such arguments at other positions than `argnums`; a class of your own that holds "
        "arrays is taken after pb.tree.register."
    )


def flat_arrays(tree: Any, name: str) -> tuple[list[Any], pytree.Structure]:
    """Return the leaves of the argument `tree` as arrays to differentiate, and its structure."""
    leaves, structure = pytree.flatten(tree)

    def describe(k: int) -> Callable[[], str]:
        return lambda: name + pytree.paths(tree)[k].removeprefix("*")

    return [as_array(leaf, describe(k)) for k, leaf in enumerate(leaves)], structure


def argument_positions(argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Return `argnums` as non-negative positions among `count` arguments."""
    given = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for position in given:
        if not count:
            raise ShapeError("expected an argument to differentiate by, got none")
        if not -count <= position < count:
            raise ShapeError(
                f"argnums: expected positions below {count}, the number of arguments given, "
                f"got {position}"
            )
    return tuple(position % count for position in given)


def scalar_output(out: Any, function: str) -> None:
    """Raise unless `out` is one real or complex number, as `grad` needs it."""
    if isinstance(out, (tuple, list, dict)) or out is None:
        raise ShapeError(
            f"{function}: the function must return one scalar, got {type(out).__name__}. "
            "Use has_aux=True if it returns (value, auxiliary data), or pb.vjp/pb.jacobian."
        )
    aval = aval_of(out)
    if aval.shape != ():
        raise ShapeError(
            f"{function}: the function must return a scalar, got shape {aval.shape}. "
            "Reduce it, e.g. with .sum(), or use pb.jacobian or pb.vjp."
        )
    if aval.dtype.kind == "c" or not is_differentiable(aval.dtype):
        remedy = (
            "Take its real part or absolute value."
            if aval.dtype.kind == "c"
            else "The value does not depend smoothly on the inputs."
        )
        raise NotDifferentiableError(
            f"{function}: the function must return a real floating number, got {aval.dtype}. "
            f"{remedy}"
        )


def matching_leaves(structure: pytree.Structure, tree: Any, like: Sequence[Any], name: str) -> Any:
    """Return the leaves of `tree`, checked against the structure and shapes of `like`."""
    leaves = pytree.match(structure, tree, name)
    checked = []
    for leaf, model in zip(leaves, like, strict=True):
        expected, got = aval_of(model), aval_of(leaf)
        if got.shape != expected.shape:
            raise ShapeError(f"{name}: expected shape {expected.shape}, got {got.shape}")
        if got.dtype.kind == "c" and expected.dtype.kind != "c":
            raise DTypeError(f"{name}: expected dtype {expected.dtype}, got {got.dtype}")
        if got.dtype != expected.dtype or not hasattr(leaf, "dtype"):
            leaf = (
                leaf.astype(expected.dtype)
                if isinstance(leaf, Tracer)
                else np.asarray(leaf, dtype=expected.dtype)
            )
        checked.append(leaf)
    return checked


def copied(tree: Any) -> Any:
    """Return `tree` with arrays of its own, so that a later change by the caller is not seen."""
    return pytree.map(lambda x: x.copy(order="K") if x.__class__ is np.ndarray else x, tree)


def distinct(results: Sequence[Any], given: Sequence[Any] = ()) -> list[Any]:
    """Return `results` as arrays that may be written to: none is another, nor one of `given`."""
    taken = set(map(id, given))
    found = []
    for x in results:
        if x.__class__ is np.ndarray:
            if x.base is not None or id(x) in taken:
                x = x.copy(order="K")
            taken.add(id(x))
        found.append(x)
    return found
