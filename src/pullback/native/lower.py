"""From a graph to loops: what is computed where, what shares a loop, and what is never stored.

Element-by-element operations and views are expressions that their readers take in; only what
several loops need, or a matrix product or a result, has memory. Kernels over the same loops become
one kernel, and values that only it needs stay in registers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.native import complexes, control, library, places, products
from pullback.native.fuse import joined
from pullback.native.kinds import (
    REDUCTIONS,
    TOGETHER,
    is_expression,
    is_native,
    is_reduction,
    is_short,
    working_dtype,
)
from pullback.native.loops import (
    Affine,
    Apply,
    Buffer,
    Expr,
    Kernel,
    Parts,
    Place,
    affine,
    identity,
    linear,
    literal,
    loads,
    part_of,
    reduces,
    stores,
)
from pullback.native.narrow import SINGLE, is_narrow
from pullback.native.steps import Python, Step
from pullback.native.stored import (
    MOST_DEPTH,
    by_library,
    choose_stored,
    only_names,
    shows_as_it_lies,
)


@dataclass(slots=True)
class Unit:
    """A node that gets memory: its loops and the statements that fill it."""

    node: Node
    sizes: tuple[int, ...]
    steps: list[Step] = field(default_factory=list)
    pointwise: bool = False  # one Store at the place of the loops: may stay in registers
    fusible: bool = False


@dataclass(slots=True)
class Lowered:
    """The steps of a graph, in order, and the buffers that they work on."""

    steps: list[Step]
    arguments: list[Buffer]
    results: list[Buffer]
    fallbacks: list[Node]

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))


def lower(graph: Graph, in_bfloat16: bool = False) -> Lowered:
    """Return the loops that compute `graph`."""
    return Lowering(graph, in_bfloat16=in_bfloat16).run()


class Lowering:
    """The work of `lower` on one graph."""

    def __init__(
        self, graph: Graph, given: Mapping[Node, Buffer] | None = None, in_bfloat16: bool = False
    ) -> None:
        self.graph, self.in_bfloat16 = graph, in_bfloat16
        self.given = given or {}
        self.storage: dict[Node, Buffer] = {}
        self.results: dict[Node, None] = dict.fromkeys(graph.results)
        self.stored = choose_stored(graph)
        self.units: list[Unit] = []
        self.fallbacks: list[Node] = []
        self._known: dict[Any, Parts] = {}
        self.forwarded: dict[Node, Parts] = {}
        self._count = 0
        self._run = 0

    def run(self) -> Lowered:
        """Lower every node that is stored, then join loops."""
        self.storage.update(self.given)
        arguments = [
            self.given.get(n) or self._buffer(n, "argument", n.name) for n in self.graph.arguments
        ]
        for node in self.graph.nodes:
            if node.is_constant and (node in self.stored or self._constant(node) is None):
                value = np.ascontiguousarray(node.value)
                self.storage[node] = Buffer(node.name, value.dtype, value.size, "constant", value)
            elif node.op is OPS["recompute"]:
                self._begin_run(node)
            elif node.op is not None and node in self.stored and not only_names(node):
                self._lower(node)
        results: list[Buffer] = []
        for node in self.graph.results:
            results.append(self._returned(node, results))
        return Lowered(joined(self), arguments, results, self.fallbacks)

    def _begin_run(self, mark: Node) -> None:
        """Let what is computed again from here on stand here, not where it was computed before."""
        run = mark.params["run"]
        if run != self._run:
            self._run = run
            self.units.append(Unit(mark, ()))

    def _returned(self, node: Node, before: list[Buffer]) -> Buffer:
        """Return a buffer of its own for a result: a copy of an argument, or of another result."""
        buffer = self.storage.get(node) if node not in self.given else None
        if buffer is not None and buffer.kind in ("result", "python") and buffer not in before:
            return buffer
        place = identity(node.shape)
        copy = Buffer(f"{node.name}'", node.dtype, node.aval.size, "result")
        body = stores(copy, linear(place, node.shape), self.parts(node, place))
        self.units.append(Unit(node, node.shape, [Kernel(node.shape, body)]))
        return copy

    # expressions

    def forget(self) -> None:
        """Forget the expressions made so far, and what is forwarded."""
        self._known, self.forwarded = {}, {}

    def forward(self, node: Node) -> Parts:
        """Return the expression of a stored `node`; its readers take it in, unless it is deep."""
        buffer = self.storage.pop(node)
        parts = self._parts(node, identity(node.shape))
        self.storage[node] = buffer
        if max([getattr(part, "depth", 0) for part in parts]) <= MOST_DEPTH:
            self.forwarded[node] = parts
        return parts

    def value(self, node: Node, place: Place) -> Expr:
        """Return the element of `node`, which is not complex, at `place`."""
        (value,) = self.parts(node, place)
        return value

    def parts(self, node: Node, place: Place) -> Parts:
        """Return the element of `node` at `place`: one expression, or two if it is complex."""
        key = (node, place)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._parts(node, place)
        return found

    def _parts(self, node: Node, place: Place) -> Parts:
        constant = self._constant(node)
        if constant is not None:
            return constant
        if node in self.forwarded and place == identity(node.shape):
            return self.forwarded[node]
        buffer = self.memory(node)
        if buffer is not None:
            return loads(buffer, linear(place, node.shape))
        op = node.op
        assert op is not None
        viewed = places.source(node, place)
        if viewed is not None:
            return self.parts(*viewed)
        if op.name == "getitem":
            return self._gathered(node, place)
        if is_short(node):
            return (self._short_reduction(node, place),)
        args = [self.parts(i, places.broadcast(place, i.shape)) for i in node.inputs]
        if complexes.concerns(node):
            return complexes.parts_of(node, working_dtype(node), args)
        return (Apply(op.name, tuple(arg[0] for arg in args), working_dtype(node), node.dtype),)

    def _short_reduction(self, node: Node, place: Place) -> Expr:
        """Return the few elements at `place`, combined in the order of memory."""
        assert node.op is not None
        (x,) = node.inputs
        axes, own = set(node.params["axis"]), iter(place)
        if node.aval.ndim == x.aval.ndim:  # the axes are kept, of length 1
            own = iter([p for k, p in enumerate(place) if k not in axes])
        around = [None if k in axes else next(own) for k in range(x.aval.ndim)]
        name, dtype = TOGETHER[node.op.name], working_dtype(node)
        found: Expr | None = None
        for turns in np.ndindex(*[n for k, n in enumerate(x.shape) if k in axes]):
            mine = iter(turns)
            at = tuple(Affine(next(mine)) if p is None else p for p in around)
            value = self.value(x, at)
            if found is not None:
                found = Apply(name, (found, value), dtype, dtype)
            elif value.dtype == dtype:
                found = value
            else:
                found = Apply("astype", (value,), value.dtype, dtype)
        assert found is not None
        return found

    def _gathered(self, node: Node, place: Place) -> Parts:
        source, *indices = node.inputs
        buffer = self.memory(source)
        assert buffer is not None
        offset, gathers = places.gathered(self, node, source, indices, place)
        return loads(buffer, offset, gathers)

    def _constant(self, node: Node) -> Parts | None:
        """Return the one value of a constant as literals; None where it has several."""
        if not node.is_constant:
            return None
        array = np.asarray(node.value)
        if array.size == 0 or not library.knows(array.dtype):
            return None
        first = array.reshape(-1)[:1]
        if array.ndim and array.tobytes() != np.broadcast_to(first, array.shape).tobytes():
            return None
        part = part_of(array.dtype)
        return tuple(literal(x, part) for x in first.view(part))

    def memory(self, node: Node) -> Buffer | None:
        """Return the buffer that holds `node` as it lies in memory, if there is one."""
        while node not in self.storage:
            if not shows_as_it_lies(node):
                return None
            node = node.inputs[0]
        return self.storage[node]

    # statements

    def _buffer(self, node: Node, kind: Any, name: str = "") -> Buffer:
        self._count += 1
        buffer = Buffer(name or node.name or f"t{self._count}", node.dtype, node.aval.size, kind)
        self.storage[node] = buffer
        return buffer

    def _lower(self, node: Node) -> None:
        assert node.op is not None
        name = node.op.name
        unit = Unit(node, ())
        if name in control.LOWERINGS:
            if not control.LOWERINGS[name](self, node, unit):
                self._fall_back(node, unit)
        elif is_reduction(node) and not is_short(node):
            self._reduce(node, unit)
        elif is_native(node) and products.is_native(node):
            products.LOWERINGS[name](self, node, unit)
        elif is_expression(node):
            unit.sizes, unit.pointwise, unit.fusible = node.shape, True, True
            place = identity(node.shape)
            parts = self._known.pop((node, place), None) or self._parts(node, place)
            body = stores(self.make_room(node), linear(place, node.shape), parts)
            unit.steps = [Kernel(node.shape, body)]
        elif (lower_by := by_library(node)) is not None:
            lower_by(self, node, unit)
        else:
            self._fall_back(node, unit)
        self.units.append(unit)

    def rounds(self, product: Node) -> bool:
        """Whether the factors of a product are rounded to bfloat16."""
        return self.in_bfloat16 and product.dtype == np.float32

    def make_room(self, node: Node) -> Buffer:
        """Give `node` memory."""
        return self._buffer(node, "result" if node in self.results else "arena")

    def make_rooms(self, node: Node) -> list[Buffer]:
        """Give memory to each of the values of `node`."""
        if not isinstance(node.aval, tuple):
            return [self.make_room(node)]
        returned = {r.params["index"] for r in self.graph.consumers(node) if r in self.results}
        outs = [
            Buffer(f"{node.name}.{k}", a.dtype, a.size, "result" if k in returned else "arena")
            for k, a in enumerate(node.aval)
        ]
        self.take_apart(node, outs)
        return outs

    def inner(self, graph: Graph, given: Mapping[Node, Buffer]) -> Lowered:
        """Lower a graph inside of this one, of which some arguments lie in known buffers."""
        return Lowering(graph, given, self.in_bfloat16).run()

    def take_apart(self, node: Node, outs: Sequence[Buffer]) -> None:
        """Say where the several values of `node` are, of which `item` nodes pick one."""
        for reader in self.graph.consumers(node):
            self.storage[reader] = outs[reader.params["index"]]

    def _reduce(self, node: Node, unit: Unit) -> None:
        (x,) = node.inputs
        axes = set(node.params["axis"])
        kept = tuple(k for k in range(x.aval.ndim) if k not in axes)
        parts = self.parts(x, identity(x.shape))
        buffer = self.make_room(node)
        offset = linear(tuple(identity(x.shape)[k] for k in kept), [x.shape[k] for k in kept])
        assert node.op is not None
        wide = buffer
        if is_narrow(node.dtype):
            wide = Buffer(f"{buffer}.wide", SINGLE, buffer.size, "arena")
        body = reduces(wide, offset, parts, REDUCTIONS[node.op.name], kept)
        unit.sizes, unit.steps = x.shape, [Kernel(x.shape, body)]
        unit.fusible = wide is buffer
        if wide is not buffer:
            at = affine(0, {0: 1})
            unit.steps.append(Kernel((wide.size,), stores(buffer, at, loads(wide, at))))

    def _fall_back(self, node: Node, unit: Unit) -> None:
        self.fallbacks.append(node)
        inputs = []
        for i in node.inputs:
            if self.memory(i) is None:  # a piece of an array, as only a loop of our own takes it
                self._lower(i)
            memory = self.memory(i)
            assert memory is not None
            inputs.append((memory, i.shape))
        avals = node.aval if isinstance(node.aval, tuple) else (node.aval,)
        outs = tuple(
            Buffer(f"{node.name}.{k}", a.dtype, a.size, "python") for k, a in enumerate(avals)
        )
        if isinstance(node.aval, tuple):
            self.take_apart(node, outs)
        else:
            self.storage[node] = outs[0]
        unit.steps = [Python(node, outs, tuple(inputs))]
