"""Second phase of rewriting: the shortest form, as a textbook prints it.

Each rule gives an equal expression or None; `compact` takes what is shorter to read.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pullback.explain.derivation.expr import (
    Expr,
    Rule,
    add,
    coefficient,
    inverse,
    number,
    product,
    rebuilt,
    size,
    transpose,
)


def compact(expr: Expr) -> Expr:
    """Return `expr` rewritten by the rules from the leaves on, wherever that makes it no longer."""
    expr = rebuilt(expr, tuple(map(compact, expr.args)))
    for rule in RULES.get(expr.kind, ()):
        found = rule(expr)
        if found is not None and size(found) <= size(expr):
            return compact(found)
    return expr


def common_right_factor(expr: Expr) -> Expr | None:
    """A x + B x -> (A + B) x."""
    parts = _chains(expr)
    last = parts[0][1][-1] if parts[0][1] else None
    if last is None or any(len(chain) < 2 or chain[-1] != last for _, chain in parts):
        return None
    return product(add(*[product(*s, *chain[:-1]) for s, chain in parts]), last)


def common_left_factor(expr: Expr) -> Expr | None:
    """A B + A C -> A (B + C)."""
    parts = _chains(expr)
    first = parts[0][1][0] if parts[0][1] else None
    if first is None or any(len(chain) < 2 or chain[0] != first for _, chain in parts):
        return None
    return product(first, add(*[product(*s, *chain[1:]) for s, chain in parts]))


def common_factor_of_two(expr: Expr) -> Expr | None:
    """A x + c + B x -> (A + B) x + c, where both terms have the same numbers in front."""
    parts = _chains(expr)
    for (i, (s, a)), (j, (t, b)) in itertools.combinations(enumerate(parts), 2):
        if len(expr.args) > 2 and len(a) == len(b) == 2 and a[-1] == b[-1] and s == t:
            both = product(*s, add(a[0], b[0]), a[-1])
            return add(*expr.args[:i], both, *expr.args[i + 1 : j], *expr.args[j + 1 :])
    return None


def common_number(expr: Expr) -> Expr | None:
    """2 a - 2 b -> 2 (a - b), -a - b -> -(a + b), s a + s b -> s (a + b)."""
    values = [coefficient(term)[0] for term in expr.args]
    c = values[0] if len(set(values)) == 1 else abs(values[0])
    c = c if all(abs(v) == abs(c) for v in values) else 1.0
    parts = _chains(expr)
    shared = [] if expr.is_scalar else [s for s in parts[0][0] if s.kind != "number"]
    shared = [s for s in shared if all(s in numbers for numbers, _ in parts)]
    if c == 1 and not shared:
        return None
    rest = [product(number(1 / c), *_without(n, shared), *chain) for n, chain in parts]
    return product(number(c), *shared, add(*rest))


def _without(factors: Sequence[Expr], removed: Sequence[Expr]) -> list[Expr]:
    return [f for f in factors if f not in removed]


def _chains(expr: Expr) -> list[tuple[list[Expr], list[Expr]]]:
    """Return the terms of a sum as pairs: the numbers, and the chain of matrices."""
    found = []
    for term in expr.args:
        factors = term.args if term.kind == "product" else (term,)
        numbers = [f for f in factors if f.is_scalar]
        found.append((numbers, [f for f in factors if not f.is_scalar]))
    return found


def inverse_of_factors(expr: Expr) -> Expr | None:
    """A (B A)⁻¹ -> B⁻¹, for square A and B."""
    for k, f in enumerate(expr.args):
        turned = f.kind == "transpose" and f.args[0].kind == "inverse"
        inner = f.args[0].args[0] if turned else f.args[0] if f.kind == "inverse" else None
        if inner is None or inner.kind != "product" or not _square(inner.args):
            continue
        factors = [inverse(x) for x in reversed(inner.args)]
        if turned:
            factors = [transpose(x) for x in reversed(factors)]
        found = product(*expr.args[:k], *factors, *expr.args[k + 1 :])
        if size(found) < size(expr):
            return found
    return None


def _square(factors: Sequence[Expr]) -> bool:
    return all(f.shape[0] == f.shape[1] for f in factors)


RULES: dict[str, tuple[Rule, ...]] = {
    "sum": (common_number, common_right_factor, common_left_factor, common_factor_of_two),
    "product": (inverse_of_factors,),
}
"""The rules by the kind of expression they look at, in the order they are tried."""
