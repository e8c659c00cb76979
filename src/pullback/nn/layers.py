"""Layers: samples are rows, weights are (in, out), so that a layer is `x @ W + b`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import pullback.numpy.random as random
from pullback.core.errors import ConfigError, ShapeError
from pullback.nn import init as initialisers
from pullback.nn.activations import Activation
from pullback.nn.init import Initialiser
from pullback.nn.module import Module
from pullback.nn.shapes import positive
from pullback.numpy.random import Key

RECTIFIERS = ("relu", "leaky_relu", "gelu", "softplus")
"""Activations whose weights `mlp` draws by He's rule; the others get Glorot's."""


class Linear(Module):
    """The affine map x @ weight + bias, or x @ weight where bias is None.

    `weight` is (fan_in, fan_out), `bias` is (fan_out,), x is (..., fan_in), the result is
    (..., fan_out). With the rows of X the samples, Y = X W + 1 b^T, and delta = dL/dY, the backward
    equations are dL/dW = X^T delta, dL/db = delta^T 1, dL/dX = delta W^T.
    Raises ShapeError if they do not fit.

    >>> layer = Linear(np.array([[1.0, 2.0]]), np.array([0.5, 0.5]))
    >>> layer(np.array([[10.0], [20.0]]))
    array([[10.5, 20.5],
           [20.5, 40.5]])
    """

    weight: Any
    bias: Any = None

    def __post_init__(self) -> None:
        shape = np.shape(self.weight)
        if len(shape) != 2:
            raise ShapeError(f"Linear: weight: expected shape (fan_in, fan_out), got {shape}.")
        if self.bias is not None and np.shape(self.bias) != shape[1:]:
            raise ShapeError(
                f"Linear: bias: expected shape {shape[1:]} for a weight of shape {shape}, "
                f"got {np.shape(self.bias)}."
            )

    @classmethod
    def create(
        cls,
        key: Key,
        fan_in: int,
        fan_out: int,
        bias: bool = True,
        init: Initialiser = initialisers.glorot_uniform,
        dtype: DTypeLike = np.float32,
    ) -> Linear:
        """Return a layer with weights drawn by `init` and a zero bias (None if not `bias`).

        >>> Linear.create(random.key(0), 4, 16)
        Linear(weight=f32[4,16], bias=f32[16])
        """
        positive("fan_in", fan_in)
        positive("fan_out", fan_out)
        weight = init(key, (fan_in, fan_out), fan_in, fan_out, dtype)
        return cls(weight, np.zeros(fan_out, dtype) if bias else None)

    def __call__(self, x: Any) -> Any:
        """Return x @ weight + bias."""
        weight, shape = self.weight, np.shape(x) if isinstance(x, (list, tuple)) else x.shape
        if not shape or shape[-1] != weight.shape[0]:
            fan_in, fan_out = weight.shape
            raise ShapeError(
                f"Linear({fan_in} -> {fan_out}): x: expected shape (..., {fan_in}), got {shape}. "
                f"Give samples as rows with {fan_in} features, or create the layer with "
                f"fan_in={shape[-1] if shape else 1}."
            )
        y = x @ weight
        return y if self.bias is None else y + self.bias


class Sequential(Module):
    """The composition of `layers`: the result of each is the input of the next.

    Raises ConfigError if one of `layers` is not a Module. Errors of a layer name its index.

    >>> model = Sequential([Linear(np.ones((2, 1))), Activation("relu")])
    >>> model
    Sequential(layers=[Linear(weight=f64[2,1], bias=None), Activation(name='relu')])
    >>> model(np.array([[1.0, -5.0], [1.0, 5.0]]))
    array([[0.],
           [6.]])
    """

    layers: Sequence[Any]

    def __init__(self, layers: Sequence[Any], *others: Any) -> None:
        if others or not isinstance(layers, list | tuple):
            raise ConfigError("layers: expected a list; write Sequential([first, second]).")
        object.__setattr__(self, "layers", layers)
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise ConfigError(
                    f"layers[{i}]: expected a Module, got {type(layer).__name__}. "
                    "For a function use Activation('relu') or a Module with a __call__."
                )

    def __call__(self, x: Any) -> Any:
        """Return the output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __getitem__(self, i: int) -> Any:
        return self.layers[i]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)


def mlp(
    key: Key,
    sizes: Sequence[int],
    activation: str = "relu",
    *,
    output: str = "identity",
    bias: bool = True,
    init: Initialiser | None = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return a network of Linear layers of `sizes`, `activation` between and `output` at the end.

    `init=None` takes He's uniform rule for activations like relu, Glorot's for the others.
    Raises ConfigError if `sizes` has fewer than two numbers.

    >>> mlp(random.key(0), [4, 16, 1])
    Sequential(
      layers=[
        Linear(weight=f32[4,16], bias=f32[16]),
        Activation(name='relu'),
        Linear(weight=f32[16,1], bias=f32[1]),
      ],
    )
    """
    if len(sizes) < 2:
        raise ConfigError(
            f"sizes: expected the numbers of inputs, hidden units and outputs, got {list(sizes)}. "
            "Give at least two, for example [4, 16, 1]."
        )
    if init is None:
        rectifier = activation in RECTIFIERS
        init = initialisers.he_uniform if rectifier else initialisers.glorot_uniform
    layers: list[Module] = []
    for i, subkey in enumerate(random.split(key, len(sizes) - 1)):
        layers.append(Linear.create(subkey, sizes[i], sizes[i + 1], bias, init, dtype))
        layers.append(Activation(activation))
    layers[-1] = Activation(output)
    return Sequential(layers[:-1] if output == "identity" else layers)
