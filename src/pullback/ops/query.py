"""Functions that ask about arrays, create others like them, or test values; nothing is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import aval_of, result_type
from pullback.core.buffer import Buffer
from pullback.core.dispatch import functions, implements
from pullback.core.errors import DTypeError
from pullback.core.tracer import Tracer
from pullback.ops.values import as_array, on_values


@implements(np.shape)
def shape(a: Any) -> Any:
    """Return the shape."""
    return a.shape


@implements(np.ndim)
def ndim(a: Any) -> Any:
    """Return the number of dimensions."""
    return len(a.shape)


@implements(np.size)
def size(a: Any, axis: Any = None) -> Any:
    """Return the number of elements, or the length of one axis."""
    return a.size if axis is None else a.shape[axis]


@implements(np.result_type)
def common_dtype(*arrays_and_dtypes: Any) -> Any:
    """Return NumPy's common dtype."""
    avals = [
        aval_of(a) if isinstance(a, (Tracer, np.ndarray, np.generic, int, float, complex)) else None
        for a in arrays_and_dtypes
    ]
    dtypes = [np.dtype(d) for a, d in zip(avals, arrays_and_dtypes, strict=True) if a is None]
    known = [a for a in avals if a is not None]
    return np.result_type(*dtypes, *([result_type(*known)] if known else []))


def _creator(function: Any) -> Any:
    def create(a: Any, *args: Any, dtype: Any = None, shape: Any = None, **options: Any) -> Any:
        wanted = a.shape if shape is None else shape
        return Buffer(function(wanted, *args, dtype=a.dtype if dtype is None else dtype))

    create.__doc__ = (
        f"Create as np.{function.__name__} does, of the shape and dtype of the traced `a`; the "
        "result takes traced values by assignment."
    )
    return create


implements(np.zeros_like)(_creator(np.zeros))
implements(np.ones_like)(_creator(np.ones))
implements(np.empty_like)(_creator(np.empty))


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, *args: Any, shape: Any = None, **options: Any
) -> Any:
    """Return `fill_value`, which may be traced, in the shape and dtype of `a`, or another shape.

    The result takes traced values by assignment.
    """
    kind = np.dtype(a.dtype if dtype is None else dtype)
    wanted = np.shape(a) if shape is None else shape
    if isinstance(fill_value, Tracer):
        return np.copy(np.broadcast_to(np.astype(fill_value, kind), wanted))  # type: ignore[call-overload]
    return Buffer(np.full(wanted, fill_value, kind))


@implements(np.array, np.asarray, np.asanyarray)
def array(object: Any, dtype: Any = None, *, copy: Any = None, **options: Any) -> Any:
    """Return an array; nested lists may hold traced values, which are stacked."""
    if isinstance(object, Tracer):
        result: Any = np.positive(object)
    elif isinstance(object, (list, tuple)) and _holds_tracer(object):
        result = np.stack([part if np.ndim(part) or isinstance(part, Tracer) else np.asarray(part)
                           for part in map(_inner, object)])  # fmt: skip
    else:
        return np.array(object, dtype=dtype)
    return result if dtype is None else np.astype(result, dtype)


def _inner(part: Any) -> Any:
    return array(part) if isinstance(part, (list, tuple)) else part


def _holds_tracer(parts: Any) -> bool:
    return any(
        isinstance(p, Tracer) or (isinstance(p, (list, tuple)) and _holds_tracer(p)) for p in parts
    )


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """Return a copy, which later assignments to `a` do not reach."""
    return a | False if a.dtype.kind == "b" else +a


for _function in (np.nonzero, np.flatnonzero, np.argwhere):
    functions[_function] = on_values(_function)


@implements(np.allclose)
def allclose(a: Any, b: Any, *args: Any, **options: Any) -> Any:
    """Whether all values are close to each other; piecewise constant."""
    return np.all(isclose(a, b, *args, **options))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether shapes and all values are equal; piecewise constant."""
    return np.shape(a1) == np.shape(a2) and np.all(_same(a1, a2, equal_nan))


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether all values are equal after broadcasting; piecewise constant."""
    try:
        np.broadcast_shapes(np.shape(a1), np.shape(a2))
    except ValueError:
        return False
    return np.all(_same(a1, a2, False))


def _same(a: Any, b: Any, equal_nan: bool) -> Any:
    a, b = as_array(a), as_array(b)
    return (a == b) | ((a != a) & (b != b)) if equal_nan else a == b


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether values are close to each other; piecewise constant."""
    a, b = as_array(a), as_array(b)
    finite = np.isfinite(a) & np.isfinite(b)  # infinities are close to themselves alone
    difference = np.abs(np.where(finite, a, 0) - np.where(finite, b, 0))
    near = finite & (difference <= atol + rtol * np.abs(np.where(finite, b, 0)))
    return near | _same(a, b, equal_nan)


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether a cast is allowed."""
    return np.can_cast(from_.dtype, to, casting)  # type: ignore[arg-type]


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Write `src` into `dst`, which must be traced to take traced values."""
    if not isinstance(dst, Tracer):
        raise DTypeError(
            "np.copyto: a traced value cannot be written into a plain numpy array; create the "
            "destination with np.zeros_like(x) of a traced x, or pb.numpy.zeros"
        )
    dst[...] = np.where(where, src, dst)
