"""`derive`: the gradient of a function, step by step, as a textbook writes it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval
from pullback.core.errors import DTypeError, ShapeError
from pullback.core.graph import Graph, Node
from pullback.core.tracing import argument_names
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.checking import Point, slope_line
from pullback.explain.derivation.derivation import Derivation, Given
from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.naming import cased, short_names, traced_with_names
from pullback.explain.derivation.reading import Reading, read
from pullback.explain.derivation.sharing import shared
from pullback.explain.derivation.steps import slopes, steps_of
from pullback.transform.inputs import argument_positions

NEARBY = 0.05
"""Relative size of the step to the second point at which every line is checked."""


def derive(
    function: Callable[..., Any], *args: Any, argnums: int | Sequence[int] | None = None
) -> Derivation:
    """Return the derivation of the gradient of `function` at `args`, in matrix form.

    `args` are pytrees of real arrays, or `Aval`s, which stand for random ones; the gradient is that
    of every floating leaf, or of the arguments at `argnums`. The function is traced once, with
    float64; vectors are read as columns, samples in the rows of a matrix stay rows. A value of the
    function that is no scalar is taken as part of any loss E. Operations without matrix form keep
    their name, and `vjp[op, x](δ)` is the transposed derivative of one.
    Every line is checked against the graph, at `args` and at a point nearby.
    Raises GradientError for a line that is not right, which is a bug, and where no value of a line
    is finite, so that nothing can be checked; ShapeError for several
    results, DTypeError for complex ones, and what tracing the function raises.
    (Petersen and Pedersen, The Matrix Cookbook, 2012.)

    >>> import numpy as np, pullback as pb
    >>> def energy(A, x):
    ...     return x @ A @ x
    >>> print(pb.derive(energy, np.eye(2), np.array([1.0, 2.0]), argnums=1))
    derivation of energy
    <BLANKLINE>
      given      A                    2×2
                 x                    2
    <BLANKLINE>
      forward    E     = xᵀ A x       number
    <BLANKLINE>
      gradients  ∂E/∂x = (A + Aᵀ) x   2
    """
    leaves, structure = pytree.flatten(args)
    paths = _paths(function, args)
    values = [_real(leaf, path) for leaf, path in zip(leaves, paths, strict=True)]
    if isinstance(function, Graph):
        values = [x.astype(n.dtype) for x, n in zip(values, function.arguments, strict=True)]
        graph, authors = shared(function)[0], dict[Node, str]()
    else:
        graph, authors = traced_with_names(function, pytree.unflatten(structure, values))
    names = short_names(paths, map(np.ndim, values))
    loss, result = _loss_and_result(graph, names)
    reading = read(graph, names, authors, result)
    wanted = _wanted(reading, args, argnums)
    steps = steps_of(reading, wanted, loss)
    here, nearby = (
        Point.at(graph, reading, steps.deltas, pytree.unflatten(structure, at))
        for at in (values, _near(values))
    )
    for step in steps.steps:
        nearby.line(step)
    lines = [here.line(step) for step in steps.steps]
    lines += [slope_line(f, taken={*names, *authors.values()}) for f in slopes(steps)]
    given = [
        Given(symbol, path, node.shape)
        for (node, symbol), path in zip(reading.given.items(), paths, strict=True)
    ]
    given += [Given(s, "constant", n.shape) for n, s in reading.constants.items()]
    return Derivation(_name(function), tuple(given), tuple(lines))


def _paths(function: Any, args: Sequence[Any]) -> list[str]:
    if isinstance(function, Graph):
        return [node.name for node in function.arguments]
    return argument_names(function, args)


def _name(function: Any) -> str:
    name = function.name if isinstance(function, Graph) else getattr(function, "__name__", "")
    name = name or type(function).__name__
    return name if name.isidentifier() else "a function"


def _real(leaf: Any, path: str) -> Any:
    """Return a leaf as a float64 array, random for an Aval; integers stay as they are."""
    if isinstance(leaf, Aval):
        leaf = _drawn(leaf, np.random.default_rng(zlib.crc32(path.encode())))
    array = np.asarray(leaf)
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            f"derive: {path} is {array.dtype}: expected real numbers. Write a complex function as "
            "one of the real and imaginary parts."
        )
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _drawn(aval: Aval, rng: np.random.Generator) -> Any:
    """Return numbers above 0, square matrices well regular, so that most functions are defined."""
    numbers = rng.uniform(0.2, 1.2, aval.shape)
    square = len(aval.shape) == 2 and aval.shape[0] == aval.shape[1]
    return numbers + aval.shape[0] * np.eye(aval.shape[0]) if square else numbers


def _near(values: Sequence[Any]) -> list[Any]:
    """Return floating values nearby, where no entry is 0 or equal to another by chance."""
    rng = np.random.default_rng(0)

    def moved(x: Any) -> Any:
        size = NEARBY * (np.max(np.abs(x), initial=0) or 1.0)
        if x.dtype.kind != "f":
            return x
        return (x + size * rng.uniform(-1, 1, x.shape)).astype(x.dtype)

    return list(map(moved, values))


def _loss_and_result(graph: Graph, names: Sequence[str]) -> tuple[Expr, str]:
    """Return the symbol E of the loss, and the name of the result: E too if it is a number."""
    if len(graph.results) != 1:
        raise ShapeError(
            f"derive: expected a function with one result, got {len(graph.results)}. Derive "
            "one of them, with lambda *args: f(*args)[0]."
        )
    (node,) = graph.results
    if node.dtype.kind != "f":
        raise DTypeError(f"derive: expected a function with a real result, got {node.dtype}.")
    imaginary = [n for n in graph.nodes if getattr(n.aval, "dtype", np.dtype(float)).kind == "c"]
    if imaginary:
        raise DTypeError(
            f"derive: {imaginary[0].op or 'a constant'} gives complex numbers on the way to the "
            "result; derivations are of real functions."
        )
    loss = e.symbol(next(n for n in ("E", "L", "f", "loss") if n not in names), e.SCALAR)
    if node.shape == ():
        return loss, loss.data
    return loss, next(n for n in (cased("y", node.shape), "y_out") if n not in names)


def _wanted(reading: Reading, args: Sequence[Any], argnums: Any) -> set[Expr]:
    """Return the symbols of the floating leaves at `argnums`."""
    positions = range(len(args)) if argnums is None else argument_positions(argnums, len(args))
    position_of = [k for k, arg in enumerate(args) for _ in pytree.leaves(arg)]
    return {
        symbol
        for (node, symbol), k in zip(reading.given.items(), position_of, strict=True)
        if k in positions and node.dtype.kind == "f"
    }
