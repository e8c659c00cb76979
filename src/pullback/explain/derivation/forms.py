"""What a node of a graph means in matrix language: a form, its operands, and how it is written.

A form may stand for several nodes: `patterns` recognises a softmax or a norm as NumPy code spells
it. `FORMS` is the table by operation; what is not in it keeps its name and is applied as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from pullback.core.graph import Node
from pullback.explain.derivation import expr as e
from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.functions import Function, of_op
from pullback.explain.derivation.operations import (
    broadcast,
    call,
    one_result,
    operation_of,
    sum_of_entries,
)

Build = Callable[..., Expr]
Role = Literal["", "product", "function", "activation", "opaque"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a node is written: `build` makes the expression from those of `operands`.

    `role` says what a reader sees in it: a matrix product, a function of each entry or row, one
    that is a layer's activation, or an operation that is known by its name only.
    """

    operands: tuple[Node, ...]
    build: Build
    role: Role = ""


def aligned(x: Expr, node: Node, shape: tuple[int, ...]) -> Expr:
    """Return x broadcast to `shape` as NumPy does: a vector is a row of a matrix."""
    if node.shape == shape or not shape:
        return x
    if len(shape) > 2:
        return _stretched(x, node, shape)
    if len(shape) == 2 and len(node.shape) == 1:
        x = e.transpose(x)
    rows, columns = e.own_shape(shape)
    if x.shape[0] in (None, 1) and rows not in (None, 1):
        x = e.product(e.ones(rows, x.shape[0]), x)
    if x.shape[1] in (None, 1) and columns not in (None, 1):
        x = e.product(x, e.ones(x.shape[1], columns))
    return x


def _stretched(x: Expr, node: Node, shape: tuple[int, ...]) -> Expr:
    return e.product(x, e.ones(*shape)) if x.is_scalar else broadcast(x, node.shape, shape)


def named(node: Node) -> Form:
    """Return the form of an operation that keeps its name."""
    if node.op is not None and node.op.name == "item":
        (source,), index = node.inputs, node.params["index"]
        return Form(source.inputs, partial(call, one_result(source, index)), "opaque")
    operation = operation_of(node)
    role = NAMED_ROLES.get(operation.name, "opaque")
    return Form(node.inputs, partial(call, operation), role)


def applied(function: Function, x: Node) -> Form:
    """Return the form of a function of each entry."""
    role: Role = "activation" if function.is_activation else "function"
    return Form((x,), lambda arg: e.apply(function, arg), role)


def form_of(node: Node) -> Form:
    """Return the form of a node that is computed."""
    from pullback.explain.derivation.patterns import PATTERNS

    assert node.op is not None
    for recognise in (*PATTERNS.get(node.op.name, ()), FORMS.get(node.op.name)):
        found = recognise(node) if recognise is not None else None
        if found is not None:
            return found
    if node.op.kind == "elementwise" and len(node.inputs) == 1 and node.dtype.kind == "f":
        return applied(of_op(node.op), node.inputs[0])
    return named(node)


def number_of(node: Node) -> Expr | None:
    """Return a constant as a number, or an array of one number; None for any other."""
    value = uniform(node)
    if value is None or len(node.shape) > 2:
        return None
    return e.product(e.number(value), e.ones(*e.own_shape(node.shape)))


def uniform(node: Node) -> float | None:
    """Return the one value of a constant; None where it is none, or has several."""
    if not node.is_constant or np.asarray(node.value).dtype.kind not in "fiu":
        return None
    array = np.asarray(node.value, float)
    return float(array.flat[0]) if array.size and np.all(array == array.flat[0]) else None


# arithmetic


def _two(node: Node, combine: Callable[[Expr, Expr], Expr]) -> Form:
    a, b = node.inputs
    shape = node.shape
    return Form((a, b), lambda x, y: combine(aligned(x, a, shape), aligned(y, b, shape)))


def _times(node: Node, second: Callable[[Expr], Expr]) -> Form:
    """Return x times second(y): numbers in front of arrays, else entry by entry."""
    a, b = node.inputs

    def build(x: Expr, y: Expr) -> Expr:
        y = second(y)
        if x.is_scalar or y.is_scalar:
            one = e.ones(*e.own_shape(node.shape))
            small = max(len(x.shape), len(y.shape)) < len(one.shape) or x.shape == y.shape
            return e.product(x, y, one) if small else e.product(*_wide(x, y, a, b, node))
        return e.hadamard(aligned(x, a, node.shape), aligned(y, b, node.shape))

    return Form((a, b), build)


def _wide(x: Expr, y: Expr, a: Node, b: Node, node: Node) -> tuple[Expr, Expr]:
    if x.is_scalar:
        return x, aligned(y, b, node.shape)
    return aligned(x, a, node.shape), y


def _power(node: Node) -> Form | None:
    base, exponent = node.inputs
    value = uniform(exponent)
    if value is None or node.shape != base.shape:
        return None
    return Form((base,), lambda x: e.power(x, value))


def _constant_power(p: float) -> Callable[[Node], Form]:
    return lambda node: Form(node.inputs, lambda x: e.power(x, p))


def _same(node: Node) -> Form:
    return Form(node.inputs, lambda x: x)


# products, sums and shapes


def _matmul(node: Node) -> Form | None:
    a, b = node.inputs
    ranks = (len(a.shape), len(b.shape))
    builds: dict[tuple[int, int], Build] = {
        (2, 2): e.product,
        (2, 1): e.product,
        (1, 2): lambda x, y: e.product(e.transpose(y), x),
        (1, 1): lambda x, y: e.product(e.transpose(x), y),
    }
    return Form((a, b), builds[ranks], "product") if ranks in builds else None


def _sum(node: Node) -> Form | None:
    (x,), axes = node.inputs, node.params["axis"]
    if len(x.shape) > 2:
        return Form((x,), _sum_of_tensor) if len(axes) == len(x.shape) else None
    if len(axes) == len(x.shape):
        shape = e.own_shape(node.shape)
        return Form((x,), lambda a: e.product(e.total(a), e.ones(*shape)))
    if axes == (1,):
        return Form((x,), lambda a: e.product(a, e.ones(a.shape[1], None)))
    if axes != (0,):
        return None
    if node.params["keepdims"]:
        return Form((x,), lambda a: e.product(e.ones(None, a.shape[0]), a))
    return Form((x,), lambda a: e.product(e.transpose(a), e.ones(a.shape[0], None)))


def _sum_of_tensor(x: Expr) -> Expr:
    """Return the sum of all entries, as a norm where they are squares."""
    c, rest = e.coefficient(x)
    if rest.kind == "power" and rest.data == 2:
        return e.product(e.number(c), e.power(e.scalar_of("norm", rest.args[0]), 2))
    return e.product(e.number(c), sum_of_entries(rest))


def _transpose(node: Node) -> Form | None:
    axes = node.params["axes"]
    if axes == tuple(range(len(axes))):
        return _same(node)
    return Form(node.inputs, e.transpose) if axes == (1, 0) else None


def _reshape(node: Node) -> Form | None:
    """A reshape that adds or drops axes of length 1 turns a vector, or does nothing."""
    (x,) = node.inputs
    old, new = x.shape, node.shape
    if old == new:
        return _same(node)
    if max(len(old), len(new)) > 2 or [n for n in old if n != 1] != [n for n in new if n != 1]:
        return None
    if old == ():
        return Form((x,), lambda a: e.product(a, e.ones(*e.own_shape(new))))
    if new == ():
        return Form((x,), e.total)
    turned = (len(old) == 1 or old[1] == 1) and len(new) == 2 and new[0] == 1 != new[1]
    back = len(old) == 2 and old[0] == 1 != old[1] and (len(new) == 1 or new[1] == 1)
    return Form((x,), e.transpose if turned or back else lambda a: a)


def _getitem(node: Node) -> Form | None:
    x, *arrays = node.inputs
    parts = node.params["index"].parts
    if arrays:
        return _diagonal(node)
    if all(p is None or p is Ellipsis or p == slice(None) or p == 0 for p in parts):
        return _reshape(node) if x.aval.size == node.aval.size else None
    return None


def _diagonal(node: Node) -> Form | None:
    """x[..., arange(n), arange(n)] is the diagonal of a square matrix."""
    x, *arrays = node.inputs
    n = x.shape[0]
    if x.shape != (n, n) or node.shape != (n,) or not _are_places(arrays, n):
        return None
    return Form((x,), e.diagonal)


def _diag(node: Node) -> Form | None:
    """Zeros with x added at (arange(n), arange(n)) are a diagonal matrix."""
    x, *arrays = node.inputs
    n = x.aval.size
    if x.shape != (n,) or node.shape != (n, n) or not _are_places(arrays, n):
        return None
    return Form((x,), e.diag)


def _are_places(arrays: Sequence[Node], n: int) -> bool:
    return len(arrays) == 2 and all(
        a.is_constant and np.array_equal(a.value, np.arange(n)) for a in arrays
    )


def _broadcast(node: Node) -> Form:
    (x,) = node.inputs
    return Form((x,), lambda a: aligned(a, x, node.shape))


def _einsum(node: Node) -> Form | None:
    """A sum over one letter that two matrices share is their product."""
    operands, result = node.params["operands"], node.params["result"]
    if len(operands) == 1 and operands[0] in ("ii", "jj") and not result:
        return Form(node.inputs, lambda x: e.scalar_of("trace", x), "product")
    if len(operands) != 2 or any(len(set(o)) != len(o) or len(o) > 2 for o in operands):
        return None
    first, second = operands
    shared = set(first) & set(second)
    if len(shared) != 1 or set(result) != (set(first) | set(second)) - shared:
        return None

    def build(x: Expr, y: Expr) -> Expr:
        left = x if first[-1] in shared and len(first) == 2 else e.transpose(x)
        right = y if second[0] in shared else e.transpose(y)
        found = e.product(left, right)
        turned = result != "".join(c for c in first + second if c not in shared)
        return e.transpose(found) if turned else found

    return Form(node.inputs, build, "product")


# linear algebra


def _of_matrix(kind: Any) -> Callable[[Node], Form | None]:
    def recognise(node: Node) -> Form | None:
        if len(node.inputs[0].shape) != 2:
            return None
        return Form(node.inputs, lambda x: e.scalar_of(kind, x))

    return recognise


def _inverse(node: Node) -> Form | None:
    return Form(node.inputs, e.inverse) if len(node.shape) == 2 else None


def _solve(node: Node) -> Form | None:
    if any(len(i.shape) != 2 for i in node.inputs):
        return None
    return Form(node.inputs, lambda a, b: e.product(e.inverse(a), b), "product")


def _item(node: Node) -> Form | None:
    (source,), index = node.inputs, node.params["index"]
    if source.op is not None and source.op.name == "slogdet" and index == 1 and node.shape == ():
        return Form(source.inputs, lambda x: e.scalar_of("logdet", x))
    return None


NAMED_ROLES: dict[str, Role] = {
    "conv": "product",
    "correlate": "product",
    "equal": "",
    "greater": "",
    "greater_equal": "",
    "less": "",
    "less_equal": "",
    "not_equal": "",
    "flip": "",
    "matmul": "product",
    "broadcast_to": "",
    "getitem": "",
    "reshape": "",
    "sum": "",
    "transpose": "",
    "where": "",
}
"""What a reader sees in an operation that keeps its name; the others get a line of their own."""


FORMS: dict[str, Callable[[Node], Form | None]] = {
    "add": lambda node: _two(node, e.add),
    "subtract": lambda node: _two(node, e.subtract),
    "multiply": lambda node: _times(node, lambda y: y),
    "chain_product": lambda node: _times(node, lambda y: y),
    "divide": lambda node: _times(node, lambda y: e.power(y, -1)),
    "negative": lambda node: Form(node.inputs, e.negative),
    "positive": _same,
    "astype": _same,
    "square": _constant_power(2),
    "reciprocal": _constant_power(-1),
    "sqrt": _constant_power(0.5),
    "power": _power,
    "matmul": _matmul,
    "sum": _sum,
    "transpose": _transpose,
    "reshape": _reshape,
    "getitem": _getitem,
    "scatter_add": _diag,
    "broadcast_to": _broadcast,
    "einsum": _einsum,
    "det": _of_matrix("det"),
    "inv": _inverse,
    "solve": _solve,
    "item": _item,
}
"""The forms by operation; None where a call of the operation has no matrix form."""
