"""Parameters of distributions: their order in SciPy's signatures, and where they are allowed."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.dispatch import as_operand

NAN, INFINITY = float("nan"), float("inf")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and the interval it lies in; the ends belong to it where it is `closed`."""

    name: str
    lower: float = 0.0
    upper: float = INFINITY
    closed: bool = False
    default: float | None = None

    def allows(self, value: Any) -> Any:
        """Return where `value` is in the interval; NaN is not."""
        if self.closed:
            return np.greater_equal(value, self.lower) & np.less_equal(value, self.upper)
        return np.greater(value, self.lower) & np.less(value, self.upper)

    @property
    def example(self) -> float:
        """A value inside the interval, to compute with where the result is masked."""
        return self.lower + 0.5 if math.isfinite(self.lower) else 0.0


LOC = Parameter("loc", -INFINITY, INFINITY, default=0.0)
SCALE = Parameter("scale", default=1.0)


def bound(
    distribution: str,
    parameters: Sequence[Parameter],
    x: Any,
    args: Sequence[Any],
    keywords: Mapping[str, Any],
) -> list[Any]:
    """Return the point `x` and the value of each parameter, given by position or by name.

    Python numbers take the dtype of the arrays among them, so that float32 stays float32.
    Raises TypeError, as Python does, for a missing, doubled or unknown one.
    """
    names = [p.name for p in parameters]
    given = dict(zip(names, args, strict=False))
    values = {**given, **keywords}
    wrong = [name for name in keywords if name not in names or name in given]
    missing = [p.name for p in parameters if p.default is None and p.name not in values]
    if len(args) > len(names) or wrong or missing:
        raise TypeError(
            f"{distribution}: expected the parameters (x, {', '.join(names)}), each once; got "
            f"{len(args)} after x and the keywords {sorted(keywords)}"
        )
    full = [as_operand(v) for v in (x, *(values.get(p.name, p.default) for p in parameters))]
    strong = [v.dtype for v in full if hasattr(v, "dtype")]
    dtype = np.result_type(*strong) if strong else np.dtype(float)
    target = dtype if dtype.kind == "f" else np.dtype(float)
    return [v if hasattr(v, "dtype") else target.type(v) for v in full]


def admitted(parameters: Sequence[Parameter], values: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return where all `values` are allowed, and the values with an example where they are not."""
    fine = [p.allows(v) for p, v in zip(parameters, values, strict=True)]
    safe = [np.where(f, v, p.example) for p, f, v in zip(parameters, fine, values, strict=True)]
    return functools.reduce(operator.and_, fine), safe


def scalar(x: Any) -> Any:
    """Return a 0-d array as NumPy's scalar, as its functions do."""
    return x[()] if isinstance(x, np.ndarray) else x
