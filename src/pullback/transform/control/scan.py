"""scan, map and fori_loop: loops whose number of steps is known."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval
from pullback.core.errors import ShapeError, TreeError
from pullback.core.step import Step
from pullback.core.tracer import Tracer
from pullback.transform.control.carry import arrays, has_numbers, kept, owned, settled, started
from pullback.transform.control.closure import close, has_no_truth, is_abstract
from pullback.transform.control.scan_op import loop
from pullback.transform.control.unstack import unstack
from pullback.transform.control.while_loop import while_loop


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Return `(carry, ys)`: `carry, y = f(carry, x)` for each x along the first axis of `xs`.

    `init`, the x's and the y's are pytrees of arrays; the carry keeps its structure, shapes and
    dtypes, and the y's are stacked. `length` is needed only where `xs` is None; with `reverse` the
    steps go from the last x to the first, each y staying with its x. On concrete values it is a
    Python loop; under `pb.trace` one operation, however long, and so are its derivatives.
    Raises ShapeError for `xs` of unequal lengths, and TreeError, ShapeError or DTypeError where f
    returns a carry unlike `init`.

    >>> import numpy as np, pullback as pb
    >>> pb.scan(lambda total, x: (total + x, total), 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(6.0), array([0., 1., 3.]))
    """
    xs = arrays(xs)
    count = _length(xs, length)
    if count and not is_abstract((init, xs)):
        done = _run(f, init, xs, count, reverse)
        if done is not None:
            return done
    return _recorded(f, init, xs, count, reverse)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return the results of `f` for each x along the first axis of `xs`, one by one, stacked.

    `xs` and the results are pytrees of arrays. A loop that needs the memory of one step at a time;
    `pb.vmap` computes all at once. Raises as `scan` does.

    >>> import numpy as np, pullback as pb
    >>> pb.map(np.sum, np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([3., 7.])
    """
    return scan(lambda carry, x: (carry, f(x)), None, xs)[1]


def _length(xs: Any, length: int | None) -> int:
    found = {}
    for leaf, path in zip(pytree.leaves(xs), pytree.paths(xs), strict=True):
        if not leaf.shape:
            raise ShapeError(
                f"scan: xs{path.removeprefix('*')} is a number: expected arrays, with the steps "
                "along the first axis. What every step sees is better closed over."
            )
        found[f"xs{path.removeprefix('*')}"] = leaf.shape[0]
    if length is not None:
        found["length"] = int(length)
    if not found:
        raise ShapeError("scan: expected xs, or length= where there is nothing to step through")
    if len(set(found.values())) > 1:
        raise ShapeError(f"scan: expected the same length of all, got {found}")
    count: int = next(iter(found.values()))
    if count < 0:
        raise ShapeError(f"scan: expected length of at least 0, got {count}")
    return count


def _parts(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TreeError(
            f"scan: f must return a pair (carry, y), got {type(result).__name__}; "
            "return (carry, None) where there is no y"
        )
    return result


def _run(f: Any, init: Any, xs: Any, count: int, reverse: bool) -> tuple[Any, Any] | None:
    """Loop in Python; None where f captured a value that only a graph can compute with."""
    leaves, structure = pytree.flatten(xs)
    rows = [unstack(leaf) if isinstance(leaf, Tracer) else leaf for leaf in leaves]

    def step(carry: Any, t: int) -> tuple[Any, Any]:
        x = pytree.unflatten(structure, [row[t] for row in rows])
        new, y = _parts(f(carry, owned(x)))
        return kept(new, carry, "f of scan"), owned(y)

    steps = range(count)[::-1] if reverse else range(count)
    carry = owned(init)
    if has_numbers(init):
        carry = started(carry, step(owned(init), steps[0])[0])
    ys: list[Any] = []
    for t in steps:
        carry, y = step(carry, t)
        if not ys and is_abstract((carry, y)):
            return None
        ys.append(y)
    if reverse:
        ys.reverse()
    return arrays(carry), pytree.map(lambda *parts: np.stack(parts), *ys)


def _recorded(f: Any, init: Any, xs: Any, count: int, reverse: bool) -> tuple[Any, Any]:
    """Trace the body once, and make the loop one operation."""

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        new, y = _parts(f(carry, x))
        return kept(new, carry, "f of scan"), y

    x = pytree.map(lambda leaf: Aval(leaf.shape[1:], leaf.dtype), xs)
    carry = settled(lambda c, x: _parts(f(c, x))[0], init, x, name="f of scan")
    closed = close([body], carry, x)
    graph, leaves = closed.graphs[0], pytree.leaves(carry)
    step = Step(graph, len(closed.captured), len(leaves))
    args = [*closed.captured, *leaves, *pytree.leaves(xs)]
    results = loop(step, args, length=count, reverse=reverse)
    return pytree.unflatten(graph.out_tree, results)  # type: ignore[no-any-return]


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """Return the carry after `carry = body(i, carry)` for each i from `lower` below `upper`.

    The bounds are integers; where they are traced the loop is a `while_loop`. `init` is a pytree
    of arrays, which keeps its structure, shapes and dtypes. Differentiable in both modes.
    Raises TreeError, ShapeError or DTypeError where body returns a carry unlike `init`.

    >>> import pullback as pb
    >>> pb.fori_loop(1, 5, lambda i, product: product * i, 1.0)
    np.float64(24.0)
    """
    if has_no_truth(lower) or has_no_truth(upper):
        _, carry = while_loop(
            lambda state: state[0] < upper,
            lambda state: (state[0] + 1, body(state[0], state[1])),
            (lower, init),
        )
        return carry
    steps = np.arange(operator.index(lower), operator.index(upper))
    if not steps.size:
        return arrays(init)
    return scan(lambda carry, i: (body(i, carry), None), init, steps)[0]
