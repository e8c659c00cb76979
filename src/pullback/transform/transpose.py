"""The transpose of a linear function: linear_transpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of, is_differentiable
from pullback.core.errors import DTypeError, NotDifferentiableError
from pullback.core.graph import Graph, Node
from pullback.core.tape import item
from pullback.core.tracer import Tracer
from pullback.core.tracing import trace
from pullback.transform.reverse import vjp


def linear_transpose(function: Callable[..., Any], *primals: Any) -> Callable[[Any], Any]:
    """Return the transpose of a linear `function`: the map of cotangents u -> A^T u.

    `primals` are pytrees of arrays or of `Aval`s; only their shapes and dtypes count. The result
    takes a cotangent like the value of `function`, and gives a tuple with one pytree per primal.
    The function is traced, and it is checked that each operation is linear in what moves.
    Raises NotDifferentiableError naming the operation that is not, or where f(0) is not 0;
    DTypeError for integer primals.

    >>> import numpy as np, pullback as pb
    >>> transpose = pb.linear_transpose(lambda x: np.array([[1.0, 2.0]]) @ x, pb.Aval((2,), "f8"))
    >>> transpose(np.array([10.0]))
    (array([10., 20.]),)
    """
    for path, leaf in zip(pytree.paths(primals), pytree.leaves(primals), strict=True):
        if not is_differentiable(aval_of(leaf).dtype):
            raise DTypeError(
                f"primals{path.removeprefix('*')}: expected a floating or complex dtype, got "
                f"{aval_of(leaf).dtype}"
            )
    graph = trace(function, *primals)
    check_linear(graph, graph.arguments, "linear_transpose")
    origin = pytree.map(lambda x: np.zeros(aval_of(x).shape, aval_of(x).dtype), primals)
    at_origin, pullback = vjp(function, *origin)
    check_zero(at_origin, "linear_transpose")
    return pullback  # type: ignore[no-any-return]


def check_linear(graph: Graph, arguments: Iterable[Node], caller: str) -> None:
    """Raise unless each operation of `graph` is affine in what depends on `arguments`."""
    moving = set(arguments)
    for node in graph.nodes:
        if node.op is None or not any(n in moving for n in node.inputs):
            continue
        if not _is_linear(node, moving):
            raise NotDifferentiableError(
                f"{caller}: {node.op.name} is not linear in the arguments it is given "
                f"({', '.join(str(n.aval) for n in node.inputs)}). Make the others constants, "
                "e.g. by closing over them, or use pb.vjp for the derivative at a point."
            )
        moving.add(node)


def check_zero(at_origin: Any, caller: str) -> None:
    """Raise if a function's value at 0, as far as it is known, is not 0."""
    for out in pytree.leaves(at_origin):
        if not isinstance(out, Tracer) and np.any(out):
            raise NotDifferentiableError(
                f"{caller}: the function is not linear, since its value at 0 is not 0. "
                "Subtract its constant part, f(x) - f(0), or use pb.vjp."
            )


def _is_linear(node: Node, moving: set[Node]) -> bool:
    """Whether the tangent of `node` is free of the values that move: then it is affine in them."""
    op, params = node.op, node.params
    if op is item:
        return True
    if op is None or op.jvp is None:
        return False
    jvp = op.jvp
    places = [i for i, n in enumerate(node.inputs) if n in moving]

    def tangent(values: Any, tangents: Any) -> Any:
        full_tangents = [None] * len(values)
        for i, t in zip(places, tangents, strict=True):
            full_tangents[i] = t
        full = [n.value if v is None else v for v, n in zip(values, node.inputs, strict=True)]
        return jvp(full_tangents, op(*full, **params), full, params)

    values = [None if n.is_constant else n.aval for n in node.inputs]
    rule = trace(tangent, values, [node.inputs[i].aval for i in places])
    owners = [i for i, v in enumerate(values) if v is not None]
    primals = [rule.arguments[owners.index(i)] for i in places]
    return not any(rule.consumers(primal) for primal in primals)
