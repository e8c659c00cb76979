"""Reverse mode: a tape that records while it computes, and the backward pass that fills a table.

The backward pass visits each recorded node once, in reverse order of creation, which is a reverse
topological order. It is pruned on both sides: a node is recorded only if it descends from a wanted
input, and visited only if it is an ancestor of the output. Its cost is proportional to the edges.
(Goodfellow, Bengio, Courville, Deep Learning, 2016, algorithms 6.5 and 6.6.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import Op, call, define
from pullback.core.segment import Segment, current, move
from pullback.core.tracer import Trace, Tracer

if TYPE_CHECKING:
    Visit = Callable[["TapeNode", int, Any], None]

_creation = itertools.count()
KEPT_AS_IT_IS = 1 << 16
"""Bytes from which on an array that is not traced is recorded without a copy of its own."""


class TapeNode:
    """One recorded operation: its arguments, its result, and the nodes its arguments came from.

    `segment` is set where a checkpointed function recorded it; the arguments and the result are
    None while that segment is dropped.
    """

    __slots__ = ("__weakref__", "args", "op", "order", "out", "params", "parents", "segment")

    def __init__(
        self,
        op: Op | None,
        args: Any,
        params: Mapping[str, Any],
        out: Any,
        parents: Sequence[TapeNode | None],
    ) -> None:
        self.op = op
        self.args = args
        self.params = params
        self.out = out
        self.parents = parents
        self.order = next(_creation)
        self.segment: Segment | None = None

    def release(self) -> None:
        """Let go of the values and of the history: the backward pass has gone by for good."""
        self.args, self.out, self.parents, self.segment = (), None, (), None


class TapeTracer(Tracer):
    """An array whose computation is recorded; `node` is None where nothing depends on an input."""

    __slots__ = ()


class Tape(Trace):
    """Records operations while they run (define by run)."""

    def __init__(self) -> None:
        super().__init__()
        self._copies: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._picks: WeakValueDictionary[Any, TapeNode] = WeakValueDictionary()

    def input(self, value: Any) -> TapeTracer:
        """Return a tracer for an input, of which the derivative is wanted."""
        return self.wrap(value, TapeNode(None, (), {}, value, ()))

    def wrap(self, value: Any, node: TapeNode | None = None) -> TapeTracer:
        return TapeTracer(self, value, node)

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        values, parents = self.unwrap(args)
        if op.name == "getitem" and len(values) == 1 and parents[0] is not None:
            return self._pick(op, values, params, parents)
        out = op(*values, **params)
        if op.vjp is None and op.vjp_all is None:
            segment = self._segment()
            if segment is not None:
                segment.add_constant(TapeNode(op, values, params, out, parents))
            return out
        return self.record(op, values, params, out, parents)

    def unwrap(self, args: Sequence[Any]) -> tuple[list[Any], list[TapeNode | None]]:
        """Return the values that `args` stand for, and the nodes of those on this tape."""
        values: list[Any] = []
        parents: list[TapeNode | None] = []
        for a in args:
            if isinstance(a, Tracer) and a.context is self:
                if a.origin is not None:
                    a.refresh()
                values.append(a.value)
                parents.append(a.node)
            else:
                values.append(a)
                parents.append(None)
        return values, parents

    def record(
        self,
        op: Op,
        values: Sequence[Any],
        params: Mapping[str, Any],
        out: Any,
        parents: Sequence[TapeNode | None],
    ) -> Any:
        """Write `out = op(*values)` on the tape, if it depends on an input; return its tracer."""
        tracked = any(parents)
        if not tracked:
            return tuple(map(self.wrap, out)) if isinstance(out, tuple) else self.wrap(out)
        kept = [v if p is not None else self._kept(v) for v, p in zip(values, parents, strict=True)]
        node = TapeNode(op, kept, params, out, parents)
        segment = self._segment()
        if segment is not None:
            segment.add(node)
        if not isinstance(out, tuple):
            return self.wrap(out, node)
        items = [TapeNode(item, (out,), {"index": i}, o, (node,)) for i, o in enumerate(out)]
        if segment is not None:
            for picked in items:
                segment.add(picked)
        return tuple(map(self.wrap, out, items))

    def _pick(
        self, op: Op, values: list[Any], params: Mapping[str, Any], parents: Sequence[Any]
    ) -> Any:
        """Record x[index] once where it is a number, as the p[0] of many steps of a loop.

        Each costs a cotangent of the size of x.
        """
        key = id(parents[0]), params["index"], self._segment()
        known = self._picks.get(key)  # alive, and so is what it was picked of
        if known is not None and known.out is not None:
            return self.wrap(known.out, known)
        picked = self.record(op, values, params, op(*values, **params), parents)
        if picked.shape == ():
            self._picks[key] = picked.node
        return picked

    def _kept(self, constant: Any) -> Any:
        """Return `constant` as it stays until the backward pass, even if it is written to before.

        Where it is recorded again and is the same still, so is its copy.
        """
        if constant.__class__ is not np.ndarray or not constant.flags.writeable:
            return constant
        if constant.nbytes >= KEPT_AS_IT_IS:
            return constant
        known = self._copies.get(id(constant))
        if known is None or known.dtype != constant.dtype or not np.array_equal(known, constant):
            known = self._copies[id(constant)] = constant.copy(order="K")
        return known

    def _segment(self) -> Segment | None:
        scope = current.get()
        return None if scope is None else scope.segment(self)


def backward(
    seeds: Iterable[tuple[TapeNode | None, Any]],
    keep: Iterable[TapeNode] = (),
    visit: Visit | None = None,
    once: bool = False,
) -> dict[TapeNode, Any]:
    """Fill the gradient table from the cotangents of the outputs.

    `seeds` are (output node, cotangent) pairs. The table returned holds the nodes of `keep` that a
    cotangent reached, or every visited node where `visit` is given; `visit(node, position,
    contribution)` is told what flows along each edge. With `once` the values and the history of
    each node are let go of when it has been visited, so that memory falls on the way back.
    """
    table: dict[TapeNode, Any] = {}
    owned: set[TapeNode] = set()
    for node, cotangent in seeds:
        if node is not None:
            _accumulate(table, owned, node, cotangent)
    kept = set(keep)
    segment: Segment | None = None
    try:
        for node in _reverse_topological(table):
            op = node.op
            if op is None:
                continue
            cotangent = table.get(node) if visit or node in kept else table.pop(node, None)
            if cotangent is None:
                continue
            if node.segment is not segment:
                segment = move(segment, node.segment)
            if op is item:
                parent = node.parents[0]
                slots = table.setdefault(parent, [None] * len(node.args[0]))  # type: ignore
                slots[node.params["index"]] = cotangent
                if once:
                    node.release()
                continue
            if cotangent.__class__ is list:
                pairs = zip(cotangent, node.out, strict=True)
                cotangent = tuple(np.zeros_like(o) if c is None else c for c, o in pairs)
            vjp, out, args, params = op.vjp, node.out, node.args, node.params
            shared = op.vjp_all(cotangent, out, args, params) if op.vjp_all is not None else None
            for i, parent in enumerate(node.parents):
                if parent is not None:
                    if shared is not None:
                        contribution = shared[i]
                    else:
                        contribution = vjp(i, cotangent, out, args, params)  # type: ignore[misc]
                    if contribution is not None:
                        if visit is not None:
                            visit(node, i, contribution)
                        _accumulate(table, owned, parent, contribution)
            if once:
                node.release()
    finally:
        move(segment, None)
    return table


def _accumulate(
    table: dict[TapeNode, Any], owned: set[TapeNode], node: TapeNode, contribution: Any
) -> None:
    present = table.get(node)
    if present is None:
        table[node] = contribution
    elif node in owned and contribution.__class__ is np.ndarray:
        present += contribution
    else:
        total = present + contribution
        table[node] = total
        if total.__class__ is np.ndarray:
            owned.add(node)


def inputs_of(node: TapeNode) -> list[TapeNode]:
    """Return the input nodes that `node` depends on."""
    return [n for n in _reverse_topological([node]) if n.op is None]


def history(roots: Iterable[TapeNode]) -> list[TapeNode]:
    """Return `roots` and all that they were computed from, in the order of recording."""
    return _reverse_topological(roots)[::-1]


def _reverse_topological(roots: Iterable[TapeNode]) -> list[TapeNode]:
    """Return `roots` and their ancestors, later nodes first."""
    pending = list(roots)
    seen = set(pending)
    while pending:
        for parent in pending.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return sorted(seen, key=attrgetter("order"), reverse=True)


def _item_aval(several: tuple[Aval, ...], index: int) -> Aval:
    return several[index]


item = define(
    Op(
        name="item",
        kind="linear",
        forward=lambda several, index: several[index],
        infer=_item_aval,
        vjp=lambda i, ct, out, args, params: None,  # the backward pass fills the slots itself
        jvp=lambda tangents, out, args, params: tangents[0][params["index"]],
        batch=lambda args, batched, params: args[0][params["index"]],
        notation=call("item"),
        samples=lambda rng: [],
        undefined_at="",
    )
)
