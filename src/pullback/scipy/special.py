"""`scipy.special` for traced code.

SciPy's ufuncs (expit, erf, gammaln, xlogy, ...) take tracers as they are and are passed through;
what SciPy writes in Python (logsumexp, softmax, log_softmax, polygamma) is here.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.special import logsumexp
>>> pb.grad(logsumexp)(np.array([0.0, 0.0]))
array([0.5, 0.5])
"""

from __future__ import annotations

from typing import Any

import scipy.special as _special

from pullback.core import dispatch as _dispatch
from pullback.ops import special as _rules  # noqa: F401  fills the tables

_OWN = ("logsumexp", "softmax", "log_softmax", "polygamma")


def __getattr__(name: str) -> Any:
    found = getattr(_special, name)
    return _dispatch.functions[found] if name in _OWN else found


def __dir__() -> list[str]:
    return sorted(set(dir(_special)))
