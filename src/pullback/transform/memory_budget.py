"""A gradient that stays within a budget of bytes: traced once per signature and rewritten."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.arrays import is_array
from pullback.core.errors import ConfigError, NotDifferentiableError
from pullback.core.graph import Graph
from pullback.core.tables import keep
from pullback.core.tracer import Tracer
from pullback.core.tracing import trace
from pullback.passes.rematerialise import rematerialise
from pullback.transform.inputs import argument_positions

_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIGNATURES = 16
"""So many graphs are kept per function, the latest."""


def parse_bytes(budget: int | str) -> int:
    """Return a number of bytes, given as such or as text with a unit.

    Raises ConfigError for text of another form, for numbers that are not positive, and for other
    types.

    >>> parse_bytes("1.5GB"), parse_bytes("64KiB"), parse_bytes(1000)
    (1500000000, 65536, 1000)
    """
    found = None
    if isinstance(budget, str):
        parts = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]+)\s*", budget)
        if parts is not None and parts[2] in _UNITS:
            found = int(float(parts[1]) * _UNITS[parts[2]])
    elif isinstance(budget, (int, np.integer)) and not isinstance(budget, bool):
        found = int(budget)
    if found is None or found <= 0:
        raise ConfigError(
            f"memory_budget: expected a positive number of bytes, an int or text like '200MB', "
            f"'1.5GB' or '64KiB' (units {', '.join(_UNITS)}), got {budget!r}"
        )
    return found


def within_budget(
    value_and_grad: Callable[..., Any], argnums: int | Sequence[int], budget: int | str
) -> Callable[..., Any]:
    """Return `value_and_grad` with the same results in at most `budget` bytes at a time.

    The arrays among its arguments are those of a graph; Python numbers, strings and the like are
    constants of it, except floats at `argnums`.
    Raises ConfigError where the budget is too small, TracerError where the function needs a
    traced value as a number, NotDifferentiableError where it closes over a traced value.
    """
    limit = parse_bytes(budget)
    graphs: dict[Hashable, Graph] = {}

    @functools.wraps(value_and_grad)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        wanted = argument_positions(argnums, len(args))
        args = tuple(_strong(a) if k in wanted else a for k, a in enumerate(args))
        leaves, structure = pytree.flatten((args, kwargs))
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        signature = (structure, *map(_signature, leaves))
        graph = graphs.get(signature)
        if graph is None:
            graph = _traced(value_and_grad, leaves, structure, limit)
            keep(graphs, signature, graph, _SIGNATURES)
        return graph(*arrays)

    return transformed


def _traced(
    value_and_grad: Callable[..., Any], leaves: list[Any], structure: Any, limit: int
) -> Graph:
    places = [k for k, leaf in enumerate(leaves) if is_array(leaf)]
    outputs = 0

    def on_arrays(*arrays: Any) -> Any:
        nonlocal outputs
        given = list(leaves)
        for k, x in zip(places, arrays, strict=True):
            given[k] = x
        args, kwargs = pytree.unflatten(structure, given)
        value, gradient = value_and_grad(*args, **kwargs)
        outputs = pytree.structure(value).num_leaves
        return value, gradient

    graph = trace(on_arrays, *[leaves[k] for k in places])
    graph.name = f"the gradient of {getattr(value_and_grad, '__name__', 'a function')}"
    if any(isinstance(node.value, Tracer) for node in graph.constants):
        raise NotDifferentiableError(
            "memory_budget: the function closes over a value that an outer transformation traces; "
            "pass it as an argument, since the graph made for the budget is used again"
        )
    return rematerialise(graph, limit, outputs)


def _strong(tree: Any) -> Any:
    """Return `tree` with Python floats as arrays, of which the derivative is wanted."""
    return pytree.map(
        lambda x: np.asarray(x) if isinstance(x, (float, complex)) and not is_array(x) else x, tree
    )


def _signature(leaf: Any) -> Hashable:
    if is_array(leaf):
        return leaf.shape, leaf.dtype
    if isinstance(leaf, (int, float, complex)):
        return type(leaf), repr(leaf)  # 0.0 and -0.0 differ, and 1 and True
    try:
        hash(leaf)
    except TypeError:
        raise ConfigError(
            f"memory_budget: an argument is of type {type(leaf).__name__}, which is neither an "
            "array nor hashable; pass arrays, numbers, strings, or close over it"
        ) from None
    return leaf  # type: ignore[no-any-return]
