"""NumPy's namespace for traced code: `import pullback.numpy as np` in place of NumPy's.

Tracers answer NumPy's own functions, so most names here *are* NumPy's. What differs is the
creation of arrays: `zeros`, `ones`, `empty`, `full` and `array` give arrays that take traced
values by assignment, or from lists that hold them, which NumPy's own cannot.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any

import numpy as _np

from pullback.core import dispatch as _dispatch
from pullback.core.arrays import array_of as _array_of
from pullback.core.buffer import Buffer as _Buffer
from pullback.core.tracer import Tracer as _Tracer


def zeros(shape: Any, dtype: Any = float, *, device: Any = None) -> Any:
    """Return an array of zeros that takes traced values by assignment.

    >>> import pullback as pb
    >>> def f(x):
    ...     y = pb.numpy.zeros(3)
    ...     y[:2] = x * x
    ...     return y.sum()
    >>> pb.grad(f)(pb.numpy.array([1.0, 2.0]))
    array([2., 4.])
    """
    return _Buffer(_np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = float, *, device: Any = None) -> Any:
    """Return an array of ones that takes traced values by assignment; see `zeros`.

    >>> ones(2, "f4").sum()
    np.float32(2.0)
    """
    return _Buffer(_np.ones(shape, dtype))


def empty(shape: Any, dtype: Any = float, *, device: Any = None) -> Any:
    """Return an uninitialised array that takes traced values by assignment; see `zeros`.

    >>> empty((2, 3)).shape
    (2, 3)
    """
    return _Buffer(_np.empty(shape, dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Return an array of `fill_value`, which may be traced, that takes traced values.

    >>> import pullback as pb
    >>> pb.grad(lambda x: pb.numpy.full(3, x * x).sum())(2.0)
    np.float64(12.0)
    """
    if dtype is None:
        dtype = _array_of(fill_value).dtype
    buffer = _Buffer(_np.zeros(shape, dtype))
    buffer[...] = fill_value
    return buffer


def array(object: Any, dtype: Any = None, *, copy: Any = None, device: Any = None) -> Any:
    """Return an array of `object`: numbers, an array, or nested lists that may hold traced values.

    >>> import pullback as pb
    >>> pb.grad(lambda x: pb.numpy.array([x, 2 * x]).sum())(1.0)
    np.float64(3.0)
    """
    return _dispatch.functions[_np.array](object, dtype=dtype)


def asarray(object: Any, dtype: Any = None, *, copy: Any = None, device: Any = None) -> Any:
    """Return `object` as an array, itself where it is one of `dtype`; see `array`.

    >>> x = ones(2)
    >>> asarray(x) is x, asarray([1, 2])
    (True, array([1, 2]))
    """
    is_array = isinstance(object, (_Tracer, _np.ndarray))
    if is_array and not copy and dtype in (None, object.dtype):
        return object
    return array(object, dtype=dtype)


def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    """Return elements of `a`, an array or traced, at `indices`, which may be traced too.

    NumPy's own take, and indexing, do not notice that the index into a plain array is traced.

    >>> import numpy as np, pullback as pb
    >>> table = np.array([10.0, 20.0, 30.0])
    >>> pb.vmap(lambda i: pb.numpy.take(table, i))(np.array([2, 0]))
    array([30., 10.])
    """
    return _dispatch.functions[_np.take](_np.asarray(a) if isinstance(a, list) else a,
                                         indices, axis=axis, mode=mode)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "random":
        return _importlib.import_module("pullback.numpy.random")
    return getattr(_np, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_np)})
