"""Where in the user's source an operation was called."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass

_OURS = ("pullback", "numpy", "scipy", "optree")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a source file."""

    file: str
    line: int

    @property
    def code(self) -> str:
        """The line itself; empty where the source is not at hand."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def user_place() -> Place:
    """Return the line that is running now, in the innermost frame outside of the libraries."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_library(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def is_library(module: str) -> bool:
    return module.partition(".")[0] in _OURS
