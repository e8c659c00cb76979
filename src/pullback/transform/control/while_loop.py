"""while_loop: a loop whose number of steps depends on values, differentiable in both modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError, ShapeError
from pullback.core.step import Step
from pullback.transform.control.carry import arrays, kept, owned, settled
from pullback.transform.control.closure import close, has_no_truth, is_abstract
from pullback.transform.control.while_op import while_op


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init: Any,
    max_iterations: int | None = None,
) -> Any:
    """Return the carry after `carry = body_fun(carry)` for as long as `cond_fun(carry)` holds.

    `init` is a pytree of arrays, which keeps its structure, shapes and dtypes; `cond_fun` returns
    one boolean. The loop ends after `max_iterations` also where the condition still holds, which
    bounds the memory of reverse mode: it records the carry of every step. The number of steps is
    taken as constant by derivatives, as it is but where it jumps. On concrete values it is a
    Python loop; under `pb.trace` one operation, which derivatives of any order run again.
    Raises ShapeError where the condition is no scalar, and TreeError, ShapeError or DTypeError
    where body_fun returns a carry unlike `init`.

    >>> import pullback as pb
    >>> def root(a):  # Newton's method for x * x = a
    ...     return pb.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)
    >>> f"{pb.grad(root)(4.0):.6f}"
    '0.250000'
    """
    if max_iterations is not None and max_iterations < 0:
        raise ConfigError(f"while_loop: max_iterations: expected at least 0, got {max_iterations}")
    carry, count = owned(init), 0
    while count != max_iterations:
        goes_on = cond_fun(carry)
        _one_truth(goes_on)
        if has_no_truth(goes_on) or is_abstract(carry):
            return _recorded(cond_fun, body_fun, init, max_iterations)
        if not goes_on:
            break
        carry = kept(body_fun(carry), carry, "body_fun of while_loop")
        count += 1
    return arrays(carry)


def _one_truth(x: Any) -> None:
    shape = aval_of(x).shape
    if shape:
        raise ShapeError(
            f"while_loop: cond_fun must return one boolean, got shape {shape}; "
            "reduce it with np.any or np.all"
        )


def _recorded(cond_fun: Any, body_fun: Any, init: Any, limit: int | None) -> Any:
    """Trace condition and body once each, and make the loop one operation."""

    def body(carry: Any) -> Any:
        return kept(body_fun(carry), carry, "body_fun of while_loop")

    carry = settled(body_fun, init, name="body_fun of while_loop")
    closed = close([cond_fun, body], carry)
    condition, graph = closed.graphs
    leaves, structure = pytree.flatten(carry)
    step = Step(graph, len(closed.captured), len(leaves))
    out = while_op(*closed.captured, *leaves, condition=condition, step=step, limit=limit)
    return pytree.unflatten(structure, out[1:])
