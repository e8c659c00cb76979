"""Taylor mode: derivatives of high order along a curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.errors import TreeError
from pullback.core.jet import Jet, polynomial
from pullback.transform.inputs import flat_arrays, matching_leaves


def jet(
    function: Callable[..., Any], primals: Sequence[Any], series: Sequence[Sequence[Any]]
) -> tuple[Any, list[Any]]:
    """Return `(out, out_series)`: the value and all derivatives along a curve, to order n.

    The arguments move along curves x(t), given by their values at t = 0, `primals`, and the n
    derivatives there, `series`: for each primal a sequence [x', x'', ...] of n pytrees like it.
    `out_series` is the list of the n derivatives of f(x(t)) at t = 0, pytrees like `out`. These
    are derivatives, not Taylor coefficients (which are they over k!), as in JAX's experimental
    jet. The cost grows polynomially with n, that of nested `jvp` as 2^n.
    (Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008, chapter 13.)
    Raises TreeError or ShapeError where primals and series differ, DTypeError for integer primals.

    >>> import numpy as np, pullback as pb
    >>> one, zero = np.float64(1.0), np.float64(0.0)
    >>> pb.jet(np.exp, (zero,), ([one, zero, zero],))
    (np.float64(1.0), [np.float64(1.0), np.float64(1.0), np.float64(1.0)])
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(series, (tuple, list)):
        raise TreeError(
            "jet: primals and series must be tuples with one entry per argument; "
            "write pb.jet(f, (x,), ([v, w],)) for x' = v, x'' = w"
        )
    if len(series) != len(primals) or not all(isinstance(s, (tuple, list)) for s in series):
        raise TreeError(
            f"series: expected a list of derivatives for each of the {len(primals)} primals, got "
            f"{len(series)} entries of types {[type(s).__name__ for s in series]}"
        )
    orders = {len(s) for s in series}
    if len(orders) > 1:
        raise TreeError(
            f"series: expected derivatives to the same order for each primal, got "
            f"{[len(s) for s in series]}; fill up with zeros"
        )
    order = max(orders, default=0)
    leaves, structure = flat_arrays(tuple(primals), "primals")
    curves = [[leaf] for leaf in leaves]
    for k in range(1, order + 1):
        derivatives = tuple(s[k - 1] for s in series)
        given = matching_leaves(structure, derivatives, leaves, f"derivatives {k} in series")
        for curve, derivative in zip(curves, given, strict=True):
            curve.append(derivative / math.factorial(k))
    trace = Jet(order)
    inputs = [trace.wrap(curve[0], polynomial(curve)) for curve in curves]
    outputs, out_structure = pytree.flatten(function(*pytree.unflatten(structure, inputs)))
    values = [_array(trace.coefficient(x, 0)) for x in outputs]
    out_series = []
    for k in range(1, order + 1):
        coefficients = [trace.coefficient(x, k) for x in outputs]
        pairs = zip(coefficients, values, strict=True)
        scaled = [np.zeros_like(v) if c is None else c * math.factorial(k) for c, v in pairs]
        out_series.append(pytree.unflatten(out_structure, scaled))
    return pytree.unflatten(out_structure, values), out_series


def _array(x: Any) -> Any:
    return x if hasattr(x, "dtype") else np.asarray(x)[()]
