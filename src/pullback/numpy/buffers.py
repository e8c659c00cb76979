"""traced_buffers: NumPy's own creation functions make arrays that take traced values."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from pullback.core import dispatch
from pullback.core.buffer import Buffer

_CREATORS = ("zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like")
_NUMPY, _OURS = os.path.dirname(np.__file__), os.path.dirname(os.path.dirname(__file__))
_SCIPY = os.path.join(os.path.dirname(_NUMPY), "scipy")
_LIBRARIES = tuple(folder + os.sep for folder in (_NUMPY, _SCIPY, _OURS))
"""Folders whose code gets NumPy's own arrays, as it expects."""

_active: ContextVar[bool] = ContextVar("traced_buffers", default=False)
_lock = threading.Lock()
_entered = 0
_originals: dict[str, Callable[..., Any]] = {}


@contextlib.contextmanager
def traced_buffers() -> Iterator[None]:
    """Let `np.zeros` and its like make arrays that take traced values, while this is entered.

    For code that cannot be changed, and that does `b = np.zeros(3); b[:2] = x` with a traced `x`,
    which no protocol of NumPy can see. Inside, `numpy.zeros`, `ones`, `empty`, `full`, their
    `_like` variants and `array` return buffers or take lists of traced values, in this context
    (thread or task) only, and only where they are called as `numpy.zeros`, not by a name imported
    from NumPy before.

    >>> import numpy as np, pullback as pb
    >>> def f(x):
    ...     b = np.zeros(3)
    ...     b[:2] = x * x
    ...     return np.sum(b)
    >>> with pb.traced_buffers():
    ...     gradient = pb.grad(f)(np.array([1.0, 2.0]))
    >>> gradient
    array([2., 4.])
    """
    _enter()
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)
        _leave()


def _enter() -> None:
    global _entered
    with _lock:
        if _entered == 0:
            for name in (*_CREATORS, "array"):
                _originals[name] = getattr(np, name)
                setattr(np, name, _replacement(name, _originals[name]))
        _entered += 1


def _leave() -> None:
    global _entered
    with _lock:
        _entered -= 1
        if _entered == 0:
            for name, original in _originals.items():
                setattr(np, name, original)


def _replacement(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def create(*args: Any, **options: Any) -> Any:
        caller = sys._getframe(1).f_code.co_filename
        if not _active.get() or caller.startswith(_LIBRARIES):
            return original(*args, **options)
        if name == "array":
            return dispatch.functions[original](*args, **options)
        made = original(*args, **options)
        return Buffer(made) if isinstance(made, np.ndarray) else made

    create.__name__, create.__doc__ = original.__name__, original.__doc__
    return create
