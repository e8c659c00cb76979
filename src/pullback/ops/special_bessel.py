"""Bessel, modified Bessel and Airy functions of real argument; differentiable in the argument.

Formulas are those of the Digital Library of Mathematical Functions (DLMF), chapters 9 and 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.dispatch import implements
from pullback.core.errors import NotDifferentiableError
from pullback.core.op import Op
from pullback.ops.families import POSITIVE, dtype_of, elementwise
from pullback.ops.special_parameters import constant, whole_then

ORDERED = whole_then(1, 0, 4, POSITIVE)
POLE = "x = 0: infinite"
KINK = "x = 0 for even order: 0, the mean of both sides, since the scale is exp(-|x|)"

# DLMF 10.6.1 and 10.6.2 for J and Y: 2 C_v' = C_(v-1) - C_(v+1), and C_0' = -C_1
j0 = elementwise(sp.j0, lambda y, x: -sp.j1(x))
j1 = elementwise(sp.j1, lambda y, x: (sp.j0(x) - sp.jv(2, x)) / 2)
jv = elementwise(
    sp.jv,
    constant("jv", "v"),
    lambda y, v, x: (sp.jv(v - 1, x) - sp.jv(v + 1, x)) / 2,
    samples=ORDERED,
    undefined_at="x = 0: infinite for v below 1 that is not whole",
)
y0 = elementwise(sp.y0, lambda y, x: -sp.y1(x), domain=POSITIVE, undefined_at=POLE)
y1 = elementwise(
    sp.y1, lambda y, x: (sp.y0(x) - sp.yv(2, x)) / 2, domain=POSITIVE, undefined_at=POLE
)
yv = elementwise(
    sp.yv,
    constant("yv", "v"),
    lambda y, v, x: (sp.yv(v - 1, x) - sp.yv(v + 1, x)) / 2,
    samples=ORDERED,
    undefined_at=POLE,
)
yn = elementwise(
    sp.yn,
    constant("yn", "n"),
    lambda y, n, x: (sp.yv(n - 1, x) - sp.yv(n + 1, x)) / 2,
    samples=ORDERED,
    undefined_at=POLE,
)

# DLMF 10.29.1 and 10.29.3 for I and K: 2 I_v' = I_(v-1) + I_(v+1), 2 K_v' = -K_(v-1) - K_(v+1)
i0 = elementwise(sp.i0, lambda y, x: sp.i1(x))
i1 = elementwise(sp.i1, lambda y, x: (sp.i0(x) + sp.iv(2, x)) / 2)
iv = elementwise(
    sp.iv,
    constant("iv", "v"),
    lambda y, v, x: (sp.iv(v - 1, x) + sp.iv(v + 1, x)) / 2,
    samples=ORDERED,
    undefined_at="x = 0: infinite for v below 1 that is not whole",
)
k0 = elementwise(sp.k0, lambda y, x: -sp.k1(x), domain=POSITIVE, undefined_at=POLE)
k1 = elementwise(
    sp.k1, lambda y, x: -(sp.k0(x) + sp.kv(2, x)) / 2, domain=POSITIVE, undefined_at=POLE
)
kv = elementwise(
    sp.kv,
    constant("kv", "v"),
    lambda y, v, x: -(sp.kv(v - 1, x) + sp.kv(v + 1, x)) / 2,
    samples=ORDERED,
    undefined_at=POLE,
)
kn = elementwise(
    sp.kn,
    constant("kn", "n"),
    lambda y, n, x: -(sp.kv(n - 1, x) + sp.kv(n + 1, x)) / 2,
    samples=ORDERED,
    undefined_at=POLE,
)

# Scaled: exp(-|x|) I_v(x) and exp(x) K_v(x)
i0e = elementwise(
    sp.i0e, lambda y, x: sp.i1e(x) - np.sign(x) * sp.i0e(x), domain=POSITIVE, undefined_at=KINK
)
i1e = elementwise(
    sp.i1e,
    lambda y, x: (sp.i0e(x) + sp.ive(2, x)) / 2 - np.sign(x) * sp.i1e(x),
    domain=POSITIVE,
    undefined_at="x = -inf or inf: NaN, where the slope tends to 0",
)


def _ive_slope(y: Any, v: Any, x: Any) -> Any:
    if x.dtype.kind == "c":
        raise NotDifferentiableError(
            "scipy.special.ive has no complex derivative, since its scale is exp(-|Re x|): write "
            "sp.iv(v, x) * np.exp(-x)"
        )
    return (sp.ive(v - 1, x) + sp.ive(v + 1, x)) / 2 - np.sign(x) * sp.ive(v, x)


ive = elementwise(
    sp.ive,
    constant("ive", "v"),
    _ive_slope,
    samples=ORDERED,
    undefined_at=KINK,
)
k0e = elementwise(sp.k0e, lambda y, x: sp.k0e(x) - sp.k1e(x), domain=POSITIVE, undefined_at=POLE)
k1e = elementwise(
    sp.k1e,
    lambda y, x: sp.k1e(x) - (sp.k0e(x) + sp.kve(2, x)) / 2,
    domain=POSITIVE,
    undefined_at=POLE,
)
kve = elementwise(
    sp.kve,
    constant("kve", "v"),
    lambda y, v, x: sp.kve(v, x) - (sp.kve(v - 1, x) + sp.kve(v + 1, x)) / 2,
    samples=ORDERED,
    undefined_at=POLE,
)

# DLMF 9.2.1: Ai'' = x Ai, and so for Bi
airy_ai: Op = elementwise(
    lambda x: sp.airy(x)[0], lambda y, x: airy_ai_slope(x), name="airy_ai", dtype=dtype_of(sp.airy)
)
airy_ai_slope: Op = elementwise(
    lambda x: sp.airy(x)[1],
    lambda y, x: x * airy_ai(x),
    name="airy_ai_slope",
    dtype=dtype_of(sp.airy),
)
airy_bi: Op = elementwise(
    lambda x: sp.airy(x)[2], lambda y, x: airy_bi_slope(x), name="airy_bi", dtype=dtype_of(sp.airy)
)
airy_bi_slope: Op = elementwise(
    lambda x: sp.airy(x)[3],
    lambda y, x: x * airy_bi(x),
    name="airy_bi_slope",
    dtype=dtype_of(sp.airy),
)


@implements(sp.airy)
def airy(x: Any) -> tuple[Any, Any, Any, Any]:
    """Return Ai, Ai', Bi and Bi'."""
    return airy_ai(x), airy_ai_slope(x), airy_bi(x), airy_bi_slope(x)
