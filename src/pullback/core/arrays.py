"""What counts as an array where traced ones stand among plain ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import is_differentiable
from pullback.core.foreign import refuse
from pullback.core.tracer import Tracer


def array_of(x: Any) -> Any:
    """Return `x` itself where it is traced, else as an array.

    >>> array_of([1, 2])
    array([1, 2])
    """
    if isinstance(x, Tracer):
        return x
    refuse(x.__class__)
    return np.asarray(x)


def is_array(x: Any) -> bool:
    """Whether `x` is an array or a NumPy scalar, traced or not; Python numbers are none.

    >>> is_array(np.float32(1.0)), is_array(1.0)
    (True, False)
    """
    return isinstance(x, (Tracer, np.ndarray, np.generic))


def is_floating(x: Any) -> bool:
    """Whether `x` is a number or an array that can have a derivative.

    >>> is_floating(1.0), is_floating(np.ones(2)), is_floating(1), is_floating("text")
    (True, True, False, False)
    """
    return isinstance(x, float) or (hasattr(x, "dtype") and is_differentiable(x.dtype))
