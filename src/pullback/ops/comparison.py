"""Comparisons, choices and steps: functions whose own derivative is piecewise constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval, result_type
from pullback.core.dispatch import as_operand, functions, implements, ufuncs, write_out
from pullback.core.op import Notation, infix, prefix
from pullback.ops.batching import pointwise
from pullback.ops.families import broadcast_shapes, elementwise, linear


def _choice(ufunc: Any, wins: Any) -> Any:
    """Define maximum, minimum and the like: the gradient goes to the argument that is chosen."""

    def share(z: Any, x: Any, y: Any) -> Any:
        return np.where(x == y, 0.5, wins(x, y)).astype(z.dtype)

    return elementwise(
        ufunc,
        lambda z, x, y: share(z, x, y),
        lambda z, x, y: share(z, y, x),
        undefined_at="x = y: half to each, as in JAX",
        selects=True,
    )


maximum = _choice(np.maximum, np.greater)
minimum = _choice(np.minimum, np.less)
fmax = _choice(np.fmax, lambda x, y: (x > y) | (y != y))
fmin = _choice(np.fmin, lambda x, y: (x < y) | (y != y))

absolute = elementwise(
    np.absolute,
    lambda y, x: np.sign(x),
    notation=Notation("call", "abs"),
    undefined_at="x = 0: 0, the subgradient of least norm",
    bounded=True,
)
fabs = elementwise(np.fabs, lambda y, x: np.sign(x), undefined_at="x = 0: 0", bounded=True)
copysign = elementwise(
    np.copysign,
    lambda z, x, y: np.sign(x) * np.sign(z),
    None,
    undefined_at="x = 0: 0",
)
heaviside = elementwise(
    np.heaviside, None, lambda z, x, h: np.equal(x, 0).astype(z.dtype), undefined_at="x = 0: 0 in x"
)

_FRACTIONS = "x / y whole: as from the right; y = 0: NaN"
remainder = elementwise(
    np.remainder,
    1,
    lambda z, x, y: -np.floor(x / y),
    domain=((0.3, 0.9), (1.0, 2.0)),
    undefined_at=_FRACTIONS,
)
fmod = elementwise(
    np.fmod,
    1,
    lambda z, x, y: -np.trunc(x / y),
    domain=((0.3, 0.9), (1.0, 2.0)),
    undefined_at=_FRACTIONS,
)

# piecewise constant: no gradient flows through
_constant_unary: tuple[Any, ...] = (
    np.floor, np.ceil, np.trunc, np.rint, np.isnan, np.isinf, np.isfinite,
    np.logical_not, np.signbit, np.spacing,
)  # fmt: skip
for _unary in _constant_unary:
    elementwise(_unary, None)
real_sign = elementwise(np.sign, None)
invert = elementwise(np.invert, None, notation=prefix("~", 30))
floor_divide = elementwise(
    np.floor_divide, None, None, notation=infix("//", 20), domain=((0.3, 0.9), (1.0, 2.0))
)
_constant_binary: dict[Any, str] = {
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.equal: "==",
    np.not_equal: "!=",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.bitwise_xor: "^",
    np.left_shift: "<<",
    np.right_shift: ">>",
}
for _binary, _symbol in _constant_binary.items():
    elementwise(_binary, None, None, notation=infix(_symbol, 5))
for _binary in (np.logical_and, np.logical_or, np.logical_xor):
    elementwise(_binary, None, None)
elementwise(np.nextafter, 1, None)  # x, but for a rounding
ufuncs[np.divmod] = lambda x, y: (floor_divide(x, y), remainder(x, y))
ufuncs[np.modf] = lambda x: (x - np.trunc(x), np.trunc(x))


def _where_infer(condition: Aval, x: Aval, y: Aval) -> Aval:
    shape = broadcast_shapes("where", condition.shape, x.shape, y.shape)
    return Aval(shape, result_type(x, y))


def _where_samples(rng: np.random.Generator) -> Any:
    def draw(*shapes: tuple[int, ...]) -> Any:
        return (rng.random(shapes[0]) < 0.5, *[rng.normal(size=s) for s in shapes[1:]])

    return [
        (draw((3, 4), (3, 4), (3, 4)), {}),
        (draw((), (), ()), {}),
        (draw((3, 1), (4,), (2, 3, 4)), {}),
        (draw((0, 2), (0, 2), ()), {}),
    ]


choose_where = linear(
    "where",
    np.where,
    lambda i, ct, args, params: np.where(args[0], ct, 0) if i == 1 else np.where(args[0], 0, ct),
    infer=_where_infer,
    batch=pointwise("where"),
    samples=_where_samples,
    arguments=(1, 2),
)


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Choose from `x` where `condition` holds, else from `y`; alone, the indices where it holds."""
    if x is None or y is None:
        return functions[np.nonzero](condition)
    return choose_where(*map(as_operand, (condition, x, y)))


@implements(np.clip)
def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None,
    *, min: Any = None, max: Any = None,
) -> Any:  # fmt: skip
    """Limit values to an interval; the gradient is 1 inside, 0 outside, and 1/2 on the edge."""
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    result = a
    if low is not None:
        result = maximum(result, low)
    if high is not None:
        result = minimum(result, high)
    if out is not None:
        out[...] = result
        return out
    return +result if result is a else result


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Round to `decimals`; piecewise constant, so no gradient flows through."""
    scale = 10.0**decimals
    return _written(np.rint(a * scale) / scale if decimals else np.rint(a), out)


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    """Round towards zero; piecewise constant."""
    return _written(np.trunc(x), out)


def _written(result: Any, out: Any) -> Any:
    return result if out is None else write_out(out, result)
