"""Segments: stretches of a tape that keep their inputs only and are computed again when needed.

While a checkpointed function runs, its operations are recorded as ever. Afterwards the values they
computed are dropped; what stays is the recipe (operations, parameters, constants) and the values
that came from outside. The backward pass restores a segment when it arrives there and drops it
again when it leaves, so that memory is that of the inputs of all segments and of one restored one.
Segments nest: restoring one leaves those inside it dropped.
"""

from __future__ import annotations

import itertools
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import Op, call, define
from pullback.core.tracer import Tracer

if TYPE_CHECKING:
    from pullback.core.tape import Tape, TapeNode

    Entry = tuple["TapeNode", list["TapeNode | None"], list[Any]]

runs = itertools.count(1)
current: ContextVar[Scope | None] = ContextVar("current", default=None)
"""The innermost checkpointed function that is running."""


class Scope:
    """One run of a checkpointed function: it has a segment on each tape that was there before.

    `level` separates those tapes from the ones that the function makes for itself.
    """

    def __init__(self, level: float) -> None:
        self.level = level
        self.outer = current.get()
        self._segments: dict[Tape, Segment] = {}
        self._token: Token[Scope | None] | None = None

    def __enter__(self) -> Scope:
        self._token = current.set(self)
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._token is not None
        current.reset(self._token)
        for segment in self._segments.values():
            segment.drop()

    def segment(self, tape: Tape) -> Segment | None:
        """Return the segment on `tape`, None where the tape is the function's own."""
        if tape.level > self.level:
            return None
        found = self._segments.get(tape)
        if found is None:
            outer = self.outer.segment(tape) if self.outer is not None else None
            found = Segment(tape.level, outer)
            self._segments[tape] = found
        return found


class Segment:
    """Nodes of one tape in the order of recording, and the values they need from outside."""

    def __init__(self, level: float, parent: Segment | None) -> None:
        self.parent = parent
        self._level = level
        self._visit: Scope | None = None
        self._entries: list[Entry | Segment] = []
        self._inputs: dict[TapeNode, Any] = {}
        self._used_outside: set[TapeNode] = set()
        self._constants: dict[int, TapeNode] = {}
        if parent is not None:
            parent._entries.append(self)

    # recording

    def add(self, node: TapeNode) -> None:
        """Append `node`, which was just computed."""
        node.segment = self
        pairs = zip(node.args, node.parents, strict=True)
        sources = [self._constant(a) if parent is None else parent for a, parent in pairs]
        for source, value in zip(sources, node.args, strict=True):
            if source is not None:
                self._need(source, value)
        kept = [a if s is None else None for a, s in zip(node.args, sources, strict=True)]
        self._entries.append((node, sources, kept))

    def add_constant(self, node: TapeNode) -> None:
        """Append a `node` that is piecewise constant: computed again, but not differentiated."""
        out = node.out
        for a, parent in zip(node.args, node.parents, strict=True):
            if a is out and parent is not None:  # stop_gradient
                self._constants[id(out)] = parent
                return
        if isinstance(out, Tracer) or (isinstance(out, np.ndarray) and out.base is None):
            if isinstance(out, np.ndarray):
                out.flags.writeable = False  # since a change of it would not be made again
            self.add(node)
            self._constants[id(out)] = node

    def _constant(self, value: Any) -> TapeNode | None:
        found = self._constants.get(id(value))
        return found if found is not None and found.out is value else None

    def _need(self, node: TapeNode, value: Any) -> None:
        """Make sure that the value of `node` is at hand when this segment is restored."""
        owner = node.segment
        if owner is self or node in self._inputs:
            return
        if self.holds(owner):
            while owner is not None and owner is not self:
                owner._used_outside.add(node)
                owner = owner.parent
            return
        self._inputs[node] = value
        if self.parent is not None:
            self.parent._need(node, value)

    def holds(self, other: Segment | None) -> bool:
        """Whether `other` is this segment or lies inside it."""
        while other is not None and other is not self:
            other = other.parent
        return other is self

    # dropping and restoring

    def drop(self) -> None:
        """Forget the values of the nodes, and what the segments inside took from them."""
        self._constants.clear()
        for entry in self._entries:
            if isinstance(entry, Segment):
                entry._inputs = dict.fromkeys(entry._inputs)
            else:
                entry[0].args = entry[0].out = None

    def enter(self) -> None:
        """Compute the values of the nodes again; what is done until `leave` is itself a segment.

        So on the tapes below, second derivatives are as sparing with memory as first ones.
        """
        if self.parent is not None and self.parent._visit is None:
            self.parent.enter()
        self._visit = Scope(self._level)
        self._visit.__enter__()
        run = next(runs)
        values = {node: again(value, run) for node, value in self._inputs.items()}
        self._replay(values, keep=True)

    def leave(self) -> None:
        """Drop the values again."""
        assert self._visit is not None
        self._visit.__exit__()
        self._visit = None
        self.drop()

    def _replay(self, values: dict[TapeNode, Any], keep: bool) -> None:
        """Fill `values` from those of the inputs; with `keep`, give the nodes theirs back."""
        for entry in self._entries:
            if isinstance(entry, Segment):
                inner = {node: values[node] for node in entry._inputs}
                if keep:
                    entry._inputs = dict(inner)
                entry._replay(inner, keep=False)
                values.update((node, inner[node]) for node in entry._used_outside)
                continue
            node, sources, kept = entry
            assert node.op is not None
            args = [k if s is None else values[s] for k, s in zip(kept, sources, strict=True)]
            out = values[node] = node.op(*args, **node.params)
            if keep:
                node.args, node.out = args, out


def move(segment: Segment | None, target: Segment | None) -> Segment | None:
    """Go from one segment to another in the backward pass; None is outside of all."""
    while segment is not None and not segment.holds(target):
        segment.leave()
        segment = segment.parent
    if target is not None and target is not segment:
        target.enter()
    return target


def again(value: Any, run: int) -> Any:
    """Mark a traced value, so that what is computed from it anew is not merged with the old."""
    return recompute(value, run=run) if isinstance(value, Tracer) else value


def _same(x: Aval, run: int = 0) -> Aval:
    return Aval(x.shape, x.dtype)


recompute: Op = define(
    Op(
        name="recompute",
        kind="linear",
        forward=lambda x, run=0: x,
        infer=_same,
        vjp=lambda i, ct, out, args, params: ct,
        jvp=lambda tangents, out, args, params: tangents[0],
        batch=lambda args, batched, params: recompute(args[0], **params),
        notation=call("recompute"),
        samples=lambda rng: [((rng.normal(size=(2, 3)),), {"run": 1})],
        undefined_at="",
    )
)
"""The identity, different in each `run`: equal operations before and after it are not merged."""
