"""`scipy.special` for traced code.

SciPy's ufuncs (expit, erf, gammaln, jv, ...) take traced arrays as they are and are passed
through; what SciPy writes in Python (logsumexp, softmax, polygamma, multigammaln, zeta, lambertw,
comb, factorial) is replaced by functions of the same signature.

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


def __getattr__(name: str) -> Any:
    found = getattr(_special, name)
    return _dispatch.functions.get(found, found) if callable(found) else found


def __dir__() -> list[str]:
    return sorted(set(dir(_special)))
