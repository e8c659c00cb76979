"""Complex numbers as pairs of real expressions: each operation by what it does to the parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pullback.core.aval import Aval, DType
from pullback.core.graph import Node
from pullback.native.loops import Apply, Expr, Parts, literal, part_of

BOOL = np.dtype(bool)


def concerns(node: Node) -> bool:
    """Whether `node` has complex numbers for inputs or for a result."""
    avals = [node.aval, *[i.aval for i in node.inputs]]
    return any(isinstance(a, Aval) and a.dtype.kind == "c" for a in avals)


def parts_of(node: Node, working: DType, args: Sequence[Parts]) -> Parts:
    """Return the element of `node`, given those of its inputs."""
    assert node.op is not None
    if working.kind != "c":  # the parts, and the size, of a complex number
        working = node.inputs[0].dtype
    f = Reals(part_of(working))
    if node.op.name == "where":
        condition, x, y = args
        x, y = (cast(z, i.dtype, working) for z, i in zip((x, y), node.inputs[1:], strict=True))
        return tuple(f("where", condition[0], a, b) for a, b in zip(x, y, strict=True))
    if node.op.name in ("astype", "discrete_astype"):
        return cast(args[0], node.inputs[0].dtype, node.dtype)
    pairs = [cast(z, i.dtype, working) for z, i in zip(args, node.inputs, strict=True)]
    return PARTS[node.op.name](f, *pairs)


def cast(x: Parts, source: DType, target: DType) -> Parts:
    """Return an element as one of dtype `target`: a complex one loses its imaginary part."""
    if source == target:
        return x
    if target.kind == "b" and source.kind == "c":
        return (_truth(Reals(part_of(source)), x),)
    part = part_of(target)
    real = Apply("astype", (x[0],), part_of(source), part)
    if target.kind != "c":
        return (real,)
    if source.kind != "c":
        return real, literal(0, part)
    return real, Apply("astype", (x[1],), part_of(source), part)


def product(x: Parts, y: Parts, dtype: DType) -> Parts:
    """Return the product of two elements of `dtype`."""
    if dtype.kind != "c":
        return (Apply("multiply", (x[0], y[0]), dtype, dtype),)
    return _multiply(Reals(part_of(dtype)), x, y)


def total(x: Parts, y: Parts, dtype: DType) -> Parts:
    """Return the sum of two elements of `dtype`."""
    part = part_of(dtype)
    return tuple(Apply("add", pair, part, part) for pair in zip(x, y, strict=True))


class Reals:
    """Expressions of numbers of one floating dtype, so that formulas read as such."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def __call__(self, name: str, *args: Expr) -> Expr:
        return Apply(name, args, self.dtype, self.dtype)

    def test(self, name: str, *args: Expr) -> Expr:
        return Apply(name, args, self.dtype, BOOL)

    def number(self, x: float) -> Expr:
        return literal(x, self.dtype)


def _both(name: str) -> Callable[..., Parts]:
    return lambda f, *args: tuple(f(name, *group) for group in zip(*args, strict=True))


def _multiply(f: Reals, x: Parts, y: Parts) -> Parts:
    (a, b), (c, d) = x, y
    return (
        f("subtract", f("multiply", a, c), f("multiply", b, d)),
        f("add", f("multiply", a, d), f("multiply", b, c)),
    )


def _divide(f: Reals, x: Parts, y: Parts) -> Parts:
    """Smith, "Algorithm 116: complex division", 1962, as NumPy does it."""
    (a, b), (c, d) = x, y
    wide = f.test("greater_equal", f("fabs", c), f("fabs", d))
    large, small = f("where", wide, c, d), f("where", wide, d, c)
    ratio = f("divide", small, large)
    scale = f("reciprocal", f("add", large, f("multiply", small, ratio)))
    first, second = f("where", wide, a, b), f("where", wide, b, a)
    real = f("multiply", f("add", first, f("multiply", second, ratio)), scale)
    imaginary = f("multiply", f("subtract", second, f("multiply", first, ratio)), scale)
    imaginary = f("where", wide, imaginary, f("negative", imaginary))
    nothing = f.test("equal", f("fabs", large), f.number(0))
    return (
        f("where", nothing, f("divide", a, f("fabs", c)), real),
        f("where", nothing, f("divide", b, f("fabs", c)), imaginary),
    )


def _reciprocal(f: Reals, x: Parts) -> Parts:
    a, b = x
    wide = f.test("less_equal", f("fabs", b), f("fabs", a))
    large, small = f("where", wide, a, b), f("where", wide, b, a)
    ratio = f("divide", small, large)
    scale = f("add", large, f("multiply", small, ratio))
    one, share = f("reciprocal", scale), f("divide", ratio, scale)
    return f("where", wide, one, share), f("negative", f("where", wide, share, one))


def _exp(f: Reals, x: Parts) -> Parts:
    a, b = x
    # in two factors, as one alone may be out of range where the result is not
    half = f("exp", f("multiply", a, f.number(0.5)))
    real, imaginary = (
        f("multiply", f("multiply", half, f(name, b)), half) for name in ("cos", "sin")
    )
    vanishes = f.test("equal", a, f.number(-np.inf))
    imaginary = f("where", f.test("equal", b, f.number(0)), b, imaginary)
    return f("where", vanishes, f.number(0), real), f("where", vanishes, f.number(0), imaginary)


def _chain_product(f: Reals, ct: Parts, slope: Parts) -> Parts:
    none = Apply("logical_not", (_truth(f, ct),), BOOL, BOOL)
    return tuple(f("where", none, f.number(0), part) for part in _multiply(f, ct, slope))


def _truth(f: Reals, x: Parts) -> Expr:
    return f.test("logical_or", *x)


def _of_tests(test: str, join: str) -> Callable[..., Parts]:
    """A test of complex numbers that holds if `join` of it for both parts does."""

    def compare(f: Reals, *args: Parts) -> Parts:
        real, imaginary = (f.test(test, *group) for group in zip(*args, strict=True))
        return (Apply(join, (real, imaginary), BOOL, BOOL),)

    return compare


def _of_truths(name: str) -> Callable[..., Parts]:
    return lambda f, *args: (Apply(name, tuple(_truth(f, x) for x in args), BOOL, BOOL),)


PARTS: dict[str, Callable[..., Parts]] = {
    "add": _both("add"),
    "subtract": _both("subtract"),
    "negative": _both("negative"),
    "multiply": _multiply,
    "square": lambda f, x: _multiply(f, x, x),
    "divide": _divide,
    "reciprocal": _reciprocal,
    "exp": _exp,
    "real": lambda f, x: x[:1],
    "imag": lambda f, x: x[1:],
    "complex_of": lambda f, re, im: (re[0], im[0]),
    "conjugate": lambda f, x: (x[0], f("negative", x[1])),
    "absolute": lambda f, x: (f("hypot", *x),),
    "complex_absolute": lambda f, x: (f("hypot", *x),),
    "chain_product": _chain_product,
    "equal": _of_tests("equal", "logical_and"),
    "not_equal": _of_tests("not_equal", "logical_or"),
    "isnan": _of_tests("isnan", "logical_or"),
    "isinf": _of_tests("isinf", "logical_or"),
    "isfinite": _of_tests("isfinite", "logical_and"),
    **{f"logical_{k}": _of_truths(f"logical_{k}") for k in ("and", "or", "xor", "not")},
    **dict.fromkeys(("where", "astype", "discrete_astype"), lambda f, x: x),
}
"""The parts of each operation's result by the parts of its arguments."""
