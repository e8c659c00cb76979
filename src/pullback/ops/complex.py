"""Parts of complex numbers, and changes of dtype.

The convention is JAX's: cotangents multiply by the derivative without conjugation, so the gradient
of a real function is the conjugate of the direction of steepest ascent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval, is_differentiable
from pullback.core.dispatch import functions, implements, ufuncs
from pullback.core.op import call
from pullback.ops.batching import pointwise
from pullback.ops.comparison import absolute, real_sign
from pullback.ops.families import chain, general, linear, same_as_first
from pullback.ops.shape import as_view


def _real_aval(x: Aval, **params: Any) -> Aval:
    return Aval(x.shape, np.empty(0, x.dtype).real.dtype)


def _complex_samples(rng: np.random.Generator) -> Any:
    return [
        ((rng.normal(size=shape) + 1j * rng.normal(size=shape),), {})
        for shape in ((3, 2), (), (0, 2))
    ]


real_part = linear(
    "real",
    np.real,
    lambda i, ct, args, params: ct,
    infer=_real_aval,
    batch=pointwise("real"),
    samples=_complex_samples,
)
imaginary_part = linear(
    "imag",
    np.imag,
    lambda i, ct, args, params: ct * -1j,
    infer=_real_aval,
    batch=pointwise("imag"),
    samples=_complex_samples,
)
conjugate = linear(
    "conjugate",
    np.conjugate,
    lambda i, ct, args, params: np.conjugate(ct),
    infer=same_as_first,
    batch=pointwise("conjugate"),
    samples=_complex_samples,
)


def _joined(re: Any, im: Any) -> Any:
    out = np.empty(np.broadcast_shapes(re.shape, im.shape), np.result_type(re, np.complex64))
    out.real, out.imag = re, im
    return out[()]


complex_of = linear(
    "complex_of",
    _joined,
    lambda i, ct, args, params: ct * 1j if i else ct,
    infer=lambda re, im: Aval(
        np.broadcast_shapes(re.shape, im.shape), np.result_type(re.dtype, np.complex64)
    ),
    batch=pointwise("complex_of"),
    samples=lambda rng: [
        ((rng.normal(size=shape), rng.normal(size=shape)), {}) for shape in ((3, 2), (), (0, 2))
    ],
    arguments=(0, 1),
    notation=call("complex"),
)


def _unit(x: Any, out: Any) -> Any:
    """Return x / |x|, and 0 at 0."""
    return x / np.where(out == 0, 1, out)


complex_absolute = general(
    "complex_absolute",
    np.absolute,
    vjp=lambda i, ct, out, args, params: chain(ct, np.conjugate(_unit(args[0], out)), bounded=True),
    jvp=lambda tangents, out, args, params: np.real(
        chain(tangents[0], np.conjugate(_unit(args[0], out)), bounded=True)
    ),
    infer=_real_aval,
    batch=pointwise("complex_absolute"),
    samples=_complex_samples,
    notation=call("abs"),
    undefined_at="x = 0: 0",
)


@implements(np.absolute)
def abs_of(x: Any) -> Any:
    """Return |x| of real or complex numbers."""
    return complex_absolute(x) if x.dtype.kind == "c" else absolute(x)


@implements(np.sign)
def sign(x: Any) -> Any:
    """Return x / |x| of real or complex numbers, and 0 at 0."""
    return _unit(x, np.absolute(x)) if x.dtype.kind == "c" else real_sign(x)


ufuncs[np.conjugate] = lambda x: conjugate(x) if x.dtype.kind == "c" else x


@implements(np.real)
def real(val: Any) -> Any:
    """Return the real part, a view; a real array is its own."""
    if val.dtype.kind != "c":
        return val
    return as_view(
        real_part(val), val, real_part, lambda base, new: complex_of(new, imaginary_part(base))
    )


@implements(np.imag)
def imag(val: Any) -> Any:
    """Return the imaginary part, a view; zeros for a real array."""
    if val.dtype.kind != "c":
        return np.broadcast_to(np.zeros((), val.dtype), val.shape)  # read-only, as NumPy's
    return as_view(
        imaginary_part(val), val, imaginary_part, lambda base, new: complex_of(real_part(base), new)
    )


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """Return the argument of complex numbers, in radians or degrees."""
    result = np.arctan2(np.imag(z), np.real(z))
    return np.rad2deg(result) if deg else result


def _cast_samples(rng: np.random.Generator) -> Any:
    return [
        ((rng.normal(size=(2, 3)),), {"dtype": np.dtype(np.complex128)}),
        ((rng.normal(size=()),), {"dtype": np.dtype(np.float64)}),
    ]


cast = linear(
    "astype",
    lambda x, dtype: np.asarray(x).astype(dtype)[()],
    lambda i, ct, args, params: ct,
    infer=lambda x, dtype: Aval(x.shape, dtype),
    batch=pointwise("astype"),
    samples=_cast_samples,
)
discrete_cast = general(
    "discrete_astype",
    lambda x, dtype: np.asarray(x).astype(dtype)[()],
    vjp=None,
    jvp=None,
    infer=lambda x, dtype: Aval(x.shape, dtype),
    batch=pointwise("discrete_astype"),
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"dtype": np.dtype(np.int64)})],
    notation=call("astype"),
)


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None, **options: Any) -> Any:
    """Cast to another dtype; the gradient is cast back. No gradient flows through integers."""
    target = np.dtype(dtype)
    if target == x.dtype:
        return np.copy(x) if copy else x
    return (cast if is_differentiable(target) else discrete_cast)(x, dtype=target)


functions.setdefault(np.iscomplexobj, lambda x: x.dtype.kind == "c")
functions.setdefault(np.isrealobj, lambda x: x.dtype.kind != "c")
