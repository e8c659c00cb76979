"""`scipy.special` for traced code.

SciPy's ufuncs (expit, erf, gammaln, jv, ...) take traced arrays as they are and are passed
through; what SciPy writes in Python (logsumexp, softmax, polygamma, multigammaln, zeta, lambertw,
comb, factorial) is here under the same name and signature. Without traced arguments it is SciPy's.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.special import logsumexp
>>> pb.grad(logsumexp)(np.array([0.0, 0.0]))
array([0.5, 0.5])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import scipy.special as _special

from pullback.core import dispatch as _dispatch
from pullback.core import pytree as _pytree
from pullback.core.tracer import Tracer as _Tracer
from pullback.ops import special as _rules  # noqa: F401  fills the tables


def __getattr__(name: str) -> Any:
    found = getattr(_special, name)
    rule = _dispatch.functions.get(found) if callable(found) else None
    return found if rule is None else _where_traced(rule, found)


def __dir__() -> list[str]:
    return sorted(set(dir(_special)))


@functools.cache
def _where_traced(rule: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what calls `rule` for traced arguments, and SciPy's own function for all others."""

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        traced = any(isinstance(x, _Tracer) for x in _pytree.leaves((args, kwargs)))
        return (rule if traced else function)(*args, **kwargs)

    return either
