"""The optional packages."""

from __future__ import annotations

import importlib
from typing import Any

from pullback.core.errors import ConfigError


def require(name: str) -> Any:
    """Return the package `name`; raise ConfigError, saying what to install, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(
            f'ONNX files need the package {name}: pip install "pullback[onnx]"'
        ) from None
