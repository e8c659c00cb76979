"""Rewriting of operations on arrays of three axes and more: numbers out, transposes together."""

from __future__ import annotations

import numpy as np

from pullback.explain.derivation.expr import Expr, Rule, power, product
from pullback.explain.derivation.operations import LINEAR, Operation, call, matmul, transposed


def numbers_out(expr: Expr) -> Expr | None:
    """conv(2 x, w) -> 2 conv(x, w), for whatever is linear in each argument."""
    if expr.data.name not in LINEAR:
        return None
    numbers: list[Expr] = []
    rest: list[Expr] = []
    for arg in expr.args:
        inside = arg.args if arg.kind == "product" and not arg.is_scalar else (arg,)
        numbers += [a for a in inside if a.is_scalar and len(inside) > 1]
        rest.append(product(*[a for a in inside if not a.is_scalar or len(inside) == 1]))
    return product(*numbers, call(expr.data, *rest)) if numbers else None


def one_transpose(expr: Expr) -> Expr | None:
    """The transpose of a transpose is one transpose, or none; flipping twice is nothing."""
    (x, *others), operation = expr.args, expr.data
    if others or x.kind != "call" or x.data.name != operation.name:
        return None
    if operation.name == "flip" and x.data.params == operation.params:
        return x.args[0]
    if operation.name != "transpose":
        return None
    axes = tuple(x.data.params["axes"][k] for k in operation.params["axes"])
    return transposed(x.args[0], axes)


def transposed_product(expr: Expr) -> Expr | None:
    """(A B)ᵀ -> Bᵀ Aᵀ, of stacks of matrices."""
    operation, x = expr.data, expr.args[0]
    if not _turns(operation) or x.kind != "call" or x.data.name != "matmul":
        return None
    a, b = x.args
    axes = operation.params["axes"]
    if len(a.shape) != len(b.shape) or len(a.shape) != len(axes):
        return None
    return matmul(transposed(b, axes), transposed(a, axes))


def _turns(operation: Operation) -> bool:
    return operation.name == "transpose" and turns_matrices(operation.params["axes"])


def turns_matrices(axes: tuple[int, ...]) -> bool:
    """Whether `axes` swap the last two: a transpose of each matrix in a stack."""
    return list(axes) == [*np.arange(len(axes))[:-2], len(axes) - 1, len(axes) - 2]


def power_of_broadcast(expr: Expr) -> Expr | None:
    """Powers are taken of what is repeated: 1 ⊘ v repeated is 1 ⊘ (v repeated)."""
    (x, *_) = expr.args or (None,)
    if expr.data.name != "broadcast_to" or x is None or x.kind != "power":
        return None
    return power(call(expr.data, x.args[0]), x.data)


TENSOR_RULES: tuple[Rule, ...] = (
    numbers_out, one_transpose, transposed_product, power_of_broadcast,
)  # fmt: skip
"""The rules of calls, in the order they are tried."""
