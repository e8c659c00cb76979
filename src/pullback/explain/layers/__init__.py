"""How the layers of a network fare: sizes of weights, activations and gradients."""

from pullback.explain.layers.recorder import LayerRecord, LayerRecorder, read_layers
from pullback.explain.layers.spread import Spread
from pullback.explain.layers.statistics import Layer, layer_statistics
from pullback.explain.layers.warnings import LayerWarning, layer_warnings

__all__ = [
    "Layer",
    "LayerRecord",
    "LayerRecorder",
    "LayerWarning",
    "Spread",
    "layer_statistics",
    "layer_warnings",
    "read_layers",
]
