"""Floor 6, interchange: weights and graphs in files that other programs and later days can read.

Nothing that is loaded is run: files hold numbers and names, and every name is looked up in a table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pullback.interchange.graphs import load_graph, save_graph
    from pullback.interchange.onnx import OnnxModel, export_onnx, import_onnx
    from pullback.interchange.torch import load_torch, save_torch
    from pullback.interchange.weights import load_weights, read_info, save_weights

__all__ = [
    "OnnxModel",
    "export_onnx",
    "import_onnx",
    "load_graph",
    "load_torch",
    "load_weights",
    "read_info",
    "save_graph",
    "save_torch",
    "save_weights",
]

_MODULES = {
    **dict.fromkeys(("OnnxModel", "export_onnx", "import_onnx"), "onnx"),
    **dict.fromkeys(("load_graph", "save_graph"), "graphs"),
    **dict.fromkeys(("load_torch", "save_torch"), "torch"),
    **dict.fromkeys(("load_weights", "read_info", "save_weights"), "weights"),
}
"""What this package offers, and the module that has it: each is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
