"""The inverse circular functions.

Polynomials are minimax, by Remez' exchange.
"""

from __future__ import annotations

import math

from pullback.native.functions.reals import Real, choose, fused, polynomial

HALF_PI_REST = (-4.371139000186241e-08, 6.123233995736766e-17)
"""What pi / 2 is more than its nearest number of the dtype."""


def _arc_tail(t: Real) -> Real:
    """Return arctan(t) - t, for t from 0 to 1."""
    z = t * t
    p = polynomial(z, t.pick(
        (-0.001793617159, 0.01091459391, -0.03117784176, 0.0579576095, -0.08403452513,
         0.1095218695, -0.1426424198, 0.1999854832, -0.3333329909),
        (1.322503148563494e-05, -0.00015216042521312044, 0.0008313198179210171,
         -0.0028849127275029874, 0.007196492134188654, -0.013900544659396894,
         0.021984837256443176, -0.029903845718888575, 0.03664190311670846,
         -0.042191785881498724, 0.047223220836917504, -0.05253518516341418,
         0.05880527807208952, -0.06666404056514875, 0.07692279839192374,
         -0.09090907002985958, 0.11111111007026064, -0.14285714282575115,
         0.1999999999995146, -0.3333333333333307),
    ))  # fmt: skip
    return z * t * p


def _from(turns: float, x: Real, rest: Real) -> Real:
    """Return turns * pi - (x + rest)."""
    low: float = x.pick(*HALF_PI_REST) * 2 * turns
    return (turns * math.pi - x) - (rest - low)


def arctan(x: Real) -> Real:
    """The inverse of tan."""
    size = abs(x)
    beyond = size > 1.0
    t = choose(beyond, 1.0 / size, size)
    tail = _arc_tail(t)
    return choose(beyond, _from(0.5, t, tail), t + tail).signed_as(x)


def arctan2(y: Real, x: Real) -> Real:
    """The angle of the point (x, y)."""
    height, width = abs(y), abs(x)
    steep = height > width
    less, more = choose(steep, width, height), choose(steep, height, width)
    t = choose(less.equals(more), choose(more.equals(0.0), more, 1.0), less / more)
    tail = _arc_tail(t)
    arc = choose(steep, _from(0.5, t, tail), t + tail)
    lost = choose(steep, 0.0, tail - (arc - t))
    arc = choose(x.like(1.0).signed_as(x) < 0.0, _from(1.0, arc, lost), arc)
    return choose(x.compare("uno", y), math.nan, arc).signed_as(y)


def _half_arc(x: Real) -> tuple[Real, Real]:
    """Return s and t so that arcsin(s) = s + t: s is x if |x| <= 1/2, else sqrt((1 - |x|) / 2)."""
    size = abs(x)
    far = size > 0.5
    z = choose(far, fused(size, -0.5, 0.5), size * size)
    s = choose(far, z.sqrt(), size)
    p = polynomial(z, x.pick(
        (0.04216632193, 0.02417950734, 0.04547037713, 0.07495297641, 0.1666675248),
        (0.0326286509035969, -0.020999108713579486, 0.021707482626664783, 0.0037063923419589757,
         0.010780257869049866, 0.011398911107855637, 0.013980820723292514, 0.0173516119943814,
         0.022372214989050752, 0.03038194270771894, 0.044642857174613616, 0.07499999999970798,
         0.1666666666666676),
    ))  # fmt: skip
    return s, s * z * p


def arcsin(x: Real) -> Real:
    """The inverse of sin."""
    s, tail = _half_arc(x)
    far = _from(0.5, s + s, tail + tail)
    return choose(abs(x) > 0.5, far, s + tail).signed_as(x)


def arccos(x: Real) -> Real:
    """The inverse of cos."""
    s, tail = _half_arc(x)
    near = _from(0.5, s.signed_as(x), tail.signed_as(x))
    far = choose(x < 0.0, _from(1.0, s + s, tail + tail), (s + s) + (tail + tail))
    return choose(abs(x) > 0.5, far, near)
