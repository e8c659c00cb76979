"""The language of derivations: expressions of matrices, their shapes, and how they are made.

A shape is (rows, columns), and None is the length that vectors and numbers do not have: a vector of
NumPy's shape (n,) is a column (n, None), a number is (None, None). So a vector with one entry is
no number, and a product of a row and a column is one. Arrays of three axes and more keep their
shape; they take part entry by entry only.

A constructor gives the expression in canonical form, by the rules of `canonical`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "symbol", "number", "ones", "eye", "zero", "sum", "product", "hadamard", "transpose", "apply",
    "power", "inverse", "det", "logdet", "trace", "norm", "diag", "diagonal", "softmax",
    "logsumexp", "kron", "reshape", "call", "vjp", "gradient",
]  # fmt: skip
Shape = tuple[int | None, ...]
SCALAR: Shape = (None, None)
Rule = Callable[["Expr"], "Expr | None"]
"""A rewriting: an equal expression that is better, or None."""


def own_shape(shape: tuple[int, ...]) -> Shape:
    """Return the shape in matrix language of an array of `shape`: vectors are columns."""
    return {0: SCALAR, 1: (*shape, None)}.get(len(shape), shape)


@dataclass(frozen=True, slots=True)
class Expr:
    """An expression: what it is made of, what else belongs to it (`data`), and its shape."""

    kind: Kind
    args: tuple[Expr, ...]
    shape: Shape
    data: Any = None

    @property
    def is_scalar(self) -> bool:
        """Whether the value is a number."""
        return self.shape == SCALAR

    def __str__(self) -> str:
        from pullback.explain.derivation.printers import unicode_text

        return unicode_text(self)


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield `expr` and all that it is made of."""
    yield expr
    for arg in expr.args:
        yield from walk(arg)


def symbols(expr: Expr) -> set[Expr]:
    """Return the symbols in `expr`."""
    return {e for e in walk(expr) if e.kind == "symbol"}


def size(expr: Expr) -> int:
    """Return the number of symbols and numbers in `expr`, which is how long it is to read."""
    return sum(not e.args for e in walk(expr))


def transposes(expr: Expr) -> int:
    """Return the number of transposes in `expr`, and of rows of ones."""
    return sum(e.kind == "transpose" or (e.kind == "ones" and not e.shape[0]) for e in walk(expr))


def rebuilt(expr: Expr, args: tuple[Expr, ...]) -> Expr:
    """Return `expr` with other arguments of the same shapes, in canonical form."""
    return expr if args == expr.args else make(expr.kind, args, expr.shape, expr.data)


def substituted(expr: Expr, values: dict[Expr, Expr]) -> Expr:
    """Return `expr` with the expressions in `values` in place of symbols."""
    if expr in values:
        return values[expr]
    return rebuilt(expr, tuple(substituted(a, values) for a in expr.args))


def make(kind: Kind, args: tuple[Expr, ...], shape: Shape, data: Any = None) -> Expr:
    """Return the canonical form of an expression."""
    from pullback.explain.derivation.canonical import canonical

    return canonical(Expr(kind, args, shape, data))


def symbol(name: str, shape: Shape) -> Expr:
    """Return the variable called `name`."""
    return Expr("symbol", (), shape, name)


def number(value: float) -> Expr:
    """Return a constant number."""
    return Expr("number", (), SCALAR, float(value))


def ones(*shape: int | None) -> Expr:
    """Return the vector or matrix of ones."""
    return number(1) if shape == SCALAR else Expr("ones", (), shape)


def eye(n: int) -> Expr:
    """Return the identity matrix."""
    return Expr("eye", (), (n, n))


def zero(shape: Shape) -> Expr:
    """Return zeros."""
    return Expr("zero", (), shape)


def add(*terms: Expr) -> Expr:
    """Return the sum of terms of one shape."""
    return make("sum", terms, terms[0].shape)


def negative(x: Expr) -> Expr:
    """Return -x."""
    return product(number(-1), x)


def subtract(x: Expr, y: Expr) -> Expr:
    """Return x - y."""
    return add(x, negative(y))


def product(*factors: Expr) -> Expr:
    """Return the matrix product of factors, numbers among them at any place."""
    chain = [f for f in factors if not f.is_scalar]
    shape: Shape = SCALAR
    if chain:
        tensor = next((f.shape for f in chain if len(f.shape) > 2), None)
        shape = tensor or (chain[0].shape[0], chain[-1].shape[1])
    return make("product", factors, shape)


def hadamard(*factors: Expr) -> Expr:
    """Return the product entry by entry of factors of one shape."""
    return make("hadamard", factors, factors[0].shape)


def transpose(x: Expr) -> Expr:
    """Return the transpose."""
    return make("transpose", (x,), x.shape[::-1])


def power(x: Expr, exponent: float) -> Expr:
    """Return the power, of a matrix entry by entry."""
    return make("power", (x,), x.shape, float(exponent))


def apply(function: Any, x: Expr) -> Expr:
    """Return the values of a `Function` at the entries of x."""
    return make("apply", (x,), x.shape, function)


def inverse(x: Expr) -> Expr:
    """Return the inverse of a matrix."""
    return make("inverse", (x,), x.shape)


def scalar_of(kind: Literal["det", "logdet", "trace", "norm"], x: Expr) -> Expr:
    """Return the determinant, log |determinant|, trace or Frobenius norm of x."""
    return make(kind, (x,), SCALAR)


def diag(x: Expr) -> Expr:
    """Return the diagonal matrix of a vector."""
    return make("diag", (x,), (x.shape[0], x.shape[0]))


def diagonal(x: Expr) -> Expr:
    """Return the diagonal of a square matrix, as a vector."""
    return make("diagonal", (x,), (x.shape[0], None))


def softmax(x: Expr) -> Expr:
    """Return exp(x) over its sum, of a matrix row by row."""
    return make("softmax", (x,), x.shape)


def logsumexp(x: Expr) -> Expr:
    """Return the log of the sum of exp(x), of a matrix for each row."""
    return make("logsumexp", (x,), (x.shape[0], None) if x.shape[1] is not None else SCALAR)


def total(x: Expr) -> Expr:
    """Return the sum of the entries of a vector or matrix."""
    rows, columns = x.shape
    return product(ones(None, rows), x, ones(columns, None))


def inner(x: Expr, y: Expr) -> Expr:
    """Return the sum of the products of the entries of x and y, as a matrix product."""
    if x.is_scalar:
        return product(x, y)
    if len(x.shape) > 2:
        from pullback.explain.derivation.operations import sum_of_entries

        return sum_of_entries(hadamard(x, y))
    return scalar_of("trace", product(transpose(x), y))


def coefficient(expr: Expr) -> tuple[float, Expr]:
    """Return (c, x) with expr = c x and a number c."""
    if expr.kind == "number":
        return expr.data, number(1)
    if expr.kind == "product" and expr.args[0].kind == "number":
        return expr.args[0].data, product(*expr.args[1:])
    return 1.0, expr
