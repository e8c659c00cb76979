"""Define then run: a trace that appends operations to a graph without computing them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval, DType, Shape, aval_of
from pullback.core.buffer import unwrap
from pullback.core.collector import uncollected
from pullback.core.errors import DTypeError, TracerError
from pullback.core.graph import Graph, Node
from pullback.core.op import Op
from pullback.core.tracer import Trace, Tracer


class GraphTracer(Tracer):
    """A value that is not computed yet; `value` is its node in the graph."""

    __slots__ = ()

    @property
    def shape(self) -> Shape:
        return self.value.aval.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> DType:
        return self.value.aval.dtype  # type: ignore[no-any-return]

    @property
    def aval(self) -> Aval:
        return self.value.aval  # type: ignore[no-any-return]

    def concrete(self, purpose: str) -> Any:
        raise TracerError(
            f"{purpose} needs a concrete number, but in pb.trace a value is known only by its "
            f"shape and dtype (here {self.aval}; {user_line()}). Use np.where for a choice "
            "between values, pb.cond for a choice between computations, pb.while_loop or "
            "pb.fori_loop for a loop, or run the function without pb.trace, where Python's if, "
            "for and while see the numbers."
        )


class GraphTrace(Trace):
    """Appends operations to a graph under construction."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self._constants: dict[int, Node] = {}

    def argument(self, aval: Aval, name: str) -> GraphTracer:
        """Return a tracer for an argument of the graph."""
        return GraphTracer(self, Node(aval, name=name))

    def wrap(self, value: Any) -> GraphTracer:
        return GraphTracer(self, self.node_of(value))

    def node_of(self, x: Any) -> Node:
        """Return the node of a tracer of this trace, or a constant node for any other value."""
        if isinstance(x, Tracer):
            x = unwrap(x)
        if isinstance(x, Tracer):
            if x.origin is not None:
                x.refresh()
            if x.context is self:
                return x.value  # type: ignore[no-any-return]
        if x.__class__ is int and not -(2**63) <= x < 2**64:
            x = float(x)  # NumPy, too, casts it to the dtype of the other operand
        known = self._constants.get(id(x))
        if known is not None and known.value is x:
            return known
        if isinstance(x, np.ndarray) and x.flags.writeable:
            value: Any = x.copy()  # the caller may change it before the graph runs
        else:
            value = x
        node = Node(aval_of(x), value=value)
        self.nodes.append(node)
        if value is x:
            self._constants[id(x)] = node
        return node

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        inputs = tuple(
            [
                a.value
                if a.__class__ is GraphTracer and a.context is self and a.origin is None
                else self.node_of(a)
                for a in args
            ]
        )
        aval = op.infer(*[n.aval for n in inputs], **params)
        node = Node(aval, op, inputs, params)
        self.nodes.append(node)
        if isinstance(aval, tuple):
            from pullback.core.tape import item

            items = [Node(a, item, (node,), {"index": i}) for i, a in enumerate(aval)]
            self.nodes += items
            return tuple([GraphTracer(self, picked) for picked in items])
        return GraphTracer(self, node)


def trace(function: Callable[..., Any], *args: Any) -> Graph:
    """Trace `function` to a Graph, for arguments of the shapes and dtypes of `args`.

    `args` are pytrees of arrays, of Python scalars or of `Aval`s; only shapes and dtypes count. A
    weak `Aval` stands for a Python scalar, which never widens a dtype.
    Raises DTypeError for arguments that are no numbers, TracerError where the function needs a
    traced value as a Python number.

    >>> import numpy as np, pullback as pb
    >>> graph = pb.trace(lambda w, x: np.tanh(x @ w), pb.Aval((3,), "f8"), pb.Aval((2, 3), "f8"))
    >>> print(graph)
    graph(w: f64[3], x: f64[2,3]):
      a = x @ w    # f64[2]
      b = tanh(a)  # f64[2]
      return b
    """
    return trace_by(GraphTrace(), function, *args)


@uncollected()
def trace_by(tracing: GraphTrace, function: Callable[..., Any], *args: Any) -> Graph:
    """Trace `function` as `trace` does, by a trace of one's own."""
    leaves, in_tree = pytree.flatten(args)
    avals = [leaf if isinstance(leaf, Aval) else strong(aval_of(leaf)) for leaf in leaves]
    names = argument_names(function, args)
    for name, leaf, aval in zip(names, leaves, avals, strict=True):
        if aval.dtype.kind in "OSU":
            raise DTypeError(
                f"{name}: expected an array of numbers, got {type(leaf).__name__}. Only arrays are "
                "traced: give the function its other arguments first, by functools.partial."
            )
    tracers = [tracing.argument(aval, name) for name, aval in zip(names, avals, strict=True)]
    arguments = [t.value for t in tracers]
    result = function(*pytree.unflatten(in_tree, tracers))
    out_leaves, out_tree = pytree.flatten(result)
    results = [tracing.node_of(x) for x in out_leaves]
    name = getattr(function, "__name__", "graph")
    name = name if name.isidentifier() else "graph"
    return Graph(arguments, results, in_tree, out_tree, name, tracing.nodes)


def strong(aval: Aval) -> Aval:
    """Return `aval` without the weak mark."""
    return Aval(aval.shape, aval.dtype)


def argument_names(function: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """Return a readable, unique name for each leaf of `args`, after the parameters' names."""
    code = getattr(function, "__code__", None)
    given = list(code.co_varnames[: code.co_argcount]) if code is not None else []
    if hasattr(function, "__self__"):
        given = given[1:]
    names: list[str] = []
    for position, arg in enumerate(args):
        stem = given[position] if position < len(given) else f"x{position}"
        names.extend(stem + path.removeprefix("*") for path in pytree.paths(arg))
    return names


def user_line() -> str:
    """Return where the user's code is now, in words."""
    frame = sys._getframe(1)
    while frame.f_back is not None and "pullback" in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    return f"in {frame.f_code.co_filename}, line {frame.f_lineno}"
