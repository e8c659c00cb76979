"""How numbers are made: mantissa and exponent, bits and divisors, parts that vanish."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import functions, implements
from pullback.ops.axes import all_axes
from pullback.ops.batching import pointwise
from pullback.ops.families import broadcast_shapes, elementwise, linear
from pullback.ops.reduce import finish
from pullback.ops.values import as_array, concrete, on_values


def _ldexp_samples(rng: np.random.Generator) -> Any:
    shapes: list[Any] = [((3, 4), (3, 4)), ((), ()), ((3, 1), (4,)), ((0, 2), ())]
    return [((rng.normal(size=s), rng.integers(-2, 4, t)), {}) for s, t in shapes]


ldexp = linear(
    "ldexp",
    np.ldexp,
    lambda i, ct, args, params: np.ldexp(ct, args[1]),
    infer=lambda x, n: Aval(
        broadcast_shapes("ldexp", x.shape, n.shape), np.ldexp(np.empty(0, x.dtype), 1).dtype
    ),
    batch=pointwise("ldexp"),
    samples=_ldexp_samples,
)
exponent = elementwise(
    lambda x: np.frexp(x)[1], None, name="exponent", dtype=lambda x: np.dtype(np.intc)
)
implements(np.ldexp)(ldexp)


@implements(np.frexp)
def frexp(x: Any) -> tuple[Any, Any]:
    """Return mantissa and exponent; the exponent is piecewise constant."""
    n = exponent(x)
    return ldexp(x, -n), n


elementwise(np.bitwise_count, None)
elementwise(np.gcd, None, None)
elementwise(np.lcm, None, None)

_on_whole_numbers: Any = (
    np.packbits, np.unpackbits, np.ravel_multi_index, np.unravel_index,
    np.array2string, np.array_repr, np.array_str, np.min_scalar_type,
)  # fmt: skip
for _function in _on_whole_numbers:
    functions[_function] = on_values(_function)


@implements(np.i0)
def i0(x: Any) -> Any:
    """Return the modified Bessel function of order 0."""
    import scipy.special  # where the function and its derivatives are; slow to import

    return scipy.special.i0(x)


@implements(np.isposinf)
def isposinf(x: Any, out: Any = None) -> Any:
    """Whether elements are +infinity; piecewise constant."""
    return finish(x == np.inf, out)


@implements(np.isneginf)
def isneginf(x: Any, out: Any = None) -> Any:
    """Whether elements are -infinity; piecewise constant."""
    return finish(x == -np.inf, out)


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Whether the imaginary parts are 0; piecewise constant."""
    return np.imag(x) == 0


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Whether the imaginary parts are not 0; piecewise constant."""
    return np.imag(x) != 0


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """Return the real part if no imaginary part exceeds `tol` times the rounding error."""
    if a.dtype.kind != "c":
        return a
    imaginary = np.imag(concrete(a, "np.real_if_close"))
    bound = tol * np.finfo(a.dtype).eps if tol > 1 else tol
    return np.real(a) if np.all(np.abs(imaginary) < bound) else a


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Cut zeros off the front ("f") and back ("b"), of all axes or those given."""
    filt = as_array(filt)
    sides = trim.lower()
    if sides not in ("f", "b", "fb", "bf"):
        raise ValueError(f"trim: expected 'f', 'b' or 'fb', got {trim!r}")
    places = np.argwhere(np.asarray(concrete(filt, "np.trim_zeros")))
    index = [slice(None)] * filt.ndim
    for i in all_axes(axis, filt.ndim):
        n = filt.shape[i]
        first, stop = (places[:, i].min(), places[:, i].max() + 1) if len(places) else (n, n)
        index[i] = slice(int(first) if "f" in sides else 0, int(stop) if "b" in sides else n)
        if not len(places):
            index[i] = slice(0, 0)
    return filt[tuple(index)]


def _of_dtypes(function: Any) -> Any:
    def answer(*arrays: Any) -> Any:
        return function(*[np.empty(0, as_array(a).dtype) for a in arrays])

    answer.__doc__ = f"Return what np.{function.__name__} says of the dtypes."
    return answer


implements(np.common_type)(_of_dtypes(np.common_type))
