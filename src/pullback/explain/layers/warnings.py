"""Layers that do not learn: vanishing and exploding gradients, dead units, each with a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pullback.explain.layers.spread import Spread
from pullback.explain.layers.statistics import Layer

VANISHING, EXPLODING = 1e-4, 1e4
"""Shrinking and growing of the gradient, from the layer where it is largest, or last, to another.

Healthy networks of tens of layers stay within a factor of a hundred or so; single precision
resolves 1e-7 of a sum.
"""
DEAD = 0.5
"""The share of dead units that is worth telling."""

_REMEDIES = {
    "vanishing": (
        "use relu or gelu instead of sigmoid or tanh in hidden layers, put a LayerNorm or "
        "BatchNorm between them, add Residual connections, or take fewer layers"
    ),
    "exploding": (
        "draw smaller weights (he_uniform for relu, glorot_uniform for tanh), put a LayerNorm or "
        "BatchNorm between the layers, clip the gradient, or lower the learning rate"
    ),
    "dead": (
        "lower the learning rate, begin with biases of 0 and weights by he_uniform, or take "
        "leaky_relu or gelu, whose slope is nowhere 0 for good"
    ),
}


@dataclass(frozen=True, slots=True)
class LayerWarning:
    """What is wrong with the layers at `paths`, and what helps."""

    kind: Literal["vanishing", "exploding", "dead"]
    paths: tuple[str, ...]
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}. Remedy: {self.remedy}."


def layer_warnings(layers: Sequence[Layer]) -> list[LayerWarning]:
    """Return what is wrong with `layers`, which are in the order in which they run.

    Vanishing: the loss's derivative by a layer's outputs is less than 1e-4 of that by the outputs
    of a later layer. Exploding: it is more than 1e4 times that of the last layer, or not finite.
    Dead: more than half of a rectifier's units are 0 on the whole batch.

    >>> import numpy as np
    >>> from pullback import nn, random
    >>> from pullback.explain import layer_statistics
    >>> deep = nn.mlp(random.key(0), [8] * 20 + [1], "sigmoid")
    >>> x = np.ones((4, 8), np.float32)
    >>> (warning,) = layer_warnings(layer_statistics(deep, nn.mean_squared_error, x, x[:, :1]))
    >>> warning.kind, warning.paths[0]
    ('vanishing', 'layers[0]')
    """
    reached = [(layer, layer.delta) for layer in layers if layer.delta is not None]
    dead = [layer for layer in layers if layer.dead is not None and layer.dead > DEAD]
    found = _exploding(reached)
    if not found and not any(layer.dead == 1 for layer in dead):  # behind these all is 0
        found = _vanishing(reached)
    for layer in dead:
        share = f"{layer.dead:.0%} of the units of {_name(layer)} are 0 for every sample"
        found.append(_warning("dead", [layer], f"{share}, so that nothing flows back through them"))
    return found


def _vanishing(reached: Sequence[tuple[Layer, Spread]]) -> list[LayerWarning]:
    faint: list[Layer] = []
    largest, smallest = 0.0, 1.0
    for layer, delta in reversed(reached):
        largest = max(largest, delta.norm)
        if delta.norm < VANISHING * largest:
            faint.insert(0, layer)
            smallest = min(smallest, delta.norm / largest)
    if not faint:
        return []
    size = f"{smallest:.0e} of its size" if smallest > 0 else "0"
    text = f"the gradient vanishes: on its way back to {_name(faint[0])} it shrinks to {size}"
    return [_warning("vanishing", faint, text + _and_others(faint))]


def _exploding(reached: Sequence[tuple[Layer, Spread]]) -> list[LayerWarning]:
    infinite = [
        layer
        for layer, delta in reached
        if delta.bad or (layer.activation is not None and layer.activation.bad)
    ]
    if infinite:
        text = f"values or gradients of {_name(infinite[0])} are infinite or NaN"
        return [_warning("exploding", infinite, text + _and_others(infinite))]
    last = reached[-1][1].norm if reached else 0.0
    huge = [(layer, delta.norm / last) for layer, delta in reached if delta.norm > EXPLODING * last]
    if not huge or last == 0:
        return []
    layers, growth = [layer for layer, _ in huge], max(ratio for _, ratio in huge)
    text = (
        f"the gradient explodes: on its way back to {_name(layers[0])} it grows {growth:.0e} fold"
    )
    return [_warning("exploding", layers, text + _and_others(layers))]


def _warning(
    kind: Literal["vanishing", "exploding", "dead"], layers: Sequence[Layer], text: str
) -> LayerWarning:
    return LayerWarning(kind, tuple(layer.path for layer in layers), text, _REMEDIES[kind])


def _name(layer: Layer) -> str:
    return f"{layer.path} ({layer.kind})" if layer.path else f"the model ({layer.kind})"


def _and_others(layers: Sequence[Layer]) -> str:
    return f" ({len(layers)} layers in all)" if len(layers) > 1 else ""
