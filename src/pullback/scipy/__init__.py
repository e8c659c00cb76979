"""SciPy for traced code: the functions that SciPy writes in Python, which do not dispatch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pullback.scipy import integrate, interpolate, linalg, signal, special, stats

__all__ = ["integrate", "interpolate", "linalg", "signal", "special", "stats"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # each is imported when it is first used, since SciPy is slow to import
        return importlib.import_module(f"pullback.scipy.{name}")
    raise AttributeError(f"module 'pullback.scipy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
