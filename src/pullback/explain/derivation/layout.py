"""How an expression is set: a tree of boxes that every printer has a form for.

Brackets are decided here, once, by how tightly things bind; printers only draw.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pullback.explain.derivation.expr import (
    Expr,
    coefficient,
    number,
    ones,
    power,
    product,
    transpose,
    transposes,
)
from pullback.explain.derivation.tensor_rules import turns_matrices


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of a formula: a kind that printers know, the pieces inside, or a text."""

    kind: str
    parts: tuple[Box, ...] = ()
    text: str = ""


BINDING = {"sum": 1, "hadamard": 2, "fraction": 3, "product": 4, "sup": 8}
"""How tightly boxes bind; all others bind like a single name."""
TIGHT = 9
DENOMINATORS = 1000
"""Numbers are printed as fractions p / q, or their roots, with q up to this."""


def boxed(expr: Expr) -> Box:
    """Return how `expr` is set."""
    return LAYOUTS[expr.kind](expr)


def equation(left: Sequence[Expr], right: Expr) -> Box:
    """Return the box of `left[0] = left[1] = ... = right`."""
    return joined([*map(boxed, left), boxed(right)], _text(" = "))


def joined(boxes: Sequence[Box], separator: Box) -> Box:
    """Return a row of boxes with a separator between them."""
    parts = [part for box in boxes for part in (separator, box)][1:]
    return Box("row", tuple(parts))


def _text(text: str) -> Box:
    return Box("operator", text=text)


def _within(box: Box, binding: int) -> Box:
    """Return `box`, in brackets unless it binds at least as tightly as `binding`."""
    return box if BINDING.get(box.kind, TIGHT) >= binding else Box("brackets", (box,))


def _call(name: str, *args: Box) -> Box:
    return Box("row", (Box("function", text=name), Box("brackets", (joined(args, _text(", ")),))))


def _sup(base: Box, exponent: str) -> Box:
    return Box("sup", (_within(base, TIGHT), Box("number", text=exponent)))


# numbers


def numeral(value: float) -> Box:
    """Return a number that is not negative, as a fraction or a root where it is one."""
    if math.isinf(value):
        return Box("number", text="∞")
    rational = _rational(value)
    if rational is not None:
        return _quotient(Box("number", text=str(rational.numerator)), rational.denominator, 1)
    root = _rational(value * value)
    if root is not None:
        top = Box("number", text=str(root.numerator))
        above = top if root.numerator == 1 else Box("root", (top,))
        return _quotient(above, root.denominator, 2)
    mantissa, _, exponent = f"{value:.6g}".partition("e")
    if not exponent:
        return Box("number", text=mantissa)
    tens = _sup(Box("number", text="10"), str(int(exponent)).replace("-", "−"))
    if mantissa == "1":
        return tens
    return Box("product", (Box("number", text=mantissa), _text(" · "), tens))


def _quotient(above: Box, below: int, root: int) -> Box:
    if below == 1:
        return above
    number_below = Box("number", text=str(below))
    return Box("fraction", (above, Box("root", (number_below,)) if root == 2 else number_below))


def _rational(value: float) -> Fraction | None:
    if not abs(value) < 1e6:
        return None
    found = Fraction(value).limit_denominator(DENOMINATORS)
    return found if abs(float(found) - value) <= 1e-12 * abs(value) else None


def _number(expr: Expr) -> Box:
    if expr.data < 0:
        return Box("sum", (_text("−"), numeral(-expr.data)))
    return numeral(expr.data)


# sums and products


def _sum(expr: Expr) -> Box:
    turned = transpose(expr)
    if transposes(turned) < transposes(expr):
        return _sup(boxed(turned), "⊤")
    parts: list[Box] = []
    first_turned = len(expr.args) == 2 and transpose(expr.args[0]) == expr.args[1]
    for term in sorted(expr.args, key=transposes) if first_turned else expr.args:
        c, x = coefficient(term)
        if parts or c < 0:
            parts.append(_text((" − " if c < 0 else " + ") if parts else "−"))
        parts.append(_within(boxed(product(number(abs(c)), x)), BINDING["hadamard"]))
    return Box("sum", tuple(parts))


def _product(expr: Expr) -> Box:
    c, x = coefficient(expr)
    if c < 0:
        inside = boxed(product(number(-c), x))
        return Box("sum", (_text("−"), _within(inside, BINDING["hadamard"])))
    factors = list(x.args) if x.kind == "product" else [x]
    below = [power(f.args[0], -f.data) for f in factors if _is_reciprocal(f)]
    above = [f for f in factors if not _is_reciprocal(f)]
    if not below:
        return _row(c, above)
    rational = _rational(c)
    if rational is not None and rational.denominator != 1:
        below = [number(rational.denominator), *below]
        c = float(rational.numerator)
    return Box("fraction", (_row(c, above), _row(1.0, below)))


def _is_reciprocal(f: Expr) -> bool:
    return f.is_scalar and f.kind == "power" and f.data < 0


def _row(c: float, factors: Sequence[Expr]) -> Box:
    parts = [numeral(c)] if c != 1 or not factors else []
    if parts or len(factors) > 1:
        factors = [p for f in factors for p in _ones_as_product(f)]
    for f, repeated in itertools.groupby(factors):
        box, count = boxed(f), len(list(repeated))
        if count > 1 and f.shape[0] == f.shape[1]:
            parts.append(_sup(box, str(count)))
        else:
            binding = BINDING["product"] if len(factors) > 1 or parts else 0
            if f.is_scalar and f.kind == "product" and binding:
                binding = TIGHT  # a number of its own within a product
            parts += [_within(box, binding)] * count
    if len(parts) == 1:
        return parts[0]
    return Box("product", tuple(joined(parts, _text(" ")).parts))


def _ones_as_product(f: Expr) -> tuple[Expr, ...]:
    """Return 𝟏 and 𝟏ᵀ for the matrix of ones, which looks like a number among factors."""
    if f.kind == "ones" and None not in f.shape:
        return ones(f.shape[0], None), ones(None, f.shape[1])
    return (f,)


def _hadamard(expr: Expr) -> Box:
    turned = transpose(expr)
    if transposes(turned) < transposes(expr):
        return _sup(boxed(turned), "⊤")
    parts: list[Box] = []
    for f in sorted(expr.args, key=lambda f: f.kind == "power" and f.data < 0):
        divides = f.kind == "power" and f.data < 0
        if divides and not parts:
            parts.append(Box("number", text="1"))
        if parts:
            parts.append(_text(" ⊘ " if divides else " ∘ "))
        parts.append(_within(boxed(power(f.args[0], -f.data) if divides else f), TIGHT - 1))
    return Box("hadamard", tuple(parts))


def _kron(expr: Expr) -> Box:
    parts = [_within(boxed(a), TIGHT - 1) for a in expr.args]
    return Box("hadamard", joined(parts, _text(" ⊗ ")).parts)


# powers and functions


def _power(expr: Expr) -> Box:
    (x,), p = expr.args, expr.data
    if not x.is_scalar and p < 0:
        return _divided(expr)
    if x.is_scalar and p < 0:
        return Box("fraction", (Box("number", text="1"), boxed(power(x, -p))))
    if p == 0.5 and x.is_scalar:
        return Box("root", (boxed(x),))
    exponent = str(int(p)) if p == int(p) else {0.5: "½", -0.5: "−½"}.get(p, f"{p:g}")
    return _sup(boxed(x), exponent if x.is_scalar else f"∘{exponent}")


def _divided(expr: Expr) -> Box:
    below = _within(boxed(power(expr.args[0], -expr.data)), TIGHT - 1)
    return Box("hadamard", (Box("number", text="1"), _text(" ⊘ "), below))


def _transpose(expr: Expr) -> Box:
    (x,) = expr.args
    if x.kind == "inverse":
        return _sup(boxed(x.args[0]), "−⊤")
    return _sup(boxed(x), "⊤")


def _apply(expr: Expr) -> Box:
    (x,), name = expr.args, expr.data.symbol
    if name == "abs":
        return Box("bars", (boxed(x),))
    if name == "[· > 0]":
        return Box("square", (Box("row", (boxed(x), _text(" > "), Box("number", text="0"))),))
    if x.kind == "det":
        return Box("product", (Box("function", text=name), _text(" "), boxed(x)))
    return _call(name, boxed(x))


def _logdet(expr: Expr) -> Box:
    inside = _call("det", boxed(expr.args[0]))
    return Box("product", (Box("function", text="ln"), _text(" "), Box("bars", (inside,))))


def _norm(expr: Expr) -> Box:
    (x,) = expr.args
    norm = Box("norm", (boxed(x),))
    return norm if x.shape[1] is None else Box("sub", (norm, Box("name", text="F")))


def _gradient(expr: Expr) -> Box:
    return Box("derivative", tuple(map(boxed, expr.args)))


def _called(expr: Expr) -> Box:
    name, params = expr.data.name, expr.data.params
    args = [boxed(a) for a in expr.args]
    if name == "broadcast_to":
        return args[0]
    if name in _COMPARISONS:
        return Box("square", (joined(args, _text(f" {_COMPARISONS[name]} ")),))
    if name == "matmul":
        parts = [_within(a, BINDING["product"]) for a in args]
        return Box("product", joined(parts, _text(" ")).parts)
    if name == "transpose" and turns_matrices(params["axes"]):
        return _sup(args[0], "⊤")
    if name in _CONVOLUTIONS:
        parts = [_within(a, TIGHT - 1) for a in args]
        return Box("hadamard", joined(parts, _text(f" {_CONVOLUTIONS[name]} ")).parts)
    if name == "getitem" and len(args) == 1:
        return Box("row", (_within(args[0], TIGHT), Box("function", text=str(params["index"]))))
    if name == "transpose":
        axes = "".join(map(str, params["axes"]))
        return Box("row", (_subscripted(name, axes), Box("brackets", tuple(args))))
    if name == "sum":
        axes = "" if expr.is_scalar else "".join(map(str, params["axis"]))
        return Box("row", (_subscripted("sum", axes), Box("brackets", tuple(args))))
    if name == "reshape":
        args.append(Box("number", text="×".join(map(str, params["shape"]))))
    return _call(name, *args)


_COMPARISONS = {
    "equal": "=", "not_equal": "≠", "less": "<", "less_equal": "≤", "greater": ">",
    "greater_equal": "≥",
}  # fmt: skip
_CONVOLUTIONS = {"conv": "∗", "conv_input": "∗ᵀ", "conv_kernel": "⋆"}


def _subscripted(name: str, below: str) -> Box:
    head = Box("function", text=name)
    return Box("sub", (head, Box("number", text=below))) if below else head


def _vjp(expr: Expr) -> Box:
    operation, position = expr.data
    cotangent, *args = expr.args
    label = joined([Box("function", text=operation.name), boxed(args[position])], _text(", "))
    head = Box("row", (Box("function", text="vjp"), Box("square", (label,))))
    return Box("row", (head, Box("brackets", (boxed(cotangent),))))


def _named(name: str) -> Callable[[Expr], Box]:
    return lambda expr: _call(name, *map(boxed, expr.args))


def _ones(expr: Expr) -> Box:
    """Return a bold 1 for a vector of ones, and a plain one for a matrix of them."""
    if None not in expr.shape:
        return Box("number", text="1")
    return Box("ones") if expr.shape[1] is None else _sup(Box("ones"), "⊤")


LAYOUTS: dict[str, Callable[[Expr], Box]] = {
    "symbol": lambda expr: Box("name", text=expr.data),
    "number": _number,
    "ones": _ones,
    "eye": lambda expr: Box("name", text="I"),
    "zero": lambda expr: Box("number", text="0"),
    "sum": _sum,
    "product": _product,
    "hadamard": _hadamard,
    "transpose": _transpose,
    "apply": _apply,
    "power": _power,
    "inverse": lambda expr: _sup(boxed(expr.args[0]), "−1"),
    "det": _named("det"),
    "logdet": _logdet,
    "trace": _named("tr"),
    "norm": _norm,
    "diag": _named("diag"),
    "diagonal": _named("diag"),
    "softmax": _named("softmax"),
    "logsumexp": _named("logsumexp"),
    "kron": _kron,
    "call": _called,
    "vjp": _vjp,
    "gradient": _gradient,
}
"""How each kind of expression is set."""
