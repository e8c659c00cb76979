"""Formulas as text, such as "0.5 * norm(A @ x - b)**2", read without running anything else.

The text is parsed to Python's syntax tree and only what the tables below name is computed: numbers,
names, + - * / @ **, transposes as `.T`, and calls of the functions by name.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback import nn
from pullback.core.aval import Aval
from pullback.core.errors import ConfigError, PullbackError
from pullback.core.graph import Graph
from pullback.core.tracing import trace

LONGEST = 2000
"""Characters that a formula may have."""
BIGGEST = 10**6
"""Entries that an array may have."""

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "cos": np.cos,
    "cosh": np.cosh,
    "det": np.linalg.det,
    "diag": np.diag,
    "dot": np.dot,
    "exp": np.exp,
    "gelu": nn.gelu,
    "inv": np.linalg.inv,
    "kron": np.kron,
    "leaky_relu": nn.leaky_relu,
    "ln": np.log,
    "log": np.log,
    "logdet": lambda x: np.linalg.slogdet(x)[1],
    "logsumexp": lambda x: np.log(np.sum(np.exp(x))),
    "max": np.max,
    "mean": np.mean,
    "norm": np.linalg.norm,
    "outer": np.outer,
    "relu": nn.relu,
    "sigmoid": nn.sigmoid,
    "sin": np.sin,
    "sinh": np.sinh,
    "softmax": nn.softmax,
    "softplus": nn.softplus,
    "solve": np.linalg.solve,
    "sqrt": np.sqrt,
    "sum": np.sum,
    "tanh": np.tanh,
    "tr": np.trace,
    "trace": np.trace,
    "transpose": np.transpose,
}


class Formula:
    """A formula: its `names`, in order of appearance, and its value for given ones.

    Raises ConfigError for text that is no formula, naming the part that is not.

    >>> formula = Formula("2 * norm(x)**2")
    >>> formula.names, float(formula({"x": np.array([3.0, 4.0])}))
    (('x',), 50.0)
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ConfigError(
                f"FORMULA: expected {LONGEST} characters at most, got {len(text)}; give the "
                "function to pb.derive in Python"
            )
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self.names = tuple(dict.fromkeys(self._names(self._tree)))
        except ConfigError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = getattr(error, "msg", None) or "it is nested too deeply"
            raise ConfigError(f"FORMULA: cannot read {text!r}: {reason}") from error
        self.text = text

    def graph(self, *avals: Aval) -> Graph:
        """Trace the formula, for arguments with its names."""

        def function(*args: Any) -> Any:
            return self(dict(zip(self.names, args, strict=True)))

        try:
            found = trace(function, *avals)
        except PullbackError:
            raise
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ConfigError(f"FORMULA: {self.text!r} cannot be computed: {error}") from error
        for node, name in zip(found.arguments, self.names, strict=True):
            node.name = name
        if any(node.aval.size > BIGGEST for node in found.nodes if isinstance(node.aval, Aval)):
            raise ConfigError(f"FORMULA: {self.text!r} makes arrays of more than {BIGGEST} entries")
        return found

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Return the value of the formula where its names have these `values`."""
        return self._value(self._tree, values)

    def _names(self, node: ast.AST) -> list[str]:
        """Return the names in `node`; raise ConfigError for what no formula has."""
        match node:
            case ast.Constant(value=bool() | complex() | str() | bytes() | None):
                raise self._refusal(node)
            case ast.Constant():
                return []
            case ast.Name(id=name):
                return [name]
            case ast.Attribute(value=inside, attr="T"):
                return self._names(inside)
            case ast.UnaryOp(op=sign, operand=inside) if type(sign) in OPERATORS:
                return self._names(inside)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
                return self._names(left) + self._names(right)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                if name not in FUNCTIONS:
                    close = difflib.get_close_matches(name, FUNCTIONS, 1)
                    known = ", ".join(FUNCTIONS)
                    hint = f"did you mean {close[0]}?" if close else f"expected one of {known}"
                    raise ConfigError(f"FORMULA: no function is called {name!r}; {hint}")
                return [n for arg in args for n in self._names(arg)]
        raise self._refusal(node)

    def _refusal(self, node: ast.AST) -> ConfigError:
        return ConfigError(
            f"FORMULA: {ast.unparse(node)!r} is not allowed: expected numbers, names, + - * / @ "
            "**, x.T and functions such as norm(x); write what is more in Python, for pb.derive"
        )

    def _value(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=value):
                return float(value)  # type: ignore[arg-type]
            case ast.Name(id=name):
                return values[name]
            case ast.Attribute(value=inside):
                return np.transpose(self._value(inside, values))
            case ast.UnaryOp(op=sign, operand=inside):
                return OPERATORS[type(sign)](self._value(inside, values))
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(exponent))):
                return self._value(left, values) ** exponent
            case ast.BinOp(left=left, op=sign, right=right):
                return OPERATORS[type(sign)](self._value(left, values), self._value(right, values))
            case ast.Call(func=ast.Name(id=name), args=args):
                return FUNCTIONS[name](*[self._value(arg, values) for arg in args])
        raise self._refusal(node)


def parse_shapes(texts: list[str], names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `names` from texts such as "W=4x3,x=3"; numbers have none.

    Raises ConfigError for a text that is no shape, and for a name that is not in `names`.

    >>> parse_shapes(["W=4x3,x=3"], ("W", "x", "t"))
    {'W': (4, 3), 'x': (3,), 't': ()}
    """
    found: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
    for part in ",".join(texts).split(",") if texts else ():
        name, _, lengths = (piece.strip() for piece in part.partition("="))
        sizes = lengths.split("x")
        if not all(size.isdecimal() and int(size) > 0 for size in sizes):
            raise ConfigError(
                f"--shape: expected NAME=4x3 for a matrix, NAME=3 for a vector, got {part!r}"
            )
        shape = tuple(map(int, sizes))
        if name not in found:
            raise ConfigError(f"--shape: the formula has no {name!r}; it has {', '.join(names)}")
        if np.prod(shape, dtype=float) > BIGGEST:
            raise ConfigError(f"--shape: expected {BIGGEST} entries at most, got {part!r}")
        found[name] = shape
    return found
