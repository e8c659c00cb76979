"""Reverse mode: vjp, grad and value_and_grad."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.buffer import unwrap
from pullback.core.graph import Graph
from pullback.core.tape import Tape, backward
from pullback.core.tracer import Tracer
from pullback.core.tracing import trace
from pullback.transform.inputs import (
    argument_positions,
    copied,
    distinct,
    flat_arrays,
    matching_leaves,
    scalar_output,
)
from pullback.transform.memory_budget import within_budget


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return `(out, pullback)`: the value and the map from its cotangent to those of `primals`.

    `primals` are pytrees of floating or complex arrays; `pullback(cotangent)` takes a pytree like
    `out` and returns a tuple with one pytree per primal. With `has_aux` the function returns
    `(out, aux)` and the result is `(out, pullback, aux)`.
    Raises DTypeError for integer or boolean primals, TreeError and ShapeError for a cotangent that
    does not fit.

    >>> import numpy as np, pullback as pb
    >>> out, pullback = pb.vjp(lambda x, y: x * y, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 3., 40.]), array([ 1., 20.]))
    """
    found = pull_back(function, *copied(primals), has_aux=has_aux)
    if has_aux:
        out, pullback, aux = found
        return copied(out), pullback, copied(aux)
    out, pullback = found
    return copied(out), pullback


def pull_back(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return what `vjp` does, for callers that change neither `primals` nor the value after it."""
    leaves, structure = flat_arrays(primals, "primals")
    tape = Tape()
    inputs = [tape.input(leaf) for leaf in leaves]
    nodes = [x.node for x in inputs]
    result = function(*pytree.unflatten(structure, inputs))
    result, aux = result if has_aux else (result, None)
    outputs, out_structure = pytree.flatten(result)
    outputs = [unwrap(out) for out in outputs]
    values = [_lower(tape, out) for out in outputs]
    out_nodes = [_node(tape, out) for out in outputs]

    def pullback(cotangent: Any) -> Any:
        given = matching_leaves(out_structure, cotangent, values, "cotangent")
        table = backward(zip(out_nodes, given, strict=True), keep=nodes)
        return pytree.unflatten(structure, distinct(_gradients(table, nodes, leaves), given))

    out = pytree.unflatten(out_structure, values)
    if has_aux:
        return out, pullback, pytree.map(lambda x: _lower(tape, x), aux)
    return out, pullback


def value_and_grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    memory_budget: int | str | None = None,
) -> Callable[..., Any]:
    """Return a function that gives `(value, gradient)` of the scalar `function`.

    The gradient has the structure, shapes and dtypes of the argument at position `argnums`, or is
    a tuple of such for a sequence of positions. With `has_aux` the function returns
    `(value, aux)`, and the result is `((value, aux), gradient)`.
    With `memory_budget`, bytes or text like "200MB", the function is traced once per signature (so
    without Python control flow on values) and what is needed again is computed again, such that
    no more is alive at a time; see docs/memory.md.
    Raises ShapeError where the value is no scalar, DTypeError for integer arguments, ConfigError
    for a budget that is too small, naming the smallest one found.

    >>> import numpy as np, pullback as pb
    >>> pb.value_and_grad(lambda x: (x**2).sum())(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """
    name = f"grad of {getattr(function, '__name__', 'a function')}"

    def transformed(*args: Any, **kwargs: Any) -> Any:
        positions = argument_positions(argnums, len(args))
        if len(positions) == 1:
            wanted = args[positions[0]]
            label = f"argument {positions[0]} of {name}"
        else:
            wanted = tuple(args[p] for p in positions)
            label = f"arguments {positions} of {name}"
        leaves, structure = flat_arrays(wanted, label)
        tape = Tape()
        inputs = [tape.input(leaf) for leaf in leaves]
        nodes = [x.node for x in inputs]
        traced = pytree.unflatten(structure, inputs)
        full = list(args)
        for p, x in zip(positions, (traced,) if len(positions) == 1 else traced, strict=True):
            full[p] = x
        out = function(*full, **kwargs)
        out, aux = out if has_aux else (out, None)
        out = unwrap(out)
        scalar_output(out, name)
        value = _lower(tape, out)
        seed = (_node(tape, out), np.ones((), value.dtype))
        table = backward([seed], keep=nodes, once=True)
        gradient = pytree.unflatten(structure, distinct(_gradients(table, nodes, leaves)))
        if not isinstance(argnums, int) and len(positions) == 1:
            gradient = (gradient,)
        if has_aux:
            value = (value, pytree.map(lambda x: _lower(tape, x), aux))
        return value, gradient

    functools.update_wrapper(transformed, function, assigned=("__name__", "__doc__"), updated=())
    if memory_budget is not None:
        transformed = within_budget(transformed, argnums, memory_budget)
    return _on_graph(function, transformed)


def grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    memory_budget: int | str | None = None,
) -> Callable[..., Any]:
    """Return the gradient function of a scalar function: reverse mode, one backward pass.

    The gradient has the structure, shapes and dtypes of the argument at `argnums` (a tuple for a
    sequence of positions). With `has_aux` the function returns `(value, aux)` and the result is
    `(gradient, aux)`. The gradient of a Graph is a Graph: symbol-to-symbol.
    For complex arguments the convention is JAX's: the conjugate of the direction of
    steepest ascent.
    With `memory_budget`, bytes or text like "200MB", the function is traced once per signature (so
    without Python control flow on values) and what is needed again is computed again, such that
    no more is alive at a time; see docs/memory.md.
    Raises ShapeError where the value is no scalar, DTypeError for integer arguments, ConfigError
    for a budget that is too small, naming the smallest one found.

    >>> import numpy as np, pullback as pb
    >>> pb.grad(np.tanh)(0.5)
    np.float64(0.7864477329659274)
    >>> pb.grad(lambda w, x: np.sum(w * x), argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    (array([3., 3.]), np.float64(3.0))
    """
    plain = function.__call__ if isinstance(function, Graph) else function
    both = value_and_grad(plain, argnums, has_aux, memory_budget=memory_budget)

    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    functools.update_wrapper(transformed, function, assigned=("__name__", "__doc__"), updated=())
    return _on_graph(function, transformed)


def _on_graph(function: Any, transformed: Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(function, Graph):
        return transformed
    avals = pytree.unflatten(function.in_tree, [n.aval for n in function.arguments])
    graph = trace(transformed, *avals)
    for node, original in zip(graph.arguments, function.arguments, strict=True):
        node.name = original.name
    graph.name = f"grad_{function.name}"
    return graph


def _node(tape: Tape, x: Any) -> Any:
    return x.node if isinstance(x, Tracer) and x.context is tape else None


def _lower(tape: Tape, x: Any) -> Any:
    """Return `x` without the tape: an array, or a tracer of a lower level."""
    x = unwrap(x)
    if isinstance(x, Tracer) and x.context is tape:
        x.refresh()
        return x.value
    return np.asarray(x)[()] if isinstance(x, (float, complex)) and not hasattr(x, "dtype") else x


def _gradients(table: Any, nodes: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
    pairs = zip(nodes, leaves, strict=True)
    return [table[node] if node in table else np.zeros_like(leaf) for node, leaf in pairs]
