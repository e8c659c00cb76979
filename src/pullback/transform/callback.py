"""pure_callback: call code that cannot be traced, with a gradient of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import DTypeError, ShapeError
from pullback.transform.foreign import ForeignCall


def pure_callback(
    function: Callable[..., Any],
    result_avals: Any,
    *args: Any,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
) -> Any:
    """Return `function(*args)`, called on plain NumPy arrays even where `args` are traced.

    The function may be any code: a compiled library, a solver, a simulation; it must be pure (the
    same for the same arguments, which it leaves alone). `result_avals` is a pytree of what has a
    shape and a dtype (`Aval`s, arrays) like its result. In `pb.trace` the call becomes one
    operation of the graph; `pb.vmap` calls it for one example after the other.

    Derivatives need a rule. `vjp(cotangent, out, *args)` gives a tuple with one cotangent pytree
    (None for zero) per argument. `jvp(tangents, out, *args)` gives the tangent of the result; it
    serves reverse mode too if it is NumPy code, being linear in the tangents. Rules are
    differentiated for higher derivatives and traced in graphs: inside a rule, call what cannot be
    traced by `pure_callback` again.
    Raises NotDifferentiableError where it is differentiated without a rule, ShapeError and
    DTypeError where a result differs from `result_avals`.

    >>> import math, numpy as np, pullback as pb
    >>> def cube(x):
    ...     return pb.pure_callback(
    ...         lambda x: np.float64(math.pow(x, 3)), pb.Aval((), float), x,
    ...         vjp=lambda ct, out, x: (ct * 3 * x**2,),
    ...     )
    >>> pb.grad(cube)(2.0), pb.grad(pb.grad(cube))(2.0)
    (np.float64(12.0), np.float64(12.0))
    """
    expected, structure = pytree.flatten(result_avals)
    avals = [aval_of(x) for x in expected]
    name = getattr(function, "__name__", type(function).__name__)

    def checked(*plain: Any) -> Any:
        leaves = pytree.match(structure, function(*plain), f"the result of {name!r}")
        for leaf, aval in zip(leaves, avals, strict=True):
            got = aval_of(leaf)
            if got.shape != aval.shape:
                raise ShapeError(
                    f"{name!r} returned the shape {got.shape}, but result_avals says {aval.shape}"
                )
            if got.dtype != aval.dtype and not got.weak:
                raise DTypeError(
                    f"{name!r} returned {got.dtype}, but result_avals says {aval.dtype}; cast the "
                    f"result with np.asarray(result, {aval.dtype.name!r}), or correct result_avals"
                )
        cast = [np.asarray(x, a.dtype) for x, a in zip(leaves, avals, strict=True)]
        return pytree.unflatten(structure, cast)

    checked.__name__ = name
    call = ForeignCall(checked, args, {}, results=lambda *_: result_avals, vjp=vjp, jvp=jvp)
    return call.apply()
