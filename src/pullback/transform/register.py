"""register: derivative rules for functions of other libraries."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.aval import Aval, aval_of, promotion_key
from pullback.core.dispatch import as_operand, functions, lookup, ufuncs
from pullback.core.errors import ConfigError, NotDifferentiableError, TracerError
from pullback.ops.families import broadcast_shapes
from pullback.transform.foreign import ForeignCall


def register(
    function: Callable[..., Any],
    rule: Callable[..., Any] | None = None,
    *,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    results: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Give a function of another library a derivative; returns a function to call in its place.

    Give either `rule`, a function of the same signature written with functions pullback knows,
    which then runs wherever `function` meets a traced array; or `vjp` and/or `jvp`, and `function`
    itself keeps computing: `vjp(cotangent, out, *args, **options)` gives a tuple with one cotangent
    (None for zero) per argument, `jvp(tangents, out, *args, **options)` the tangent of the result,
    both as NumPy code, which higher derivatives differentiate. Keyword arguments are constants.

    Ufuncs, and functions that follow NumPy's protocols (NEP 13 and NEP 18), are then
    differentiable wherever they are called, by whomever; for others call the function returned.
    For a ufunc shapes and dtypes follow NumPy's rules and cotangents are summed over broadcast
    axes; for others `results(*args, **options)`, which gets avals in place of arrays and gives
    those of the result, is needed in `pb.trace` only. Registering again replaces the rule.
    Raises ConfigError for a function of pullback's own table, or where `rule` and `vjp`/`jvp` are
    both or neither given.

    >>> import numpy as np, pullback as pb
    >>> def softsign(x):
    ...     return x / (1 + abs(x))
    >>> f = pb.register(softsign, vjp=lambda ct, out, x: (ct / (1 + np.abs(x)) ** 2,))
    >>> pb.grad(f)(1.0)
    np.float64(0.25)
    """
    name = getattr(function, "__name__", repr(function))
    if (rule is None) == (vjp is None and jvp is None):
        raise ConfigError(f"register({name}): expected either rule=..., or vjp=... and/or jvp=...")
    table = ufuncs if isinstance(function, np.ufunc) else functions
    if function not in _registered and _is_known(table, function):
        raise ConfigError(
            f"register({name}): pullback has a rule for it already; wrap it in a function of your "
            "own and give that one a rule with pb.custom_jvp or pb.custom_vjp"
        )
    replacement = rule or _foreign(function, vjp, jvp, results)
    table[function] = replacement
    _registered.add(function)
    return replacement


_registered: set[Any] = set()


def _is_known(table: Any, function: Any) -> bool:
    try:
        lookup(table, function)  # in the modules too that are imported when first needed
    except NotDifferentiableError:
        return False
    return True


def _foreign(function: Any, vjp: Any, jvp: Any, results: Any) -> Callable[..., Any]:
    """Return the function that calls `function` on plain arrays, with the rules given."""
    elementwise = isinstance(function, np.ufunc)
    if results is None:
        results = _ufunc_results(function) if elementwise else _unknown_results(function)

    def call(*args: Any, **options: Any) -> Any:
        given = [as_operand(a) for a in args] if elementwise else args
        return ForeignCall(
            function, given, options, results=results, vjp=vjp, jvp=jvp, elementwise=elementwise
        ).apply()

    functools.update_wrapper(call, function, assigned=("__name__", "__doc__"), updated=())
    return call


def _ufunc_results(ufunc: np.ufunc) -> Callable[..., Any]:
    def results(*args: Any, **options: Any) -> Any:
        avals = [aval_of(a) for a in args]
        shape = broadcast_shapes(ufunc.__name__, *[a.shape for a in avals])
        keys = (*map(promotion_key, avals), *(None,) * ufunc.nout)
        found = ufunc.resolve_dtypes(keys)[ufunc.nin :]
        outs = tuple(Aval(shape, dtype) for dtype in found)
        return outs if ufunc.nout > 1 else outs[0]

    return results


def _unknown_results(function: Any) -> Callable[..., Any]:
    def results(*args: Any, **options: Any) -> Any:
        raise TracerError(
            f"the shape of what {function.__name__!r} returns is not known while tracing: give "
            "pb.register a function results=..., from avals of the arguments to that of the result"
        )

    return results
