"""How a cotangent passes back through each kind of expression, in matrix language.

The cotangent of x has the shape of x. (M. Giles, Collected matrix derivative results for forward
and reverse mode algorithmic differentiation, 2008.)
"""

from __future__ import annotations

from collections.abc import Callable, Set

from pullback.explain.derivation.expr import (
    Expr,
    add,
    diag,
    diagonal,
    eye,
    hadamard,
    inner,
    inverse,
    make,
    number,
    ones,
    power,
    product,
    scalar_of,
    softmax,
    subtract,
    transpose,
    zero,
)
from pullback.explain.derivation.functions import slope_at
from pullback.explain.derivation.operations import sum_of_rows

Pullback = Callable[[Expr, Expr], tuple[Expr, ...]]


def pull_back(expr: Expr, cotangent: Expr, wanted: Set[Expr]) -> dict[Expr, Expr]:
    """Return the cotangents of the `wanted` symbols in `expr`, whose own is `cotangent`."""
    found: dict[Expr, Expr] = {}
    _pull(expr, cotangent, wanted, found)
    return found


def is_moved_by(expr: Expr, wanted: Set[Expr]) -> bool:
    """Whether `expr` depends smoothly on one of the symbols in `wanted`."""
    if expr.kind == "call" and expr.data.bprop is None:
        return False
    return expr in wanted or any(is_moved_by(arg, wanted) for arg in expr.args)


def _pull(expr: Expr, cotangent: Expr, wanted: Set[Expr], found: dict[Expr, Expr]) -> None:
    if expr in wanted:
        found[expr] = add(found[expr], cotangent) if expr in found else cotangent
    elif is_moved_by(expr, wanted):
        for arg, part in zip(expr.args, PULLBACKS[expr.kind](expr, cotangent), strict=True):
            _pull(arg, part, wanted, found)


def _product(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    """Y = s L X R: the cotangent of X is s Lᵀ G Rᵀ, that of s is tr(Gᵀ L X R)."""
    numbers = [f for f in expr.args if f.is_scalar]
    chain = [f for f in expr.args if not f.is_scalar]
    found = []
    for k, f in enumerate(expr.args):
        if f.is_scalar:
            others = [s for s in numbers if s is not f]
            found.append(product(*others, inner(product(*chain), g) if chain else g))
        else:
            at = k - len(numbers)
            left = [transpose(x) for x in reversed(chain[:at])]
            right = [transpose(x) for x in reversed(chain[at + 1 :])]
            found.append(product(*numbers, *left, g, *right))
    return tuple(found)


def _hadamard(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    return tuple(
        hadamard(g, *[f for j, f in enumerate(expr.args) if j != k]) for k in range(len(expr.args))
    )


def _apply(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    return (hadamard(g, slope_at(expr.data, expr.args[0])),)


def _power(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    (x,), p = expr.args, expr.data
    return (hadamard(product(number(p), g), power(x, p - 1)),)


def _inverse(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    turned = transpose(inverse(expr.args[0]))
    return (product(number(-1), turned, g, turned),)


def _logdet(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    return (product(g, transpose(inverse(expr.args[0]))),)


def _trace(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    rows = expr.args[0].shape[0]
    assert rows is not None
    return (product(g, eye(rows)),)


def _norm(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    return (product(g, power(expr, -1), expr.args[0]),)


def _softmax(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    """P = softmax(Z): P ∘ (G - (P ∘ G) 1 1ᵀ), and p ∘ g - (pᵀ g) p for a vector."""
    p, columns = softmax(expr.args[0]), expr.shape[1]
    if columns is None:
        return (subtract(hadamard(p, g), product(product(transpose(p), g), p)),)
    weighted = hadamard(p, g)
    if len(expr.shape) > 2:
        sums = sum_of_rows(weighted)
    else:
        sums = product(weighted, ones(columns, None), ones(None, columns))
    return (hadamard(p, subtract(g, sums)),)


def _logsumexp(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    p = softmax(expr.args[0])
    return (product(g if expr.is_scalar else diag(g), p),)


def _opaque(expr: Expr, g: Expr) -> tuple[Expr, ...]:
    """What has no matrix form: the rule of the operation, or the name of its transpose."""
    if expr.data.bprop is None:
        return tuple(zero(arg.shape) for arg in expr.args)
    found = []
    for k, arg in enumerate(expr.args):
        written = expr.data.adjoint(k, g, expr.args) if arg.kind != "number" else None
        found.append(written or make("vjp", (g, *expr.args), arg.shape, (expr.data, k)))
    return tuple(found)


PULLBACKS: dict[str, Pullback] = {
    "sum": lambda expr, g: (g,) * len(expr.args),
    "product": _product,
    "transpose": lambda expr, g: (transpose(g),),
    "hadamard": _hadamard,
    "apply": _apply,
    "power": _power,
    "inverse": _inverse,
    "det": lambda expr, g: _logdet(expr, product(g, scalar_of("det", expr.args[0]))),
    "logdet": _logdet,
    "trace": _trace,
    "norm": _norm,
    "diag": lambda expr, g: (diagonal(g),),
    "diagonal": lambda expr, g: (diag(g),),
    "softmax": _softmax,
    "logsumexp": _logsumexp,
    "kron": _opaque,
    "call": _opaque,
}
"""The rules by kind: from the expression and its cotangent to those of its arguments."""
