"""Values and gradients of scientific code as loops written by hand, compiled by Numba.

Numba does not differentiate: the loops backward are what a person would write. Each function
takes the inputs of its task in `pullback.bench.science` and returns the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def log_sum_exp(x: Any) -> Any:
    """Return log-sum-exp of each row, added, and its slope, the softmax of each row."""
    slope, total = np.empty_like(x), 0.0
    for i in range(x.shape[0]):
        highest, mass = np.max(x[i]), 0.0
        for j in range(x.shape[1]):
            slope[i, j] = np.exp(x[i, j] - highest)
            mass += slope[i, j]
        total += highest + np.log(mass)
        for j in range(x.shape[1]):
            slope[i, j] /= mass
    return total, slope


def potential_energy(places: Any, masses: Any) -> Any:
    """Return the energy of all pairs, each counted once, and its slope by the places."""
    total, slope = 0.0, np.zeros_like(places)
    for i in range(len(masses)):
        total -= 0.5 * masses[i] * masses[i] / np.sqrt(1e-2)
        for j in range(i):
            x = places[i, 0] - places[j, 0]
            y = places[i, 1] - places[j, 1]
            z = places[i, 2] - places[j, 2]
            near = 1 / np.sqrt(x * x + y * y + z * z + 1e-2)
            energy = masses[i] * masses[j] * near
            total -= energy
            pull = energy * near * near
            for k, d in enumerate((x, y, z)):
                slope[i, k] += pull * d
                slope[j, k] -= pull * d
    return total, slope


def runge_kutta(p: Any, start: Any) -> Any:
    """Return the value after 1,000 steps, and its slope by the parameters."""
    h, count, (a, b) = 0.01, 1000, start
    kept = np.empty((count, 4, 2))
    weights, along = (h / 6, h / 3, h / 3, h / 6), (0.0, h / 2, h / 2, h)
    for t in range(count):
        da, db, ka, kb = 0.0, 0.0, 0.0, 0.0
        for s in range(4):
            u, v = a + along[s] * ka, b + along[s] * kb
            kept[t, s] = u, v
            ka, kb = p[0] * u - p[1] * u * v, p[3] * u * v - p[2] * v
            da, db = da + weights[s] * ka, db + weights[s] * kb
        a, b = a + da, b + db
    slope, ga, gb = np.zeros(4), 2 * a, 1.0
    for t in range(count - 1, -1, -1):
        ya, yb, ca, cb = ga, gb, 0.0, 0.0
        for s in range(3, -1, -1):
            u, v = kept[t, s]
            # what stage s adds to the step, and to the point of the next stage
            ca, cb = ca + weights[s] * ga, cb + weights[s] * gb
            slope[0] += ca * u
            slope[1] -= ca * u * v
            slope[2] -= cb * v
            slope[3] += cb * u * v
            ua = ca * (p[0] - p[1] * v) + cb * p[3] * v
            ub = cb * (p[3] * u - p[2]) - ca * p[1] * u
            ya, yb = ya + ua, yb + ub
            ca, cb = along[s] * ua, along[s] * ub
        ga, gb = ya, yb
    return a * a + b, slope


def horner(parameters: Any) -> Any:
    """Return the values of a polynomial, added, and the slopes by coefficients and points."""
    coefficients, x = parameters
    last, total = len(coefficients) - 1, 0.0
    slopes, along, partial = np.zeros(last + 1), np.empty_like(x), np.empty(last + 1)
    for i in range(len(x)):
        partial[last] = coefficients[last]
        for k in range(last - 1, -1, -1):
            partial[k] = partial[k + 1] * x[i] + coefficients[k]
        total += partial[0]
        power, along[i] = 1.0, 0.0
        for k in range(last):
            slopes[k] += power
            along[i] += power * partial[k + 1]
            power *= x[i]
        slopes[last] += power
    return total, (slopes, along)


BY_HAND = {
    "bodies": potential_energy,
    "ode": runge_kutta,
    "log-sum-exp": log_sum_exp,
    "horner": horner,
}
