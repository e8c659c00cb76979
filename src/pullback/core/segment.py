"""Segments: stretches of a tape that keep their inputs only and are computed again when needed.

While a checkpointed function runs, its operations are recorded as ever. Afterwards the values they
computed are dropped; what stays is the recipe (operations, parameters, constants) and the values
that came from outside. The backward pass restores a segment when it arrives there and drops it
again when it leaves, so that memory is that of the inputs of all segments and of one restored one.
Segments nest: restoring one leaves those inside it dropped.
"""

from __future__ import annotations

import itertools
import weakref
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import Op, call, define
from pullback.core.tracer import Tracer

if TYPE_CHECKING:
    from pullback.core.tape import Tape, TapeNode

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
    """What a checkpointed function recorded on one tape.

    Its nodes know it and keep it alive; it knows them weakly, so that a tape never is a cycle.
    """

    def __init__(self, level: float, parent: Segment | None) -> None:
        self.parent = parent
        self.recipe = Recipe(weakref.ref(self))
        self.inputs: dict[int, Any] = {}
        self._level = level
        self._constants: dict[int, TapeNode] = {}
        self._visit: Scope | None = None
        if parent is not None:
            parent.recipe.steps.append(self.recipe)

    # recording

    def add(self, node: TapeNode) -> None:
        """Append `node`, which was just computed."""
        node.segment = self
        sources: list[int | None] = []
        for value, parent in zip(node.args, node.parents, strict=True):
            source = self._constant(value) if parent is None else parent
            if source is not None:
                self._need(source, value)
            sources.append(None if source is None else source.order)
        self.recipe.steps.append(Step(node, sources))

    def add_constant(self, node: TapeNode) -> None:
        """Append a `node` that is piecewise constant: computed again, but not differentiated."""
        out = node.out
        for value, parent in zip(node.args, node.parents, strict=True):
            if value is out and parent is not None:  # stop_gradient
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
        """Make sure that the value of `node` is at hand when this segment is entered."""
        owner = node.segment
        if owner is self or node.order in self.inputs:
            return
        if self.holds(owner):
            while owner is not None and owner is not self:
                owner.recipe.outputs.add(node.order)
                owner = owner.parent
            return
        self.inputs[node.order] = value
        self.recipe.inputs.append(node.order)
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
        for step in self.recipe.steps:
            step.forget()

    def enter(self) -> None:
        """Compute the values of the nodes again; what is done until `leave` is itself a segment.

        So on the tapes below, second derivatives are as sparing with memory as first ones.
        """
        if self.parent is not None and self.parent._visit is None:
            self.parent.enter()
        self._visit = Scope(self._level)
        self._visit.__enter__()
        run = next(runs)
        self.recipe.follow({n: again(value, run) for n, value in self.inputs.items()}, keep=True)

    def leave(self) -> None:
        """Drop the values again."""
        assert self._visit is not None
        self._visit.__exit__()
        self._visit = None
        self.drop()


class Step:
    """How to compute one node again; values are known by the `order` of their nodes."""

    __slots__ = ("_constants", "_node", "_op", "_order", "_params", "_sources")

    def __init__(self, node: TapeNode, sources: list[int | None]) -> None:
        assert node.op is not None
        self._node = weakref.ref(node)
        self._order, self._op, self._params = node.order, node.op, node.params
        self._sources = sources
        pairs = zip(node.args, sources, strict=True)
        self._constants = [value if s is None else None for value, s in pairs]

    def follow(self, values: dict[int, Any], keep: bool) -> None:
        """Add the value to `values`; with `keep`, give it back to the node."""
        pairs = zip(self._constants, self._sources, strict=True)
        args = [constant if s is None else values[s] for constant, s in pairs]
        out = values[self._order] = self._op(*args, **self._params)
        node = self._node()
        if keep and node is not None:
            node.args, node.out = args, out

    def forget(self) -> None:
        """Take the values from the node."""
        node = self._node()
        if node is not None:
            node.args = node.out = None


class Recipe:
    """How to compute a segment again: its steps, and the recipes of the segments inside it."""

    def __init__(self, segment: weakref.ref[Segment]) -> None:
        self.steps: list[Step | Recipe] = []
        self.inputs: list[int] = []
        self.outputs: set[int] = set()
        self._segment = segment

    def follow(self, values: dict[int, Any], keep: bool) -> None:
        """Add the values of the steps to `values`, of segments inside only what is used outside.

        With `keep`, give them back to the nodes, and to the segments inside their inputs.
        """
        for step in self.steps:
            if isinstance(step, Step):
                step.follow(values, keep)
                continue
            inner = {n: values[n] for n in step.inputs}
            segment = step._segment()
            if keep and segment is not None:
                segment.inputs = dict(inner)
            step.follow(inner, keep=False)
            values.update((n, inner[n]) for n in step.outputs)

    def forget(self) -> None:
        """Take from the segment what it took from the one around it."""
        segment = self._segment()
        if segment is not None:
            segment.inputs = dict.fromkeys(segment.inputs)


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
