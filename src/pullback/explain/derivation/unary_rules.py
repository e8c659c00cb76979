"""Rules of the first phase for what has one argument: transposes, powers, inverses, traces, norms.

A rule looks at one expression, whose argument is canonical already, and gives an equal one or None.
"""

from __future__ import annotations

from pullback.explain.derivation.expr import (
    Expr,
    Rule,
    add,
    coefficient,
    diag,
    diagonal,
    eye,
    hadamard,
    inverse,
    number,
    ones,
    power,
    product,
    rebuilt,
    scalar_of,
    total,
    transpose,
    transposes,
)


def pushed_transpose(expr: Expr) -> Expr | None:
    """(A B)ᵀ -> Bᵀ Aᵀ, (A + B)ᵀ -> Aᵀ + Bᵀ, Aᵀᵀ -> A."""
    (x,) = expr.args
    if x.is_scalar or x.kind in ("eye", "diag"):
        return x
    if x.kind in ("ones", "zero"):
        return Expr(x.kind, (), expr.shape)
    if x.kind == "transpose":
        return x.args[0]
    if x.kind == "sum":
        return add(*map(transpose, x.args))
    if x.kind == "product":
        return product(*map(transpose, reversed(x.args)))
    if x.kind == "hadamard":
        return hadamard(*map(transpose, x.args))
    if x.kind == "power":
        return power(transpose(x.args[0]), x.data)
    return None


def plain_power(expr: Expr) -> Expr | None:
    """x^1 -> x, x^0 -> 1, (x^2)^3 -> x^6, (2 x)^3 -> 8 x^3; ‖x‖ is never negative."""
    (x,), p = expr.args, expr.data
    if p == 1:
        return x
    if p == 0 or x.kind == "ones":
        return ones(*expr.shape)
    if x.kind == "number" and (x.data > 0 or (p == int(p) and x.data)):
        return number(x.data**p)
    if x.kind == "power" and (p == int(p) or x.args[0].kind == "norm"):
        return power(x.args[0], x.data * p)
    c, rest = coefficient(x)
    if c != 1 and x.kind != "number" and (c > 0 or p == int(p)):
        return product(number(c**p), power(rest, p))
    return None


def plain_inverse(expr: Expr) -> Expr | None:
    """A⁻¹⁻¹ -> A, (Aᵀ)⁻¹ -> (A⁻¹)ᵀ, (c A)⁻¹ -> c⁻¹ A⁻¹, diag(v)⁻¹ -> diag(1 ⊘ v)."""
    (x,) = expr.args
    if x.kind == "inverse":
        return x.args[0]
    if x.kind == "eye":
        return x
    if x.kind == "transpose":
        return transpose(inverse(x.args[0]))
    if x.kind == "diag":
        return diag(power(x.args[0], -1))
    numbers = [a for a in x.args if a.is_scalar] if x.kind == "product" else []
    if numbers:
        rest = product(*[a for a in x.args if not a.is_scalar])
        return product(*[power(a, -1) for a in numbers], inverse(rest))
    return None


def of_transpose(expr: Expr) -> Expr | None:
    """det Aᵀ -> det A, tr Aᵀ -> tr A, ‖Aᵀ‖ -> ‖A‖."""
    (x,) = expr.args
    return rebuilt(expr, (x.args[0],)) if x.kind == "transpose" else None


def plain_trace(expr: Expr) -> Expr | None:
    """tr(c A + B) -> c tr A + tr B, tr(u vᵀ) -> vᵀ u, tr(Aᵀ A) -> ‖A‖², tr(A ⊗ B) -> tr A tr B."""
    (x,) = expr.args
    if x.kind in ("eye", "ones"):
        return number(x.shape[0] or 1)
    if x.kind == "zero":
        return number(0)
    if x.kind == "diag":
        return total(x.args[0])
    if x.kind == "sum":
        return add(*[scalar_of("trace", term) for term in x.args])
    if x.kind == "kron":
        return product(*[scalar_of("trace", factor) for factor in x.args])
    if x.kind != "product":
        return None
    numbers = [a for a in x.args if a.is_scalar]
    chain = [a for a in x.args if not a.is_scalar]
    for k, f in enumerate(chain):
        if f.shape[0] is None:
            return product(*numbers, product(*chain[k:], *chain[:k]))
    if numbers:
        return product(*numbers, scalar_of("trace", product(*chain)))
    half, odd = divmod(len(chain), 2)
    for k in range(len(chain)) if not odd else ():
        turned = [*chain[k:], *chain[:k]]
        right = product(*turned[half:])
        if transpose(product(*turned[:half])) == right:
            return power(scalar_of("norm", right), 2)
    return None


def plain_norm(expr: Expr) -> Expr | None:
    """‖c x‖ -> |c| ‖x‖, ‖Aᵀ + Bᵀ‖ -> ‖A + B‖."""
    c, x = coefficient(expr.args[0])
    if c != 1:
        return product(number(abs(c)), scalar_of("norm", x))
    turned = transpose(x) if len(x.shape) == 2 else x
    return scalar_of("norm", turned) if transposes(turned) < transposes(x) else None


def plain_diag(expr: Expr) -> Expr | None:
    """diag(1) -> I, diag(2 v) -> 2 diag(v)."""
    (x,) = expr.args
    if x.kind == "ones" and x.shape[0]:
        return eye(x.shape[0])
    numbers = [a for a in x.args if a.is_scalar] if x.kind == "product" else []
    if numbers:
        return product(*numbers, diag(product(*[a for a in x.args if not a.is_scalar])))
    return None


def plain_diagonal(expr: Expr) -> Expr | None:
    """diag(diag(v)) -> v, diag(2 A) -> 2 diag(A), diag(I) -> 1."""
    (x,) = expr.args
    if x.kind == "diag":
        return x.args[0]
    if x.kind == "eye":
        return ones(*expr.shape)
    c, rest = coefficient(x)
    return product(number(c), diagonal(rest)) if c != 1 else None


UNARY_RULES: dict[str, tuple[Rule, ...]] = {
    "transpose": (pushed_transpose,),
    "power": (plain_power,),
    "inverse": (plain_inverse,),
    "det": (of_transpose,),
    "logdet": (of_transpose,),
    "trace": (of_transpose, plain_trace),
    "norm": (plain_norm,),
    "diag": (plain_diag,),
    "diagonal": (of_transpose, plain_diagonal),
}
"""The rules by kind, in the order they are tried."""
