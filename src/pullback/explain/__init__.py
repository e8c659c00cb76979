"""Seeing the gradient: where it goes wrong, and why."""

from pullback.explain.derivation import Derivation, derive
from pullback.explain.diagnose import Diagnosis, Finding, diagnose
from pullback.explain.layers import (
    Layer,
    LayerRecord,
    LayerRecorder,
    LayerWarning,
    Spread,
    layer_statistics,
    layer_warnings,
    read_layers,
)
from pullback.explain.undefined import undefined_points

__all__ = [
    "Derivation",
    "Diagnosis",
    "Finding",
    "Layer",
    "LayerRecord",
    "LayerRecorder",
    "LayerWarning",
    "Spread",
    "derive",
    "diagnose",
    "layer_statistics",
    "layer_warnings",
    "read_layers",
    "undefined_points",
]
