"""A tape that remembers where each operation was called, and every cotangent of the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core.op import Op
from pullback.core.tape import Tape, TapeNode, backward, item
from pullback.core.tracer import Tracer
from pullback.explain.places import Place, user_place


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that was run on values that depend on an input."""

    op: Op
    place: Place
    node: TapeNode

    @property
    def is_constant(self) -> bool:
        """Whether no gradient flows through the operation, for it is piecewise constant."""
        return self.op.vjp is None and self.op.vjp_all is None


class WatchedTape(Tape):
    """Records like every tape, and keeps the steps with the user's lines, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        out = super().process(op, args, params)
        if op.vjp is None and op.vjp_all is None:
            values, parents = self.unwrap(args)
            if any(parents):
                node = TapeNode(op, values, params, out, parents)
                self.steps.append(Step(op, user_place(), node))
        return out

    def record(
        self,
        op: Op,
        values: Sequence[Any],
        params: Mapping[str, Any],
        out: Any,
        parents: Sequence[TapeNode | None],
    ) -> Any:
        recorded = super().record(op, values, params, out, parents)
        first = recorded[0] if isinstance(recorded, tuple) else recorded
        node = first.node
        if node is not None:
            node = node.parents[0] if node.op is item else node
            self.steps.append(Step(op, user_place(), node))
        return recorded


@dataclass(frozen=True)
class Flow:
    """The way back: the cotangent of each node, and what each edge carried, in order."""

    cotangents: Mapping[TapeNode, Any]
    edges: Sequence[tuple[TapeNode, int, Any]]


def flow_back(seeds: Sequence[tuple[TapeNode | None, Any]]) -> Flow:
    """Run the backward pass and keep everything it computes."""
    edges: list[tuple[TapeNode, int, Any]] = []
    table = backward(seeds, visit=lambda node, i, ct: edges.append((node, i, ct)))
    cotangents = {node: _joined(node, ct) for node, ct in table.items()}
    return Flow(cotangents, edges)


def _joined(node: TapeNode, cotangent: Any) -> Any:
    """Return the cotangent of several results as a tuple, zeros where none arrived."""
    if cotangent.__class__ is not list:
        return cotangent
    pairs = zip(cotangent, node.out, strict=True)
    return tuple(np.zeros_like(o) if c is None else c for c, o in pairs)


def arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    """Return the floating arrays that a value consists of, under whatever tracers."""
    found = []
    for x in value if isinstance(value, tuple) else (value,):
        while isinstance(x, Tracer):
            x = x.value
        x = np.asarray(x)
        if x.dtype.kind in "fc":
            found.append(x)
    return found


def all_finite(value: Any) -> bool:
    """Whether no entry is infinite or NaN."""
    return all(bool(np.isfinite(x).all()) for x in arrays(value))
