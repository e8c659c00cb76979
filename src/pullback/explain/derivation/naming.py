"""What things are called: arguments, the values on the way, and their deltas."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Set
from types import FrameType
from typing import Any

from pullback.core.buffer import unwrap
from pullback.core.graph import Graph, Node
from pullback.core.tracer import Tracer
from pullback.core.tracing import trace
from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.printers import name_parts
from pullback.explain.derivation.sharing import shared
from pullback.explain.places import is_library

_SHORT = {"weight": "W", "bias": "b", "weights": "W", "biases": "b"}
_SHORT_VECTORS = {"weight": "gamma", "weights": "w"}
"""What normalisations call their scale is gamma in the literature."""
_BY_RANK = ("c", "b", "W")


def traced_with_names(function: Callable[..., Any], args: Any) -> tuple[Graph, dict[Node, str]]:
    """Trace `function`, and find what its author calls the values: the names of local variables.

    Parameters do not count: they are what the caller calls otherwise. Where a name stands for
    several values, in a loop, it is that of the last.
    """
    named: dict[Node, str] = {}
    before = sys.getprofile()

    def look(frame: FrameType, event: str, arg: Any) -> None:
        if event == "return" and not is_library(frame.f_globals.get("__name__", "")):
            code = frame.f_code
            parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            for name, value in frame.f_locals.items():
                if name in parameters:
                    continue
                found = unwrap(value) if isinstance(value, Tracer) else None
                if isinstance(found, Tracer) and isinstance(found.value, Node):
                    named.setdefault(found.value, name)

    def watched(*given: Any) -> Any:
        sys.setprofile(look)
        try:
            return function(*given)
        finally:
            sys.setprofile(before)

    graph, became = shared(trace(watched, *args))
    return graph, {became[node]: name for node, name in named.items() if node in became}


def short_names(names: Iterable[str], ranks: Iterable[int]) -> list[str]:
    """Return symbols for arguments: `model.layers[0].weight` is W1, `p['beta']` is beta.

    >>> short_names(["net[0][0]", "net[0][1]", "net[1][0]", "x"], [2, 1, 2, 2])
    ['W1', 'b', 'W2', 'x']
    """
    stems = []
    for name, rank in zip(names, ranks, strict=True):
        last = re.findall(r"\w+", name)[-1]
        plain = name.isidentifier()
        stem = name if plain else _BY_RANK[min(rank, 2)] if last.isdigit() else last
        short = _SHORT if rank > 1 else _SHORT | _SHORT_VECTORS
        stems.append(stem if plain else short.get(stem, stem))
    return numbered(stems)


def numbered(stems: list[str]) -> list[str]:
    """Return the stems, those that occur several times with numbers; no two are the same."""
    counts, seen = Counter(stems), Counter[str]()
    taken = {stem for stem, count in counts.items() if count == 1}
    found = []
    for stem in stems:
        name = stem
        while counts[stem] > 1 and (name == stem or name in taken):
            seen[stem] += 1
            name = f"{stem}{seen[stem]}" if not stem[-1].isdigit() else f"{stem}_{seen[stem]}"
        found.append(name)
        taken.add(name)
    return found


def cased(stem: str, shape: tuple[int, ...]) -> str:
    """Return a capital for matrices, a small letter for vectors and numbers."""
    return stem.upper() if len(shape) >= 2 else stem


def delta_name(of: Expr, taken: Set[str]) -> str:
    """Return the name of the cotangent of a symbol: δ2 for z2, δ_Q for Q; Δ for matrices."""
    letter = "Δ" if None not in of.shape and len(of.shape) >= 2 else "δ"
    stem, sub = name_parts(of.data)
    name = f"{letter}_{sub}" if stem in ("z", "Z") and sub else letter
    if stem not in ("z", "Z") or name in taken:
        name = f"{letter}_{of.data}"
    return name
