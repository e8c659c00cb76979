"""`scipy.integrate` for traced code: ordinary differential equations.

SciPy's integrators compute the solution and, on further differential equations, its derivatives.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.integrate import solve_ivp
>>> def final(rate):
...     solution = solve_ivp(lambda t, y, k: -k * y, (0.0, 1.0), [2.0], args=(rate,), rtol=1e-9)
...     return solution.y[0, -1]
>>> round(float(pb.grad(final)(0.5)), 5), round(float(-2 * np.exp(-0.5)), 5)
(-1.21306, -1.21306)
"""

from pullback.scipy.integrate.initial_value import Solution, odeint, solve_ivp

__all__ = ["Solution", "odeint", "solve_ivp"]
