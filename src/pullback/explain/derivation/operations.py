"""Operations that matrices have no notation for: they keep their name, or a sign of their own.

Their transposed derivatives are found by tracing their rules: where the rule is a formula of
operations that can be read, such as a convolution for a convolution, it is written so; where it is
not, `vjp[op, x](δ)` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.errors import PullbackError
from pullback.core.graph import Node
from pullback.core.op import OPS, Op
from pullback.core.tracing import trace
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.expr import Expr
from pullback.transform.reverse import vjp

Adjoint = Callable[[int, Expr, Sequence[Expr]], Expr | None]

READABLE = {
    "broadcast_to", "conv", "conv_input", "conv_kernel", "correlate", "flip", "matmul", "pad",
    "reshape", "sum", "transpose", "where",
}  # fmt: skip
"""Operations that transposed derivatives may be written with."""
LINEAR = READABLE - {"where"}
"""Those that are linear in each argument."""
LONGEST = 3
"""A transposed derivative is written out with at most so many operations."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operation on arrays like `avals`, as it has them in the graph, with result `result`.

    `bprop(args, cotangent)` gives the cotangents of all arguments, None where they are zero, and
    is None itself for a piecewise constant operation. `adjoint(position, cotangent, args)` writes
    the cotangent of one argument, or gives None where there is no formula to read.
    """

    name: str
    forward: Callable[..., Any]
    bprop: Callable[[Sequence[Any], Any], Sequence[Any]] | None
    avals: Sequence[Aval]
    result: tuple[int, ...]
    params: Mapping[str, Any]
    adjoint: Adjoint

    def value(self, *args: Any) -> Any:
        """Return the result."""
        return np.asarray(self.forward(*self._shaped(args)))

    def vjp(self, position: int, cotangent: Any, *args: Any) -> Any:
        """Return the cotangent of the argument at `position`."""
        assert self.bprop is not None
        found = self.bprop(self._shaped(args), cotangent.reshape(self.result)[()])[position]
        return np.zeros_like(args[position]) if found is None else np.asarray(found)

    def _shaped(self, args: Sequence[Any]) -> list[Any]:
        """Return `args` as the graph has them; whole numbers are whole again."""
        shaped = [a.reshape(v.shape)[()] for a, v in zip(args, self.avals, strict=True)]
        return [
            a.astype(v.dtype) if v.dtype.kind in "iub" else a
            for a, v in zip(shaped, self.avals, strict=True)
        ]


def call(operation: Operation, *args: Expr) -> Expr:
    """Return the expression of `operation` applied to `args`."""
    return e.make("call", args, e.own_shape(operation.result), operation)


def constant(name: str, function: Callable[..., Any], avals: Any, result: Any) -> Operation:
    """Return an operation without derivative."""
    return Operation(name, function, None, avals, result, {}, no_formula)


def no_formula(position: int, cotangent: Expr, args: Sequence[Expr]) -> Expr | None:
    """Say that a transposed derivative has no formula to read."""
    return None


def operation_of(node: Node) -> Operation:
    """Return the operation that computes `node`, which has one result."""
    op, params = node.op, node.params
    assert op is not None
    return Operation(
        op.name,
        partial(op, **params),
        partial(_bprop, op, params) if _is_smooth(op) else None,
        [i.aval for i in node.inputs],
        node.shape,
        params,
        partial(_formula, node.aval, op, params, [i.aval for i in node.inputs]),
    )


def one_result(node: Node, index: int) -> Operation:
    """Return the operation that gives the result at `index` of several that `node` has."""
    op, params = node.op, node.params
    assert op is not None

    def forward(*args: Any) -> Any:
        return op(*args, **params)[index]

    def bprop(args: Sequence[Any], cotangent: Any) -> Sequence[Any]:
        zeros = [np.zeros_like(out) for out in op(*args, **params)]
        return _bprop(op, params, args, (*zeros[:index], cotangent, *zeros[index + 1 :]))

    avals = [i.aval for i in node.inputs]
    result = node.aval[index].shape
    rule = bprop if _is_smooth(op) else None
    return Operation(op.name, forward, rule, avals, result, params, no_formula)


def _apply(name: str, args: Sequence[Expr], **params: Any) -> Expr:
    """Return the operation called `name` on arrays as they are."""
    avals = [Aval([n or 1 for n in a.shape], float) for a in args]
    node = Node(OPS[name].infer(*avals, **params), OPS[name], tuple(map(Node, avals)), params)
    return call(operation_of(node), *args)


def broadcast(x: Expr, old: tuple[int, ...], new: tuple[int, ...]) -> Expr:
    """Return x, of shape `old`, repeated along the axes that `new` has besides."""
    node = Node(Aval(new, float), OPS["broadcast_to"], (Node(Aval(old, float)),), {"shape": new})
    return call(operation_of(node), x)


def transposed(x: Expr, axes: tuple[int, ...]) -> Expr:
    """Return x with its axes in another order."""
    return x if axes == tuple(range(len(axes))) else _apply("transpose", (x,), axes=axes)


def matmul(x: Expr, y: Expr) -> Expr:
    """Return the products of the matrices in two stacks."""
    return _apply("matmul", (x, y))


def sum_of_rows(x: Expr) -> Expr:
    """Return the sums over the last axis of an array of three axes or more, repeated along it."""
    sums = _apply("sum", (x,), axis=(len(x.shape) - 1,), keepdims=True)
    return _apply("broadcast_to", (sums,), shape=x.shape)


def sum_of_entries(x: Expr) -> Expr:
    """Return the sum of the entries of an array of three axes or more."""
    return _apply("sum", (x,), axis=tuple(range(len(x.shape))), keepdims=False)


def _is_smooth(op: Op) -> bool:
    return any(rule is not None for rule in (op.vjp, op.vjp_all, op.jvp))


def _bprop(op: Op, params: Mapping[str, Any], args: Sequence[Any], cotangent: Any) -> Sequence[Any]:
    """Return the cotangents of `args`; the rule of a custom function is found by running it."""
    if op.vjp is not None or op.vjp_all is not None:
        return op.bprop(args, cotangent, **params)
    return vjp(lambda *arrays: op(*arrays, **params), *args)[1](cotangent)  # type: ignore[no-any-return]


def _formula(
    result: Aval, op: Op, params: Any, avals: Any, position: int, cotangent: Expr, args: Any
) -> Expr | None:
    """Write the rule of `op` for one argument, by tracing it."""

    def rule(cotangent: Any, *args: Any) -> Any:
        return op.bprop(args, cotangent, **params)[position]

    try:
        graph = trace(rule, result, *avals)
    except PullbackError:  # the rule looks at values
        return None
    if not graph.results:
        return e.zero(args[position].shape)
    values = dict(zip(graph.arguments, (cotangent, *args), strict=True))
    found = _written(graph.results[0], values)
    if found is None:
        return None
    known = {p for x in (cotangent, *args) for p in e.walk(x)}
    calls = [p.data.name for p in e.walk(found) if p.kind == "call" and p not in known]
    return found if len(calls) <= LONGEST and READABLE.issuperset(calls) else None


def _written(node: Node, values: dict[Node, Expr]) -> Expr | None:
    from pullback.explain.derivation.forms import form_of, number_of

    if node not in values:
        if node.op is None:
            known = number_of(node)
            if known is None:
                return None
            values[node] = known
        else:
            form = form_of(node)
            operands = [_written(i, values) for i in form.operands]
            if any(o is None for o in operands):
                return None
            values[node] = form.build(*operands)
    return values[node]
