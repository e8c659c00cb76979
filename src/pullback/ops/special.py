"""SciPy's special functions. Imported when one is first met, since SciPy is slow to import."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.dispatch import implements, ufuncs
from pullback.core.errors import NotDifferentiableError
from pullback.core.op import Op
from pullback.ops.batching import pointwise
from pullback.ops.families import POSITIVE, elementwise, general, same_as_first

UNIT = (0.15, 0.85)
TWO_OVER_ROOT_PI = float(2 / np.sqrt(np.pi))

expit = elementwise(sp.expit, lambda y, x: y * (1 - y))
log_expit = elementwise(sp.log_expit, lambda y, x: sp.expit(-x))
logit = elementwise(
    sp.logit, lambda y, x: 1 / (x * (1 - x)), domain=UNIT, undefined_at="x = 0 or 1: infinite"
)
erf = elementwise(sp.erf, lambda y, x: TWO_OVER_ROOT_PI * np.exp(-x * x))
erfc = elementwise(sp.erfc, lambda y, x: -TWO_OVER_ROOT_PI * np.exp(-x * x))
erfinv = elementwise(
    sp.erfinv,
    lambda y, x: np.exp(y * y) / TWO_OVER_ROOT_PI,
    domain=(-0.8, 0.8),
    undefined_at="x = -1 or 1: infinite",
)
ndtr = elementwise(sp.ndtr, lambda y, x: np.exp(-x * x / 2) / float(np.sqrt(2 * np.pi)))


@implements(sp.polygamma)
def polygamma(n: int, x: Any) -> Any:
    """Return the n-th derivative of the digamma function."""
    return digamma(x) if n == 0 else polygamma_op(x, n=int(n))


_WHOLE = "x a whole number below 1: NaN"
gammaln = elementwise(sp.gammaln, lambda y, x: sp.digamma(x), domain=POSITIVE, undefined_at=_WHOLE)
gamma = elementwise(sp.gamma, lambda y, x: y * sp.digamma(x), domain=POSITIVE, undefined_at=_WHOLE)
digamma = elementwise(
    sp.digamma, lambda y, x: polygamma(1, x), name="digamma", domain=POSITIVE, undefined_at=_WHOLE
)

polygamma_op: Op = general(
    "polygamma",
    lambda x, n: np.asarray(sp.polygamma(n, x)).astype(x.dtype)[()],
    vjp=lambda i, ct, out, args, params: ct * polygamma(params["n"] + 1, args[0]),
    jvp=lambda tangents, out, args, params: tangents[0] * polygamma(params["n"] + 1, args[0]),
    infer=lambda x, n: same_as_first(x),
    batch=pointwise("polygamma"),
    samples=lambda rng: [((rng.uniform(0.5, 3.0, (2, 3)),), {"n": n}) for n in (1, 2)],
    undefined_at=_WHOLE,
)


@implements(sp.betaln)
def betaln(a: Any, b: Any) -> Any:
    """Return the logarithm of the beta function."""
    return sp.gammaln(a) + sp.gammaln(b) - sp.gammaln(np.add(a, b))


@implements(sp.beta)
def beta(a: Any, b: Any) -> Any:
    """Return the beta function, for positive arguments."""
    return np.exp(sp.betaln(a, b))


xlogy = elementwise(
    sp.xlogy,
    lambda z, x, y: np.log(np.where((x == 0) & (y == 0), 1, y)),
    lambda z, x, y: x / np.where((x == 0) & (y == 0), 1, y),
    domain=(POSITIVE, POSITIVE),
    undefined_at="y = 0: infinite, but 0 where x = 0 too",
)
xlog1py = elementwise(
    sp.xlog1py,
    lambda z, x, y: np.log1p(y),
    lambda z, x, y: x / (1 + y),
    domain=(POSITIVE, POSITIVE),
    undefined_at="y = -1: infinite",
)
entr = elementwise(
    sp.entr,
    lambda y, x: -np.log(x) - 1,
    domain=POSITIVE,
    undefined_at="x = 0: infinite",
)
rel_entr = elementwise(
    sp.rel_entr,
    lambda z, x, y: np.log(x / y) + 1,
    lambda z, x, y: -x / y,
    domain=(POSITIVE, POSITIVE),
    undefined_at="x = 0 or y = 0: infinite or NaN",
)
kl_div = elementwise(
    sp.kl_div,
    lambda z, x, y: np.log(x / y),
    lambda z, x, y: 1 - x / y,
    domain=(POSITIVE, POSITIVE),
    undefined_at="x = 0 or y = 0: infinite or NaN",
)
ufuncs[sp.psi] = digamma


@implements(sp.logsumexp)
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """Return log(sum(b * exp(a))) without overflow."""
    if return_sign:
        raise NotDifferentiableError("logsumexp(return_sign=True) has no derivative rule")
    if b is not None:  # a term of weight 0 counts for nothing, however large
        a = np.where((np.equal(b, 0)) & (a == float("inf")), float("-inf"), a)
    largest = _constant_max(a, axis)
    terms = np.exp(a - largest)
    total = np.sum(terms if b is None else b * terms, axis=axis, keepdims=True)
    result = np.log(total) + largest
    return result if keepdims else np.squeeze(result, axis=axis)


def _constant_max(a: Any, axis: Any) -> Any:
    """Return the maximum as a constant (it cancels), 0 where it is infinite."""
    from pullback.ops.complex import discrete_cast

    largest = np.max(a, axis=axis, keepdims=True)
    fixed = discrete_cast(largest, dtype=np.dtype(a.dtype))  # a cast that no gradient passes
    return np.where(np.isfinite(fixed), fixed, 0)


@implements(sp.softmax)
def softmax(x: Any, axis: Any = None) -> Any:
    """Return exp(x) / sum(exp(x)) over `axis`."""
    terms = np.exp(x - _constant_max(x, axis))
    return terms / np.sum(terms, axis=axis, keepdims=True)


@implements(sp.log_softmax)
def log_softmax(x: Any, axis: Any = None) -> Any:
    """Return x - logsumexp(x) over `axis`."""
    shifted = x - _constant_max(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
