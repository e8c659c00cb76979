"""Recurrent networks: the same cell at every step of a sequence, by `pb.scan`.

Sequences are (n, time, features). Of sequences of unequal length, padded to one, `lengths` tells
how far each goes: what lies behind neither enters the state nor comes out, where outputs are 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import DTypeLike

import pullback.numpy.random as random
from pullback.core.arrays import array_of
from pullback.core.errors import ConfigError, DataError, ShapeError
from pullback.core.tracer import Tracer
from pullback.nn.activations import sigmoid
from pullback.nn.dropout import Dropout
from pullback.nn.module import Module, static
from pullback.nn.shapes import positive
from pullback.numpy.random import Key
from pullback.transform.control.scan import scan

State = tuple[Any, ...]
"""What a cell hands on: (h,), or (h, c) of an LSTM; each is (n, hidden)."""


class _Cell(Module):
    """What cells have in common: a step is `advance` of x W + b, which needs no state."""

    weight_input: Any
    weight_hidden: Any
    bias: Any
    states: ClassVar[int] = 1

    def __call__(self, x: Any, state: State) -> State:
        """Return the state after the step of x, (n, inputs)."""
        return self.advance(self.project(x), state)

    def project(self, x: Any) -> Any:
        """Return x W + b, of one step or of all at once."""
        return x @ self.weight_input + self.bias

    def start(self, projected: Any) -> State:
        """Return the state before the first step, zeros."""
        shape = (*projected.shape[:-2], self.weight_hidden.shape[0])
        return (np.zeros(shape, projected.dtype),) * self.states

    def advance(self, projected: Any, state: State) -> State:
        """Return the state after a step."""
        raise NotImplementedError


class RNNCell(_Cell):
    """h' = tanh(x W + b + h U), with W `weight_input` and U `weight_hidden`.

    >>> cell = RNNCell(np.eye(1), np.eye(1), np.zeros(1))
    >>> cell(np.array([[1.0]]), (np.array([[-1.0]]),))
    (array([[0.]]),)
    """

    @classmethod
    def create(cls, key: Key, inputs: int, hidden: int, dtype: DTypeLike = np.float32) -> RNNCell:
        """Return a cell with weights uniform on (-a, a), a = 1 / sqrt(hidden), and zero biases."""
        return cls(*_drawn(key, inputs, hidden, 1, dtype))

    def advance(self, projected: Any, state: State) -> State:
        """Return the state after a step."""
        (h,) = state
        return (np.tanh(projected + h @ self.weight_hidden),)


class LSTMCell(_Cell):
    """c' = f c + i g and h' = o tanh(c'), with gates from x W + b + h U.

    The columns are those of i, f, g, o: i, f, o = sigmoid(.), g = tanh(.). Sources: Hochreiter and
    Schmidhuber, "Long short-term memory", Neural Computation 9, 1997; Gers, Schmidhuber and
    Cummins, "Learning to forget", Neural Computation 12, 2000.

    >>> cell = LSTMCell.create(random.key(0), 3, 2)
    >>> h, c = cell(np.ones((1, 3)), (np.zeros((1, 2)), np.zeros((1, 2))))
    >>> h.shape, cell.bias
    ((1, 2), array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32))
    """

    states = 2

    @classmethod
    def create(cls, key: Key, inputs: int, hidden: int, dtype: DTypeLike = np.float32) -> LSTMCell:
        """Return a cell that remembers at first: the bias of f is 1.

        Source: Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network
        architectures", ICML 2015.
        """
        weight_input, weight_hidden, bias = _drawn(key, inputs, hidden, 4, dtype)
        bias[hidden : 2 * hidden] = 1
        return cls(weight_input, weight_hidden, bias)

    def advance(self, projected: Any, state: State) -> State:
        """Return the state after a step."""
        h, c = state
        i, f, g, o = np.split(projected + h @ self.weight_hidden, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


class GRUCell(_Cell):
    """h' = (1 - z) n + z h, with n = tanh(x W_n + b_n + r (h U_n + b_hidden)).

    r and z = sigmoid(x W + b + h U); the columns of W, b and U are those of r, z, n. Source: Cho et
    al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014, with the reset
    gate r after the product, as in PyTorch.

    >>> cell = GRUCell.create(random.key(0), 3, 2)
    >>> cell(np.ones((1, 3)), (np.zeros((1, 2)),))[0].shape
    (1, 2)
    """

    bias_hidden: Any

    @classmethod
    def create(cls, key: Key, inputs: int, hidden: int, dtype: DTypeLike = np.float32) -> GRUCell:
        """Return a cell with weights uniform on (-a, a), a = 1 / sqrt(hidden), and zero biases."""
        return cls(*_drawn(key, inputs, hidden, 3, dtype), np.zeros(hidden, dtype))

    def advance(self, projected: Any, state: State) -> State:
        """Return the state after a step."""
        (h,) = state
        x_r, x_z, x_n = np.split(projected, 3, axis=-1)
        h_r, h_z, h_n = np.split(h @ self.weight_hidden, 3, axis=-1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = np.tanh(x_n + r * (h_n + self.bias_hidden))
        return ((1 - z) * n + z * h,)


def _drawn(
    key: Key, inputs: int, hidden: int, gates: int, dtype: DTypeLike
) -> tuple[Any, Any, Any]:
    positive("inputs", inputs)
    positive("hidden", hidden)
    limit, width = 1 / math.sqrt(hidden), gates * hidden
    first, second = random.split(key)
    return (
        random.uniform(first, (inputs, width), dtype, -limit, limit),
        random.uniform(second, (hidden, width), dtype, -limit, limit),
        np.zeros(width, dtype),
    )


class _Recurrent(Module):
    """What RNN, LSTM and GRU have in common: cells by layer and direction."""

    cells: Sequence[Sequence[Any]]
    dropouts: Sequence[Dropout]
    returns: Literal["sequence", "last"] = static(default="sequence")
    cell: ClassVar[Any]

    @classmethod
    def create(
        cls,
        key: Key,
        inputs: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        returns: Literal["sequence", "last"] = "sequence",
        dtype: DTypeLike = np.float32,
    ) -> Self:
        """Return `layers` layers of `hidden` units, each fed with the outputs of the one before.

        `bidirectional` ones have a second cell that goes from the end to the start. In training,
        `dropout` of the outputs is left out between the layers.
        """
        positive("layers", layers)
        if returns not in ("sequence", "last"):
            raise ConfigError(f"returns: expected 'sequence' or 'last', got {returns!r}.")
        directions = 1 + bidirectional
        cells, dropouts = [], []
        for layer, layer_key in enumerate(random.split(key, layers)):
            mask_key, *keys = random.split(layer_key, 1 + directions)
            width = directions * hidden if layer else inputs
            cells.append([cls.cell.create(k, width, hidden, dtype) for k in keys])
            if layer and dropout:
                dropouts.append(Dropout.create(mask_key, dropout))
        return cls(cells, dropouts, returns)

    def __call__(self, x: Any, lengths: Any = None) -> Any:
        """Return the outputs h of the last layer at every step, or after the last one.

        They are (n, time, directions * hidden), or (n, directions * hidden) with returns="last";
        a single sequence (time, inputs) gives a single result.
        """
        outputs, states = self.run(x, lengths=lengths)
        if self.returns == "sequence":
            return outputs
        return np.concatenate([state[0] for state in states[-1]], axis=-1)

    def run(self, x: Any, states: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Return the outputs at every step, and the final states by layer and direction.

        `states`, like those returned, are what the cells start with: None is zeros. A long
        sequence may so be worked on in parts.
        """
        x = array_of(x)
        self._check(x)
        outside = None if lengths is None else _outside(lengths, x)
        final = []
        for i, cells in enumerate(self.cells):
            if i and self.dropouts:
                x = self.dropouts[i - 1](x)
            before = [None] * len(cells) if states is None else states[i]
            done = [
                _run(cell, x, state, outside, backwards)
                for cell, state, backwards in zip(cells, before, (False, True), strict=False)
            ]
            x = np.concatenate([outputs for outputs, _ in done], axis=-1)
            final.append([state for _, state in done])
        return x, final

    def _check(self, x: Any) -> None:
        inputs = self.cells[0][0].weight_input.shape[0]
        hidden = self.cells[0][0].weight_hidden.shape[0]
        if x.ndim not in (2, 3) or x.shape[-1] != inputs or x.shape[-2] == 0:
            raise ShapeError(
                f"{type(self).__name__}({inputs} -> {hidden}): x: expected shape "
                f"(n, time, {inputs}), or (time, {inputs}) for one sequence, got {x.shape}."
            )


class RNN(_Recurrent):
    """Layers of `RNNCell`: x is (n, time, inputs), the result (n, time, hidden).

    With `lengths`, (n,), only the first steps of each sequence count. Raises ShapeError if x does
    not fit, DataError if a length is less than 1 or more than the number of steps.

    >>> RNN.create(random.key(0), 3, 8)(np.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    cell = RNNCell


class LSTM(_Recurrent):
    """Layers of `LSTMCell`: x is (n, time, inputs), the result (n, time, hidden).

    With `lengths`, (n,), only the first steps of each sequence count. Raises ShapeError if x does
    not fit, DataError if a length is less than 1 or more than the number of steps.

    >>> model = LSTM.create(random.key(0), 3, 8, layers=2, bidirectional=True, returns="last")
    >>> model(np.ones((2, 5, 3)), lengths=np.array([5, 2])).shape
    (2, 16)
    """

    cell = LSTMCell


class GRU(_Recurrent):
    """Layers of `GRUCell`: x is (n, time, inputs), the result (n, time, hidden).

    With `lengths`, (n,), only the first steps of each sequence count. Raises ShapeError if x does
    not fit, DataError if a length is less than 1 or more than the number of steps.

    >>> outputs, states = GRU.create(random.key(0), 3, 8).run(np.ones((2, 5, 3)))
    >>> bool((outputs[:, -1] == states[0][0][0]).all())
    True
    """

    cell = GRUCell


def _run(
    cell: Any, x: Any, state: State | None, outside: Any, backwards: bool
) -> tuple[Any, State]:
    """Return the outputs of one cell at every step of x, and its final state."""
    projected = cell.project(np.moveaxis(x, -2, 0))  # x is narrower than what it becomes
    start = cell.start(np.moveaxis(projected, 0, -2)) if state is None else state

    def step(state: State, inputs: tuple[Any, Any]) -> tuple[State, Any]:
        now, outside = inputs
        new = cell.advance(now, state)
        if outside is None:
            return new, new[0]
        kept = tuple(np.where(outside, a, b) for a, b in zip(state, new, strict=True))
        return kept, np.where(outside, 0, new[0])

    final, outputs = scan(step, start, (projected, outside), reverse=backwards)
    return np.moveaxis(outputs, 0, -2), final


def _outside(lengths: Any, x: Any) -> Any:
    """Return where each sequence is over already: (time, n, 1), or (time, 1) for one sequence."""
    lengths, steps = array_of(lengths), x.shape[-2]
    if lengths.shape != x.shape[:-2] or lengths.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths: expected integers of shape {x.shape[:-2]} for x of shape {x.shape}, "
            f"got {lengths.dtype} of shape {lengths.shape}."
        )
    if not isinstance(lengths, Tracer) and not ((lengths >= 1) & (lengths <= steps)).all():
        raise DataError(
            f"lengths: expected 1 to {steps}, the number of steps, got {lengths.min()} to "
            f"{lengths.max()}."
        )
    step = np.arange(steps).reshape(steps, *(1,) * (x.ndim - 1))
    return step >= lengths[..., None]
