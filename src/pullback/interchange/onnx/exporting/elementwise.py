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
    enter_expressions,
    node,
)


def _sign_bit(w: Any, x: Any) -> Any:
    """Whether the sign bit of x is set, of -0.0 too."""
    return w.Less(w.Where(w.Equal(x, 0), w.Reciprocal(x), x), 0)


def _zero_if(w: Any, condition: Any, x: Any) -> Any:
    return w.Where(condition, 0, x)


def _logaddexp(w: Any, a: Any, b: Any) -> Any:
    """max + log(1 + exp(-|a - b|)), where two infinities of one sign are not subtracted."""
    d = _zero_if(w, w.Equal(a, b), w.Sub(a, b))
    return w.Add(w.Max(a, b), w.Softplus(w.Neg(w.Abs(d))))


def _logaddexp2(w: Any, a: Any, b: Any) -> Any:
    ln2 = math.log(2)
    return w.Div(_logaddexp(w, w.Mul(a, ln2), w.Mul(b, ln2)), ln2)


def _hypot(w: Any, a: Any, b: Any) -> Any:
    """The greater one times sqrt(1 + ratio^2), whose squares do not overflow."""
    a, b = w.Abs(a), w.Abs(b)
    most = w.Max(a, b)
    alike = w.Equal(a, b)  # two zeros or infinities, too
    ratio = w.Where(alike, 1, w.Div(w.Min(a, b), w.Where(alike, 1, most)))
    return w.Mul(most, w.Sqrt(w.Add(w.Mul(ratio, ratio), 1)))


def _arctan2(w: Any, y: Any, x: Any) -> Any:
    up = w.Where(_sign_bit(w, y), w.value(-1.0, y.dtype), w.value(1.0, y.dtype))
    diagonal = w.And(w.IsInf(y), w.IsInf(x))
    right = w.Atan(w.Where(diagonal, w.Mul(w.Sign(y), w.Sign(x)), w.Div(y, x)))
    left = w.Add(right, w.Mul(up, math.pi))
    axis = w.Mul(w.Mul(up, math.pi / 2), w.Abs(w.Sign(y)))
    pole = w.Add(axis, w.Where(_sign_bit(w, x), w.Mul(up, math.pi), 0))
    here = w.Where(w.Equal(y, 0), pole, axis)
    return w.Where(w.Equal(x, 0), here, w.Where(w.Less(x, 0), left, right))


def _remainder(w: Any, a: Any, b: Any) -> Any:
    """The remainder with the sign of b, as in Python; ONNX has that for integers only."""
    if a.dtype.kind != "f":
        return w.Mod(a, b)
    r = w.Mod(a, b, fmod=1)
    return w.Where(_opposed(w, r, b), w.Add(r, b), r)


def _floor_divide(w: Any, a: Any, b: Any) -> Any:
    if a.dtype.kind != "f":
        return w.Div(w.Sub(a, w.Mod(a, b)), b)
    r = w.Mod(a, b, fmod=1)
    towards_zero = w.Round(w.Div(w.Sub(a, r), b))
    below = w.Where(_opposed(w, r, b), w.Sub(towards_zero, 1), towards_zero)
    return w.Where(w.Equal(b, 0), w.Div(a, b), below)


def _opposed(w: Any, a: Any, b: Any) -> Any:
    return w.Less(w.Mul(w.Sign(a), w.Sign(b)), 0)


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
    zero, known = w.Equal(x, 0), w.Not(w.Or(w.IsNaN(x), w.IsNaN(y)))
    product = w.Mul(x, w.Log(w.Div(w.Where(zero, 1, x), y)))
    outside = w.Or(w.Less(x, 0), w.Or(w.Less(y, 0), w.And(w.Greater(x, 0), w.Equal(y, 0))))
    inside = _zero_if(w, w.And(known, zero), product)
    return w.Where(w.And(known, outside), math.inf, inside)


def _huber(w: Any, delta: Any, r: Any) -> Any:
    a = w.Abs(r)
    tails = w.Mul(delta, w.Sub(a, w.Mul(delta, 0.5)))
    return w.Where(w.LessOrEqual(a, delta), w.Mul(w.Mul(r, r), 0.5), tails)


def _pseudo_huber(w: Any, delta: Any, r: Any) -> Any:
    ratio = w.Div(r, delta)
    return w.Mul(w.Mul(delta, delta), w.Sub(w.Sqrt(w.Add(w.Mul(ratio, ratio), 1)), 1))


def _scaled(name: str, factor: float) -> Any:
    return lambda w, x: getattr(w, name)(w.Mul(x, factor))


def _times(factor: float) -> Any:
    return lambda w, x: w.Mul(x, factor)


def _either(number: str, truth: str) -> Any:
    """One operator for numbers, another for booleans."""
    return lambda w, *xs: getattr(w, truth if xs[0].dtype == bool else number)(*xs)


enter_expressions(
    {
        "add": _either("Add", "Or"),
        "subtract": node("Sub"),
        "multiply": _either("Mul", "And"),
        "divide": node("Div"),
        "negative": node("Neg"),
        "positive": node("Identity"),
        "absolute": node("Abs"),
        "fabs": node("Abs"),
        "sign": node("Sign"),
        "square": lambda w, x: w.Mul(x, x),
        "sqrt": node("Sqrt"),
        "cbrt": lambda w, x: w.Mul(w.Sign(x), w.Pow(w.Abs(x), 1 / 3)),
        "reciprocal": node("Reciprocal"),
        "power": node("Pow"),
        "exp": node("Exp"),
        "exp2": lambda w, x: w.Pow(w.value(2, x.dtype), x),
        "exp10": lambda w, x: w.Pow(w.value(10, x.dtype), x),
        "expm1": _expm1,
        "log": node("Log"),
        "log2": lambda w, x: w.Div(w.Log(x), math.log(2)),
        "log10": lambda w, x: w.Div(w.Log(x), math.log(10)),
        "log1p": _log1p,
        "logaddexp": _logaddexp,
        "logaddexp2": _logaddexp2,
        "hypot": _hypot,
        "maximum": _either("Max", "Or"),
        "minimum": _either("Min", "And"),
        "fmax": lambda w, a, b: w.Where(w.IsNaN(a), b, w.Where(w.IsNaN(b), a, w.Max(a, b))),
        "fmin": lambda w, a, b: w.Where(w.IsNaN(a), b, w.Where(w.IsNaN(b), a, w.Min(a, b))),
        "remainder": _remainder,
        "fmod": node("Mod", fmod=1),
        "floor_divide": _floor_divide,
        "floor": node("Floor"),
        "ceil": node("Ceil"),
        "rint": node("Round"),
        "trunc": _truncated,
        "copysign": lambda w, a, b: w.Where(_sign_bit(w, b), w.Neg(w.Abs(a)), w.Abs(a)),
        "heaviside": lambda w, x, half: w.Where(
            w.Equal(x, 0), half, w.Where(w.IsNaN(x), x, w.Max(w.Sign(x), 0))
        ),
        "chain_product": lambda w, x, s: _zero_if(w, w.Equal(x, 0), w.Mul(x, s)),
        "ldexp": lambda w, x, n: w.Mul(x, w.Pow(w.value(2, n.dtype), n)),
        "sin": node("Sin"),
        "cos": node("Cos"),
        "tan": node("Tan"),
        "arcsin": node("Asin"),
        "arccos": node("Acos"),
        "arctan": node("Atan"),
        "arctan2": _arctan2,
        "sinh": node("Sinh"),
        "cosh": node("Cosh"),
        "tanh": node("Tanh"),
        "arcsinh": node("Asinh"),
        "arccosh": node("Acosh"),
        "arctanh": node("Atanh"),
        **dict.fromkeys(("deg2rad", "radians"), _times(math.pi / 180)),
        **dict.fromkeys(("rad2deg", "degrees"), _times(180 / math.pi)),
        "sindg": _scaled("Sin", math.pi / 180),
        "cosdg": _scaled("Cos", math.pi / 180),
        "expit": node("Sigmoid"),
        "log_expit": lambda w, x: w.Neg(w.Softplus(w.Neg(x))),
        "logit": lambda w, x: w.Log(w.Div(x, w.Sub(1, x))),
        "erf": node("Erf"),
        "erfc": lambda w, x: w.Sub(1, w.Erf(x)),
        "ndtr": lambda w, x: w.Mul(w.Add(w.Erf(w.Mul(x, math.sqrt(0.5))), 1), 0.5),
        "xlogy": lambda w, x, y: _xlogy(w, x, y, w.Log(y)),
        "xlog1py": lambda w, x, y: _xlogy(w, x, y, _log1p(w, y)),
        "entr": _entropy,
        "rel_entr": _relative_entropy,
        "kl_div": lambda w, x, y: w.Add(w.Sub(_relative_entropy(w, x, y), x), y),
        "huber": _huber,
        "pseudo_huber": _pseudo_huber,
        "invert": _either("BitwiseNot", "Not"),
        "bitwise_and": _either("BitwiseAnd", "And"),
        "bitwise_or": _either("BitwiseOr", "Or"),
        "bitwise_xor": _either("BitwiseXor", "Xor"),
        "left_shift": lambda w, a, n: w.Mul(a, w.Pow(w.value(2, a.dtype), n)),
        "right_shift": lambda w, a, n: _floor_divide(w, a, w.Pow(w.value(2, a.dtype), n)),
    },
    as_result,
)
enter_expressions({"equal": node("Equal")}, as_common)
enter_expressions({"not_equal": lambda w, a, b: w.Not(w.Equal(a, b))}, as_common)
enter_expressions(
    {
        "less": node("Less"),
        "less_equal": node("LessOrEqual"),
        "greater": node("Greater"),
        "greater_equal": node("GreaterOrEqual"),
    },
    as_ordered,
)
enter_expressions(
    {
        "isnan": node("IsNaN"),
        "isinf": node("IsInf"),
        "isfinite": lambda w, x: w.Not(w.Or(w.IsNaN(x), w.IsInf(x))),
        "signbit": _sign_bit,
    },
    as_floating,
)
enter_expressions(
    {
        "logical_and": node("And"),
        "logical_or": node("Or"),
        "logical_xor": node("Xor"),
        "logical_not": node("Not"),
    },
    as_truth,
)
enter_expressions(
    {"where": node("Where")},
    lambda entry: [np.dtype(np.bool_), entry.dtype, entry.dtype],
)
