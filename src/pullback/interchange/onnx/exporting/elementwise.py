"""Element by element: each operation as an expression of ONNX operators on (w, inputs)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.interchange.onnx.exporting.rules import (
    as_common,
    as_floating,
    as_ordered,
    as_result,
    as_truth,
    elementwise,
    enter,
    node,
)


def _sign_or_zero(w: Any, x: Any) -> Any:
    """Whether the sign bit of x is set, of -0.0 too."""
    return w.Less(w.Where(w.Equal(x, 0), w.Reciprocal(x), x), 0)


def _zero_if(w: Any, condition: Any, x: Any) -> Any:
    return w.Where(condition, 0, x)


def _softplus(w: Any, x: Any) -> Any:
    return w.Add(w.Max(x, 0), w.Log(w.Add(w.Exp(w.Neg(w.Abs(x))), 1)))


def _logaddexp(w: Any, a: Any, b: Any) -> Any:
    """max + log(1 + exp(-|a - b|)), where two infinities of one sign are not subtracted."""
    d = _zero_if(w, w.Equal(a, b), w.Sub(a, b))
    return w.Add(w.Max(a, b), w.Log(w.Add(w.Exp(w.Neg(w.Abs(d))), 1)))


def _logaddexp2(w: Any, a: Any, b: Any) -> Any:
    ln2 = math.log(2)
    return w.Div(_logaddexp(w, w.Mul(a, ln2), w.Mul(b, ln2)), ln2)


def _arctan2(w: Any, y: Any, x: Any) -> Any:
    up = w.Where(_sign_or_zero(w, y), w.Neg(w.Add(w.Mul(y, 0), 1)), w.Add(w.Mul(y, 0), 1))
    right = w.Atan(w.Div(y, x))
    left = w.Add(right, w.Mul(up, math.pi))
    axis = w.Mul(w.Mul(up, math.pi / 2), w.Abs(w.Sign(y)))
    pole = w.Add(axis, w.Where(_sign_or_zero(w, x), w.Mul(up, math.pi), 0))
    here = w.Where(w.Equal(y, 0), pole, axis)
    return w.Where(w.Equal(x, 0), here, w.Where(w.Less(x, 0), left, right))


def _remainder(w: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of b, as in Python; ONNX has that for integers only."""
    if a.dtype.kind != "f":
        return w.Mod(a, b)
    r = w.Mod(a, b, fmod=1)
    other = w.Less(w.Mul(w.Sign(r), w.Sign(b)), 0)
    return w.Where(other, w.Add(r, b), r)


def _floor_divide(w: Any, a: Any, b: Any) -> Any:
    quotient = w.Div(w.Sub(a, _remainder(w, a, b)), b)
    return w.Round(quotient) if a.dtype.kind == "f" else quotient


def _expm1(w: Any, x: Any) -> Any:
    """2 tanh(x/2) / (1 - tanh(x/2)) near 0, where exp(x) - 1 would cancel."""
    t = w.Tanh(w.Mul(x, 0.5))
    near = w.Div(w.Mul(t, 2), w.Sub(1, t))
    return w.Where(w.Less(w.Abs(x), 0.5), near, w.Sub(w.Exp(x), 1))


def _log1p(w: Any, x: Any) -> Any:
    """log(u) x / (u - 1) with u = 1 + x, whose rounding cancels (Goldberg 1991, theorem 4)."""
    u = w.Add(x, 1)
    exact = w.Equal(u, 1)
    slope = w.Div(x, w.Where(exact, 1, w.Sub(u, 1)))
    near = w.Where(exact, x, w.Mul(w.Log(u), slope))
    return w.Where(w.Less(w.Abs(x), 0.5), near, w.Log(u))


def _truncated(w: Any, x: Any) -> Any:
    return x if x.dtype.kind != "f" else w.Mul(w.Sign(x), w.Floor(w.Abs(x)))


def _xlogy(w: Any, x: Any, y: Any, log: Any) -> Any:
    return w.Where(w.And(w.Equal(x, 0), w.Not(w.IsNaN(y))), 0, w.Mul(x, log))


def _entropy(w: Any, x: Any) -> Any:
    inside = w.Neg(w.Mul(x, w.Log(w.Where(w.Equal(x, 0), 1, x))))
    return w.Where(w.Less(x, 0), -math.inf, inside)


def _relative_entropy(w: Any, x: Any, y: Any) -> Any:
    zero = w.Equal(x, 0)
    inside = _zero_if(w, zero, w.Mul(x, w.Log(w.Div(w.Where(zero, 1, x), y))))
    valid = w.Or(w.And(w.Greater(x, 0), w.Greater(y, 0)), w.And(zero, w.GreaterOrEqual(y, 0)))
    return w.Where(valid, inside, math.inf)


def _huber(w: Any, delta: Any, r: Any) -> Any:
    a = w.Abs(r)
    tails = w.Mul(delta, w.Sub(a, w.Mul(delta, 0.5)))
    return w.Where(w.LessOrEqual(a, delta), w.Mul(w.Mul(r, r), 0.5), tails)


def _pseudo_huber(w: Any, delta: Any, r: Any) -> Any:
    ratio = w.Div(r, delta)
    return w.Mul(w.Mul(delta, delta), w.Sub(w.Sqrt(w.Add(w.Mul(ratio, ratio), 1)), 1))


def _scaled(name: str, factor: float) -> Any:
    return elementwise(lambda w, x: getattr(w, name)(w.Mul(x, factor)))


def _times(factor: float) -> Any:
    return elementwise(lambda w, x: w.Mul(x, factor))


def _either(number: str, truth: str) -> Any:
    """One operator for numbers, another for booleans."""
    return elementwise(lambda w, *xs: getattr(w, truth if xs[0].dtype == bool else number)(*xs))


enter(
    {
        "add": _either("Add", "Or"),
        "subtract": elementwise(node("Sub")),
        "multiply": _either("Mul", "And"),
        "divide": elementwise(node("Div")),
        "negative": elementwise(node("Neg")),
        "positive": elementwise(node("Identity")),
        "absolute": elementwise(node("Abs")),
        "fabs": elementwise(node("Abs")),
        "sign": elementwise(node("Sign")),
        "square": elementwise(lambda w, x: w.Mul(x, x)),
        "sqrt": elementwise(node("Sqrt")),
        "cbrt": elementwise(lambda w, x: w.Mul(w.Sign(x), w.Pow(w.Abs(x), 1 / 3))),
        "reciprocal": elementwise(node("Reciprocal")),
        "power": elementwise(node("Pow")),
        "exp": elementwise(node("Exp")),
        "exp2": _scaled("Exp", math.log(2)),
        "exp10": _scaled("Exp", math.log(10)),
        "expm1": elementwise(_expm1),
        "log": elementwise(node("Log")),
        "log2": elementwise(lambda w, x: w.Div(w.Log(x), math.log(2))),
        "log10": elementwise(lambda w, x: w.Div(w.Log(x), math.log(10))),
        "log1p": elementwise(_log1p),
        "logaddexp": elementwise(_logaddexp),
        "logaddexp2": elementwise(_logaddexp2),
        "hypot": elementwise(lambda w, a, b: w.Sqrt(w.Add(w.Mul(a, a), w.Mul(b, b)))),
        "maximum": _either("Max", "Or"),
        "minimum": _either("Min", "And"),
        "fmax": elementwise(
            lambda w, a, b: w.Where(w.IsNaN(a), b, w.Where(w.IsNaN(b), a, w.Max(a, b)))
        ),
        "fmin": elementwise(
            lambda w, a, b: w.Where(w.IsNaN(a), b, w.Where(w.IsNaN(b), a, w.Min(a, b)))
        ),
        "remainder": elementwise(_remainder),
        "fmod": elementwise(node("Mod", fmod=1)),
        "floor_divide": elementwise(_floor_divide),
        "floor": elementwise(node("Floor")),
        "ceil": elementwise(node("Ceil")),
        "rint": elementwise(node("Round")),
        "trunc": elementwise(_truncated),
        "copysign": elementwise(
            lambda w, a, b: w.Where(_sign_or_zero(w, b), w.Neg(w.Abs(a)), w.Abs(a))
        ),
        "heaviside": elementwise(
            lambda w, x, half: w.Where(
                w.Equal(x, 0), half, w.Where(w.IsNaN(x), x, w.Max(w.Sign(x), 0))
            )
        ),
        "chain_product": elementwise(lambda w, x, s: _zero_if(w, w.Equal(x, 0), w.Mul(x, s))),
        "ldexp": elementwise(lambda w, x, n: w.Mul(x, w.Exp(w.Mul(n, math.log(2))))),
        "sin": elementwise(node("Sin")),
        "cos": elementwise(node("Cos")),
        "tan": elementwise(node("Tan")),
        "arcsin": elementwise(node("Asin")),
        "arccos": elementwise(node("Acos")),
        "arctan": elementwise(node("Atan")),
        "arctan2": elementwise(_arctan2),
        "sinh": elementwise(node("Sinh")),
        "cosh": elementwise(node("Cosh")),
        "tanh": elementwise(node("Tanh")),
        "arcsinh": elementwise(node("Asinh")),
        "arccosh": elementwise(node("Acosh")),
        "arctanh": elementwise(node("Atanh")),
        **dict.fromkeys(("deg2rad", "radians"), _times(math.pi / 180)),
        **dict.fromkeys(("rad2deg", "degrees"), _times(180 / math.pi)),
        "sindg": _scaled("Sin", math.pi / 180),
        "cosdg": _scaled("Cos", math.pi / 180),
        "expit": elementwise(node("Sigmoid")),
        "log_expit": elementwise(lambda w, x: w.Neg(_softplus(w, w.Neg(x)))),
        "logit": elementwise(lambda w, x: w.Log(w.Div(x, w.Sub(1, x)))),
        "erf": elementwise(node("Erf")),
        "erfc": elementwise(lambda w, x: w.Sub(1, w.Erf(x))),
        "ndtr": elementwise(lambda w, x: w.Mul(w.Add(w.Erf(w.Mul(x, math.sqrt(0.5))), 1), 0.5)),
        "xlogy": elementwise(lambda w, x, y: _xlogy(w, x, y, w.Log(y))),
        "xlog1py": elementwise(lambda w, x, y: _xlogy(w, x, y, _log1p(w, y))),
        "entr": elementwise(_entropy),
        "rel_entr": elementwise(_relative_entropy),
        "kl_div": elementwise(lambda w, x, y: w.Add(w.Sub(_relative_entropy(w, x, y), x), y)),
        "huber": elementwise(_huber),
        "pseudo_huber": elementwise(_pseudo_huber),
        "invert": _either("BitwiseNot", "Not"),
        "bitwise_and": _either("BitwiseAnd", "And"),
        "bitwise_or": _either("BitwiseOr", "Or"),
        "bitwise_xor": _either("BitwiseXor", "Xor"),
        "left_shift": elementwise(lambda w, a, n: w.Mul(a, w.Pow(w.value(2, a.dtype), n))),
        "right_shift": elementwise(
            lambda w, a, n: _floor_divide(w, a, w.Pow(w.value(2, a.dtype), n))
        ),
    },
    as_result,
)
enter({"equal": elementwise(node("Equal"))}, as_common)
enter({"not_equal": elementwise(lambda w, a, b: w.Not(w.Equal(a, b)))}, as_common)
enter(
    {
        "less": elementwise(node("Less")),
        "less_equal": elementwise(node("LessOrEqual")),
        "greater": elementwise(node("Greater")),
        "greater_equal": elementwise(node("GreaterOrEqual")),
    },
    as_ordered,
)
enter(
    {
        "isnan": elementwise(node("IsNaN")),
        "isinf": elementwise(node("IsInf")),
        "isfinite": elementwise(lambda w, x: w.Not(w.Or(w.IsNaN(x), w.IsInf(x)))),
        "signbit": elementwise(_sign_or_zero),
    },
    as_floating,
)
enter(
    {
        "logical_and": elementwise(node("And")),
        "logical_or": elementwise(node("Or")),
        "logical_xor": elementwise(node("Xor")),
        "logical_not": elementwise(node("Not")),
    },
    as_truth,
)
enter(
    {"where": elementwise(node("Where"))},
    lambda entry: [np.dtype(np.bool_), entry.dtype, entry.dtype],
)
