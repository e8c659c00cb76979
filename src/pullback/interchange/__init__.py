"""Floor 6, interchange: weights and graphs in files that other programs and later days can read.

Nothing that is loaded is run: files hold numbers and names, and every name is looked up in a table.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES: dict[str, str] = {}
"""What this package offers, and the module that has it: each is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
