"""A loop that keeps a few snapshots of its state, at the binomial optimum of extra steps.

Going back through n steps with s snapshots, the optimum runs t(n, s) = r n - C(s + r, r - 1) steps
besides those that are differentiated, where r is the least number with C(s + r, s) >= n: no step
is advanced over more than r times.
(Griewank, Walther, Algorithm 799: revolve, ACM Trans. Math. Softw. 26, 2000, 19-45.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.batch import BatchTrace
from pullback.core.errors import ConfigError, NotDifferentiableError, ShapeError
from pullback.core.segment import again, runs
from pullback.core.tape import Tape
from pullback.core.tracer import Tracer, highest_trace
from pullback.ops.batching import batch_size, spread_to
from pullback.transform.batching import vmap
from pullback.transform.custom import custom_vjp
from pullback.transform.inputs import copied, flat_arrays
from pullback.transform.reverse import pull_back

Step = Callable[..., Any]


def checkpointed_loop(
    step: Step, state: Any, count: int, *args: Any, snapshots: int | None = None
) -> Any:
    """Return the state after `count` steps `state = step(state, *args)`.

    `state` and `args` are pytrees of floating arrays; a step keeps the structure, shapes and dtypes
    of the state. Reverse mode keeps `snapshots` states, the first one among them, and one step;
    it runs the step as few times as is possible so. Without `snapshots` they are as many as let no
    step run more than three times: about sqrt(2 count). What the derivative is wanted of must be in
    `state` or `args`; a step that closes over it raises NotDifferentiableError. A step must not
    assign into its state in place (NumPy says so: it is read-only). vmap runs a step for all
    examples at once, forward mode sees a plain loop.
    Raises ConfigError for a count or a number of snapshots that makes no sense, TreeError and
    ShapeError where a step changes the form of the state.

    >>> import numpy as np, pullback as pb
    >>> def logistic_map(x, r):
    ...     return r * x * (1 - x)
    >>> def after(x, r):
    ...     return pb.checkpointed_loop(logistic_map, x, 30, r, snapshots=4)
    >>> x, r = np.float64(0.1), np.float64(2.0)
    >>> np.round(pb.grad(after, argnums=1)(x, r), 12)
    np.float64(0.25)
    """
    count = _whole(count, "count", 0)
    spare = _fewest_snapshots(count) if snapshots is None else _whole(snapshots, "snapshots", 1)
    leaves, form = flat_arrays(state, "the state of checkpointed_loop")
    parameters, parameter_form = flat_arrays(args, "the arguments of checkpointed_loop")

    def flat_step(leaves: Sequence[Any], parameters: Sequence[Any]) -> list[Any]:
        given = pytree.unflatten(parameter_form, parameters)
        new = pytree.match(form, step(pytree.unflatten(form, leaves), *given), "step(state)")
        return [_unchanged(a, b) for a, b in zip(new, leaves, strict=True)]

    return pytree.unflatten(form, _loop(flat_step, copied(leaves), parameters, count, spare))


def _loop(step: Step, leaves: Any, parameters: Any, count: int, snapshots: int) -> Any:
    """Return the leaves of the state after `count` steps, by the trace that they are in."""
    top = highest_trace([*leaves, *parameters])
    if isinstance(top, BatchTrace):
        return _for_each_example(top, step, leaves, parameters, count, snapshots)
    if count == 0 or not isinstance(top, Tape):
        return _advance(step, leaves, parameters, count)
    loop = custom_vjp(lambda leaves, parameters: _advance(step, leaves, parameters, count))

    def forward(leaves: Any, parameters: Any) -> tuple[Any, _Reversal]:
        reversal = _Reversal(step, leaves, parameters, count, snapshots)
        return reversal.out, reversal

    loop.defvjp(forward, lambda reversal, cotangent: reversal.pull_back(cotangent))
    return loop(leaves, parameters)


def _for_each_example(
    trace: BatchTrace, step: Step, leaves: Any, parameters: Any, count: int, snapshots: int
) -> Any:
    """Return the leaves of the state after a loop whose steps do all examples at once."""
    arrays = [*leaves, *parameters]
    mine = [isinstance(x, Tracer) and x.context is trace for x in arrays]
    batched = [m and bool(x.node) for x, m in zip(arrays, mine, strict=True)]
    values = [x.value if m else x for x, m in zip(arrays, mine, strict=True)]
    n = len(leaves)
    if any(batched):
        values[:n] = spread_to(batch_size(values, batched), values[:n], batched[:n])
        step = vmap(step, ([0] * n, [0 if b else None for b in batched[n:]]))
    out = _loop(step, values[:n], values[n:], count, snapshots)
    return [trace.wrap(x, any(batched)) for x in out]


def extra_steps(count: int, snapshots: int) -> int:
    """Return how many steps are run besides the `count` that are differentiated.

    >>> extra_steps(10, 10), extra_steps(10, 3), extra_steps(10, 1)
    (9, 15, 45)
    """
    repeats = _repeats(count, snapshots)
    return repeats * count - _reach(snapshots + 1, repeats - 1)


class _Reversal:
    """A loop run once, with its snapshots, and the way back."""

    def __init__(
        self, step: Step, leaves: Any, parameters: Any, count: int, snapshots: int
    ) -> None:
        self.step, self.parameters = step, parameters
        self.count, self.snapshots = count, snapshots
        self.stack = [(0, leaves)]
        before = self._state_before(count - 1)
        self.out, self.last = pull_back(step, before, parameters)
        top, bottom = highest_trace(self.out), highest_trace([*leaves, *parameters])
        if top is not None and (bottom is None or top.level > bottom.level):
            raise NotDifferentiableError(
                "checkpointed_loop: the step closes over a value that is differentiated; pass it "
                "as an argument: checkpointed_loop(step, state, count, value), with "
                "def step(state, value)"
            )

    def _state_before(self, last: int) -> Any:
        """Return the state before step `last`, with snapshots on the way there."""
        position, leaves = self.stack[-1]
        while position < last:
            free = self.snapshots - len(self.stack)
            stride = _stride(last + 1 - position, free + 1)
            leaves = _advance(self.step, _read_only(leaves), self.parameters, stride)
            position += stride
            if free:
                self.stack.append((position, leaves))
        return leaves

    def pull_back(self, cotangent: Any) -> tuple[Any, Any]:
        """Return the cotangents of the first state and of the parameters."""
        totals: list[Any] = [None] * len(self.parameters)
        for k in reversed(range(self.count)):
            while self.stack[-1][0] > k:
                self.stack.pop()
            pullback, self.last = self.last, None
            if pullback is None:
                position, leaves = self.stack[-1]
                run = next(runs)
                self.stack[-1] = position, [again(x, run) for x in leaves]
                _, pullback = pull_back(self.step, self._state_before(k), self.parameters)
            cotangent, found = pullback(cotangent)
            totals = [x if t is None else t + x for t, x in zip(totals, found, strict=True)]
        return cotangent, totals


def _advance(step: Step, leaves: Any, parameters: Any, count: int) -> Any:
    for _ in range(count):
        leaves = step(leaves, parameters)
    return leaves


def _reach(snapshots: int, repeats: int) -> int:
    """Return how many steps can be reversed, advancing over none more than `repeats` times."""
    return math.comb(snapshots + repeats, snapshots) if repeats >= 0 else 0


def _repeats(count: int, snapshots: int) -> int:
    repeats = 0
    while _reach(snapshots, repeats) < count:
        repeats += 1
    return repeats


def _stride(count: int, snapshots: int) -> int:
    """Return after how many of `count` steps the next snapshot is best taken.

    With one snapshot left, which holds the start, it is the last step that is advanced to.
    """
    if snapshots == 1:
        return count - 1
    repeats = _repeats(count, snapshots)
    return max(1, _reach(snapshots, repeats - 2), count - _reach(snapshots - 1, repeats))


def _fewest_snapshots(count: int) -> int:
    """Return the least number of snapshots with which no step is advanced over more than twice."""
    snapshots = 1
    while _reach(snapshots, 2) < count:
        snapshots += 1
    return snapshots


def _whole(x: Any, name: str, least: int) -> int:
    if not isinstance(x, (int, np.integer)) or isinstance(x, bool) or x < least:
        raise ConfigError(
            f"checkpointed_loop: {name}: expected an integer of at least {least}, got {x!r}"
        )
    return int(x)


def _unchanged(new: Any, old: Any) -> Any:
    got, expected = aval_of(new), aval_of(old)
    if got.shape != expected.shape or (got.dtype != expected.dtype and not got.weak):
        raise ShapeError(
            f"checkpointed_loop: the step made {got} of {expected}; a step must keep the shapes "
            "and dtypes of the state"
        )
    return new if hasattr(new, "dtype") else np.asarray(new, expected.dtype)


def _read_only(leaves: Sequence[Any]) -> list[Any]:
    """Return `leaves` such that a step that assigns into a snapshot fails and spoils nothing."""
    views = [x.view() if isinstance(x, np.ndarray) else x for x in leaves]
    for x in views:
        if isinstance(x, np.ndarray):
            x.flags.writeable = False
    return views
