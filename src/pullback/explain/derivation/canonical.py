"""First phase of rewriting: every expression in canonical form as it is made.

A rule looks at one expression, whose arguments are canonical already, and gives an equal one or
None. A product is canonical as (number, numbers' expressions, chain of matrices); sums, products
and products entry by entry are flat; transposes stand at the leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pullback.explain.derivation.expr import (
    Expr,
    Rule,
    add,
    coefficient,
    diag,
    eye,
    hadamard,
    inverse,
    number,
    ones,
    power,
    product,
    scalar_of,
    total,
    transpose,
    zero,
)
from pullback.explain.derivation.unary_rules import UNARY_RULES


def canonical(expr: Expr) -> Expr:
    """Return `expr`, the arguments of which are canonical, in canonical form."""
    from pullback.explain.derivation.tensor_rules import TENSOR_RULES

    for rule in TENSOR_RULES if expr.kind == "call" else RULES.get(expr.kind, ()):
        found = rule(expr)
        if found is not None:
            return found
    return expr


# sums


def flat_sum(expr: Expr) -> Expr | None:
    """(a + b) + c -> a + b + c."""
    if any(t.kind == "sum" for t in expr.args):
        return add(*[u for t in expr.args for u in (t.args if t.kind == "sum" else (t,))])
    return None


def like_terms(expr: Expr) -> Expr | None:
    """x + 2 x -> 3 x, x - x -> 0, x + 0 -> x."""
    found: dict[Expr, float] = {}
    for term in expr.args:
        if term.kind != "zero":
            c, x = coefficient(term)
            found[x] = found.get(x, 0.0) + c
    terms = [product(number(c), x) for x, c in found.items() if c != 0]
    if len(terms) == len(expr.args) > 1:
        return None
    if not terms:
        return number(0) if expr.is_scalar else zero(expr.shape)
    return terms[0] if len(terms) == 1 else add(*terms)


# products


def flat_product(expr: Expr) -> Expr | None:
    """(A B) C -> A B C; a row times a column stays a number of its own."""

    def parts(f: Expr) -> Sequence[Expr]:
        inside = f.kind == "product" and (not f.is_scalar or all(a.is_scalar for a in f.args))
        return f.args if inside else (f,)

    flat = [p for f in expr.args for p in parts(f)]
    return product(*flat) if len(flat) != len(expr.args) else None


def no_product(expr: Expr) -> Expr | None:
    """A 0 -> 0, and the product of one factor is the factor."""
    if any(f.kind == "zero" or (f.kind == "number" and f.data == 0) for f in expr.args):
        return number(0) if expr.is_scalar else zero(expr.shape)
    return expr.args[0] if len(expr.args) == 1 else None


def numbers_first(expr: Expr) -> Expr | None:
    """A 2 s B 3 -> 6 s A B, s s -> s^2, s s^-1 -> 1, 1 A -> A."""
    value, powers, chain = 1.0, dict[Expr, float](), list[Expr]()
    for f in expr.args:
        if f.kind == "number":
            value *= f.data
        elif f.is_scalar:
            base, exponent = (f.args[0], f.data) if f.kind == "power" else (f, 1.0)
            powers[base] = powers.get(base, 0.0) + exponent
        else:
            chain.append(f)
    scalars = [power(base, p) for base, p in powers.items() if p != 0]
    front = [number(value)] if value != 1 or not (scalars or chain) else []
    factors = (*front, *scalars, *chain)
    return product(*factors) if factors != expr.args else None


def no_eye(expr: Expr) -> Expr | None:
    """A I -> A."""
    if sum(not f.is_scalar for f in expr.args) > 1:
        kept = [f for f in expr.args if f.kind != "eye"]
        if not any(not f.is_scalar for f in kept):
            kept.append(next(f for f in expr.args if f.kind == "eye"))
        return product(*kept) if len(kept) < len(expr.args) else None
    return None


def _spliced(expr: Expr, at: int, count: int, *new: Expr) -> Expr:
    return product(*expr.args[:at], *new, *expr.args[at + count :])


def cancelled(expr: Expr) -> Expr | None:
    """A A⁻¹ -> I, also transposed."""
    for k, (a, b) in enumerate(pairwise(expr.args)):
        if not a.is_scalar and a.shape == b.shape and inverse(a) == b and a.shape[0] is not None:
            return _spliced(expr, k, 2, eye(a.shape[0]))
    return None


def number_inside(expr: Expr) -> Expr | None:
    """u vᵀ A w zᵀ -> (vᵀ A w) u zᵀ, a number of its own."""
    if expr.is_scalar and not any(f.is_scalar for f in expr.args):
        starts = [k for k, f in enumerate(expr.args) if f.shape[0] is None]
        if len(starts) == 1:
            return None
    start = None
    for k, f in enumerate(expr.args):
        if f.is_scalar or len(f.shape) != 2:
            continue
        if f.shape[0] is None:
            start = k
        if f.shape[1] is None and start is not None:
            inner = product(*expr.args[start : k + 1])
            return _spliced(expr, start, k + 1 - start, inner)
    return None


def row_times_column(expr: Expr) -> Expr | None:
    """xᵀ x -> ‖x‖², 1ᵀ 1 -> n, 1ᵀ (a ∘ b) -> aᵀ b, 1ᵀ diag(M) -> tr M."""
    if not expr.is_scalar or len(expr.args) != 2 or expr.args[0].is_scalar:
        return None
    row, column = expr.args
    if row.kind == "ones" and column.kind == "ones" and row.shape[1] is not None:
        return number(row.shape[1])
    if transpose(row) == column:
        return power(scalar_of("norm", column), 2)
    if column.kind == "ones":
        row, column = transpose(column), transpose(row)
    if row.kind == "ones":
        if column.kind == "power" and column.data == 2:
            return power(scalar_of("norm", column.args[0]), 2)
        if column.kind == "hadamard" and len(column.args) == 2:
            return product(transpose(column.args[0]), column.args[1])
        if column.kind == "diagonal":
            return scalar_of("trace", column.args[0])
        if column.kind == "sum":
            return add(*[product(row, term) for term in column.args])
    return None


def sum_of_entries(expr: Expr) -> Expr | None:
    """1ᵀ (A ∘ B) 1 -> tr(Aᵀ B), 1ᵀ (A ∘ A) 1 -> ‖A‖², 1ᵀ (A + B) 1 -> 1ᵀ A 1 + 1ᵀ B 1."""
    if not expr.is_scalar or len(expr.args) != 3:
        return None
    row, x, column = expr.args
    if row.kind != "ones" or column.kind != "ones":
        return None
    if x.kind == "power" and x.data == 2:
        return power(scalar_of("norm", x.args[0]), 2)
    if x.kind == "hadamard" and len(x.args) == 2:
        return scalar_of("trace", product(transpose(x.args[0]), x.args[1]))
    if x.kind == "sum":
        return add(*[total(term) for term in x.args])
    if x.kind == "ones" and x.shape[0] and x.shape[1]:
        return number(x.shape[0] * x.shape[1])
    return None


def diag_times_vector(expr: Expr) -> Expr | None:
    """diag(u) v -> u ∘ v, uᵀ diag(v) -> (u ∘ v)ᵀ."""
    for k, (a, b) in enumerate(pairwise(expr.args)):
        if a.kind == "diag" and b.shape[1] is None:
            return _spliced(expr, k, 2, hadamard(a.args[0], b))
        if b.kind == "diag" and a.shape[0] is None and not a.is_scalar:
            return _spliced(expr, k, 2, transpose(hadamard(transpose(a), b.args[0])))
    return None


def ones_times_ones(expr: Expr) -> Expr | None:
    """1 1ᵀ -> the matrix of ones, where nothing else is in the product; of matrices n times it."""
    chain = [f for f in expr.args if not f.is_scalar]
    if [f.kind for f in chain] != ["ones", "ones"] or expr.is_scalar:
        return None
    numbers = [f for f in expr.args if f.is_scalar]
    return product(*numbers, number(chain[0].shape[1] or 1), ones(*expr.shape))


# products entry by entry


def flat_hadamard(expr: Expr) -> Expr | None:
    """(A ∘ B) ∘ C -> A ∘ B ∘ C; of numbers it is the product."""
    if expr.is_scalar:
        return product(*expr.args)
    if any(f.kind == "hadamard" for f in expr.args):
        parts = [p for f in expr.args for p in (f.args if f.kind == "hadamard" else (f,))]
        return hadamard(*parts)
    return None


def numbers_out(expr: Expr) -> Expr | None:
    """(2 s A) ∘ B -> 2 s (A ∘ B)."""
    numbers: list[Expr] = []
    rest: list[Expr] = []
    for f in expr.args:
        if f.kind == "product":
            inside = [a for a in f.args if a.is_scalar]
            numbers += inside
            rest.append(product(*[a for a in f.args if not a.is_scalar]) if inside else f)
        else:
            rest.append(f)
    return product(*numbers, hadamard(*rest)) if numbers else None


def entry_powers(expr: Expr) -> Expr | None:
    """A ∘ 1 -> A, A ∘ A -> A^2 entry by entry, A ∘ 0 -> 0."""
    if any(f.kind == "zero" for f in expr.args):
        return zero(expr.shape)
    powers: dict[Expr, float] = {}
    for f in expr.args:
        base, exponent = (f.args[0], f.data) if f.kind == "power" else (f, 1.0)
        if base.kind != "ones":
            powers[base] = powers.get(base, 0.0) + exponent
    factors = [power(base, p) for base, p in powers.items() if p != 0]
    if len(factors) == 1:
        return factors[0]
    if not factors:
        return ones(*expr.shape)
    return hadamard(*factors) if len(factors) < len(expr.args) else None


def repeated_rows(expr: Expr) -> Expr | None:
    """(u 1ᵀ) ∘ M -> diag(u) M, (1 vᵀ) ∘ M -> M diag(v)."""
    for k, f in enumerate(expr.args):
        if f.kind != "product" or len(f.args) < 2:
            continue
        rest = hadamard(*expr.args[:k], *expr.args[k + 1 :])
        if f.args[-1].kind == "ones" and f.args[-1].shape[0] is None:
            return product(diag(product(*f.args[:-1])), rest)
        if f.args[0].kind == "ones" and f.args[0].shape[1] is None:
            return product(rest, diag(transpose(product(*f.args[1:]))))
    return None


RULES: dict[str, tuple[Rule, ...]] = {
    "sum": (flat_sum, like_terms),
    "product": (
        flat_product, no_product, numbers_first, no_eye, cancelled, number_inside,
        row_times_column, sum_of_entries, diag_times_vector, ones_times_ones,
    ),
    "hadamard": (flat_hadamard, numbers_out, entry_powers, repeated_rows),
    **UNARY_RULES,
}  # fmt: skip
"""The rules by the kind of expression they look at, in the order they are tried."""
