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
from pullback.explain.pages.function import page
from pullback.explain.pages.page import Page
from pullback.explain.pages.report import report
from pullback.explain.undefined import undefined_points

__all__ = [
    "Derivation",
    "Diagnosis",
    "Finding",
    "Layer",
    "LayerRecord",
    "LayerRecorder",
    "LayerWarning",
    "Page",
    "Spread",
    "derive",
    "diagnose",
    "layer_statistics",
    "layer_warnings",
    "page",
    "read_layers",
    "report",
    "undefined_points",
]
