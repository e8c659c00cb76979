"""The table of the importer: each ONNX operator as a function of arrays.

Its positional parameters are the operator's inputs (None where one is left out), its keyword-only
parameters the attributes, by their names in ONNX. What a function does not take is not supported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.tracer import Tracer

OPERATORS: dict[str, Callable[..., Any]] = {}
"""The functions by the operator's name. Those in SEVERAL return a tuple."""

SEVERAL = {"GRU", "If", "LSTM", "LayerNormalization", "Loop", "RNN", "Scan", "Split", "TopK"}
"""The operators with more than one result; of others only the first one is supported."""


def integers(x: Any) -> list[int]:
    """Return the integers of a vector that must be known when the model is called."""
    if isinstance(x, Tracer):
        x = x.concrete("an ONNX model that computes a shape or an axis from its input's values")
    return [int(i) for i in np.atleast_1d(x)]


def integer(x: Any) -> int:
    """Return the one integer of `x`."""
    return integers(x)[0]


def cast(x: Any, dtype: Any) -> Any:
    """Return `x` in `dtype`."""
    return array_of(x).astype(np.dtype(dtype))


def wide(x: Any) -> Any:
    """Return `x` in a dtype that sums of squares fit into: float32 for float16."""
    return cast(x, np.float32) if x.dtype == np.float16 else x
