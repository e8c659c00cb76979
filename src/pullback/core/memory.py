"""Where the values of a program live: what shares memory, how long it lives, how much there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import OPS, Op

if TYPE_CHECKING:
    from pullback.core.graph import Graph, Node

Owners = Mapping["Node", frozenset["Node"]]

_ALIGNMENT = 64
_VIEWS = {"transpose", "broadcast_to", "flip", "item", "recompute", "stop_gradient"}
_FRESH = {"argmax", "argmin", "argsort", "chain_product", "concatenate", "cumprod", "cumsum"}
_FRESH |= {"max", "min", "pad", "prod", "roll", "scatter_add", "setitem", "sum", "where"}
_COMPUTED = {"cholesky", "correlate", "det", "fft", "ifft", "inv", "irfft", "pinv", "qr", "rfft"}
_COMPUTED |= {"slogdet", "solve", "svd"}  # fresh too, but with memory for the work itself
"""Operations, besides ufuncs, of which it is known where their results live; others may do both."""


def is_fresh(node: Node) -> bool:
    """Whether the value of `node` surely has memory of its own."""
    op = node.op
    if op is None or isinstance(op.forward, np.ufunc) or _is_one_of(_FRESH | _COMPUTED, op):
        return True
    several = len(node.inputs) > 1  # getitem by arrays copies, einsum of several multiplies
    return several and _is_one_of({"getitem", "einsum"}, op)


def is_view(node: Node) -> bool:
    """Whether the value of `node` surely has no memory of its own."""
    op = node.op
    if op is None:
        return False
    if op is OPS["reshape"]:
        source = node.inputs[0]
        return is_fresh(source) or (source.op is op and is_view(source))
    return _is_one_of(_VIEWS, op) or (op is OPS["getitem"] and len(node.inputs) == 1)


def _is_one_of(names: set[str], op: Op) -> bool:
    return op.name in names and OPS[op.name] is op  # a user's function may have the same name


def nbytes(node: Node) -> int:
    """Return the bytes of the value of `node`, also of several."""
    avals = (node.aval,) if isinstance(node.aval, Aval) else node.aval
    return sum(aval.size * aval.dtype.itemsize for aval in avals)


def own_bytes(node: Node) -> int:
    """Return the bytes that computing `node` allocates and its value keeps."""
    return 0 if node.op is None or is_view(node) else nbytes(node)


def scratch_bytes(node: Node) -> int:
    """Return the bytes that computing `node` may need besides, as long as it runs."""
    op = node.op
    if op is None or isinstance(op.forward, np.ufunc) or is_view(node):
        return 0
    return 0 if _is_one_of(_FRESH | {"getitem", "reshape"}, op) else nbytes(node)


def owners(nodes: Sequence[Node]) -> Owners:
    """Return for each node those whose memory its value may share; itself if it has its own."""
    found: dict[Node, frozenset[Node]] = {}
    for node in nodes:
        mine: frozenset[Node] = frozenset() if is_view(node) else frozenset([node])
        found[node] = mine if is_fresh(node) else mine.union(*[found[i] for i in node.inputs])
    return found


def last_uses(graph: Graph, memory: Owners) -> dict[Node, int]:
    """Return for each owner of memory the position where it is used last, also through views.

    What the results share lives on: its position is the number of nodes.
    """
    last: dict[Node, int] = {}
    for position, node in enumerate(graph.nodes):
        for i in (node, *node.inputs):
            for owner in memory[i]:
                last[owner] = position
    for node in graph.results:
        for owner in memory[node]:
            last[owner] = len(graph.nodes)
    return last


def live_bytes(graph: Graph, memory: Owners, ignored: Iterable[Node] = ()) -> list[int]:
    """Return the bytes alive while each node is computed, without those of `ignored` nodes."""
    passed_over = set(ignored)
    last = last_uses(graph, memory)
    dying: dict[int, int] = {}
    live, profile = 0, []
    for position, node in enumerate(graph.nodes):
        own = 0 if node in passed_over else own_bytes(node)
        live += own
        profile.append(live + scratch_bytes(node))
        if own:
            dying[last[node]] = dying.get(last[node], 0) + own
        live -= dying.pop(position, 0)
    return profile


class Arena:
    """Places in one block of memory, handed out and taken back in the order of the program."""

    def __init__(self) -> None:
        self.size = 0
        self._holes: list[tuple[int, int]] = []  # (start, end), by start

    def take(self, size: int) -> int:
        """Return the start of `size` free bytes: in the smallest hole that holds them."""
        size = _aligned(size)
        fitting = [hole for hole in self._holes if hole[1] - hole[0] >= size]
        if fitting:
            start, end = min(fitting, key=lambda hole: (hole[1] - hole[0], hole[0]))
            self._holes.remove((start, end))
        elif self._holes and self._holes[-1][1] == self.size:
            start, end = self._holes.pop()[0], self.size
        else:
            start = end = self.size
        self.size = max(self.size, start + size)
        if end > start + size:
            self._holes.append((start + size, end))
            self._holes.sort()
        return start

    def give(self, start: int, size: int) -> None:
        """Take back what `take(size)` gave."""
        end = start + _aligned(size)
        for hole in [h for h in self._holes if h[1] == start or h[0] == end]:
            self._holes.remove(hole)
            start, end = min(start, hole[0]), max(end, hole[1])
        self._holes.append((start, end))
        self._holes.sort()


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def block(size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return `size` bytes that start at a multiple of the alignment."""
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]
