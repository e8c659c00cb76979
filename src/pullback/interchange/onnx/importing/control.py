"""ONNX's loops and choices, whose bodies come as functions; and its recurrent networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.errors import UnsupportedError
from pullback.core.tracer import Tracer
from pullback.interchange.onnx.importing.operators import OPERATORS, integer
from pullback.nn.activations import sigmoid
from pullback.transform.control.branch import cond
from pullback.transform.control.scan import scan
from pullback.transform.control.while_loop import while_loop

Body = Callable[..., tuple[Any, ...]]


def _if(condition: Any, *, then_branch: Body, else_branch: Body) -> Any:
    if isinstance(condition, Tracer):
        return cond(np.reshape(condition, ()), then_branch, else_branch)
    return then_branch() if np.all(condition) else else_branch()


def _scan(
    *inputs: Any, body: Body, num_scan_inputs: int,
    scan_input_axes: Any = None, scan_input_directions: Any = None,
    scan_output_axes: Any = None, scan_output_directions: Any = None,
) -> Any:  # fmt: skip
    count = len(inputs) - num_scan_inputs
    axes = scan_input_axes or [0] * num_scan_inputs
    turned = scan_input_directions or [0] * num_scan_inputs
    xs = [np.moveaxis(x, axis, 0) for x, axis in zip(inputs[count:], axes, strict=True)]
    outward = list(scan_output_directions or [])
    backwards = all(turned) and bool(outward) and all(outward)
    if not backwards:
        xs = [np.flip(x, 0) if t else x for x, t in zip(xs, turned, strict=True)]

    def step(carry: Any, rows: Any) -> Any:
        results = body(*carry, *rows)
        return results[:count], results[count:]

    carry, ys = scan(step, inputs[:count], tuple(xs), reverse=backwards)
    if not backwards:
        outward += [0] * (len(ys) - len(outward))
        ys = [np.flip(y, 0) if t else y for y, t in zip(ys, outward, strict=True)]
    places = scan_output_axes or [0] * len(ys)
    return (*carry, *[np.moveaxis(y, 0, axis) for y, axis in zip(ys, places, strict=True)])


def _loop(trips: Any, condition: Any, *initial: Any, body: Body) -> Any:
    """Run step by step where the condition is known, as one loop where it is traced."""
    limit = np.inf if trips is None else integer(trips)
    state, count, stacks = initial, 0, []
    goes_on: Any = True if condition is None else condition
    while not isinstance(goes_on, Tracer) and count < limit and np.all(goes_on):
        goes_on, *rest = body(np.int64(count), np.bool_(True), *state)
        state, rows = tuple(rest[: len(initial)]), rest[len(initial) :]
        stacks.append(rows)
        count += 1
    if not isinstance(goes_on, Tracer):
        return (*state, *[np.stack(rows) for rows in zip(*stacks, strict=True)])
    if any(stacks):
        raise UnsupportedError("Loop: results that are stacked need a condition that is known")
    return _while(limit, goes_on, count, state, body)


def _while(limit: float, goes_on: Any, count: int, state: Any, body: Body) -> Any:
    def holds(carry: Any) -> Any:
        count, goes_on, _ = carry
        return goes_on if limit == np.inf else np.logical_and(goes_on, count < limit)

    def step(carry: Any) -> Any:
        count, goes_on, state = carry
        after, *rest = body(count, goes_on, *state)
        return count + 1, np.reshape(after, ()), tuple(rest)

    start = (np.int64(count), np.reshape(goes_on, ()), tuple(state))
    return while_loop(holds, step, start)[2]


# recurrent networks: x is (time, samples, inputs), weights have one entry for each direction


def _lstm(
    x: Any, weight: Any, recurrent: Any, bias: Any = None, lengths: Any = None,
    hidden: Any = None, cell: Any = None, peephole: Any = None,
    *, hidden_size: int, direction: str = "forward",
) -> Any:  # fmt: skip
    def advance(projected: Any, state: Any, k: int) -> Any:
        h, c = state
        i, o, f, g = np.split(projected + h @ recurrent[k].T + _bias(bias, k)[1], 4, axis=-1)
        if peephole is not None:
            p_i, p_o, p_f = np.split(peephole[k], 3)
            i, f = i + p_i * c, f + p_f * c
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        o = o + p_o * c if peephole is not None else o
        return sigmoid(o) * np.tanh(c), c

    return _recurrent(x, weight, bias, lengths, (hidden, cell), advance, hidden_size, direction)


def _gru(
    x: Any, weight: Any, recurrent: Any, bias: Any = None, lengths: Any = None, hidden: Any = None,
    *, hidden_size: int, direction: str = "forward",
    linear_before_reset: int = 0,
) -> Any:  # fmt: skip
    def advance(projected: Any, state: Any, k: int) -> Any:
        (h,) = state
        u_z, u_r, u_n = np.split(recurrent[k], 3)
        b_z, b_r, b_n = np.split(_bias(bias, k)[1] + np.zeros(3 * hidden_size, h.dtype), 3)
        x_z, x_r, x_n = np.split(projected, 3, axis=-1)
        z, r = sigmoid(x_z + h @ u_z.T + b_z), sigmoid(x_r + h @ u_r.T + b_r)
        inner = r * (h @ u_n.T + b_n) if linear_before_reset else (r * h) @ u_n.T + b_n
        return ((1 - z) * np.tanh(x_n + inner) + z * h,)

    return _recurrent(x, weight, bias, lengths, (hidden,), advance, hidden_size, direction)


def _rnn(
    x: Any, weight: Any, recurrent: Any, bias: Any = None, lengths: Any = None, hidden: Any = None,
    *, hidden_size: int, direction: str = "forward",
    activations: Sequence[str] = ("Tanh",),
) -> Any:  # fmt: skip
    functions = [OPERATORS[name] for name in activations]

    def advance(projected: Any, state: Any, k: int) -> Any:
        (h,) = state
        return (functions[k % len(functions)](projected + h @ recurrent[k].T + _bias(bias, k)[1]),)

    return _recurrent(x, weight, bias, lengths, (hidden,), advance, hidden_size, direction)


def _bias(bias: Any, k: int) -> Any:
    """Return the bias of the inputs and that of the state, in direction k."""
    return (0, 0) if bias is None else np.split(bias[k], 2)


def _recurrent(
    x: Any, weight: Any, bias: Any, lengths: Any, initial: Any, advance: Any,
    hidden_size: int, direction: str,
) -> Any:  # fmt: skip
    """Return the outputs (time, directions, samples, hidden) and the final states."""
    time, samples, _ = x.shape
    steps = np.reshape(np.arange(time), (time, 1, 1))
    outside = None if lengths is None else steps >= np.reshape(lengths, (-1, 1))
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    outputs, finals = [], []
    for k, backwards in enumerate(directions):
        zeros = np.zeros((samples, hidden_size), x.dtype)
        start = tuple(zeros if s is None else s[k] for s in initial)

        def step(state: Any, inputs: Any, k: int = k) -> Any:
            now, over = inputs
            new = advance(now, state, k)
            if over is None:
                return new, new[0]
            kept = tuple(np.where(over, a, b) for a, b in zip(state, new, strict=True))
            return kept, np.where(over, 0, new[0])

        projected = x @ weight[k].T + _bias(bias, k)[0]
        final, ys = scan(step, start, (projected, outside), reverse=backwards)
        outputs.append(ys)
        finals.append(final)
    states = [np.stack([f[i] for f in finals]) for i in range(len(initial))]
    return (np.stack(outputs, axis=1), *states)


OPERATORS.update({"GRU": _gru, "If": _if, "LSTM": _lstm, "Loop": _loop, "RNN": _rnn, "Scan": _scan})
