"""The computational graph: an immutable list of nodes in the order they are computed."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, wraps
from operator import attrgetter
from string import ascii_lowercase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ShapeError
from pullback.core.interpreter import Program
from pullback.core.tracer import Tracer

if TYPE_CHECKING:
    from pullback.core.op import Op


F = TypeVar("F", bound=Callable[..., Any])

_creation = itertools.count()
_NONE: Mapping[str, Any] = MappingProxyType({})
Executor = Callable[["Graph"], Callable[[Sequence[Any]], list[Any]]]


class Node:
    """One value of a graph: an argument, a constant, or the result of `op` on `inputs`.

    `aval` is its shape and dtype, or a tuple of them for an operation with several results
    (an `item` node picks one). `value` is the array of a constant and None otherwise. `order`
    counts the nodes as they are made.

    >>> import numpy as np, pullback as pb
    >>> graph = pb.trace(lambda x: np.exp(x) + 1.0, pb.Aval((3,), float))
    >>> graph.nodes[1], graph.nodes[1].op.name, graph.nodes[1].inputs
    (Node(a: f64[3]), 'exp', (Node(x: f64[3]),))
    """

    __slots__ = ("aval", "inputs", "name", "op", "order", "params", "value")

    def __init__(
        self,
        aval: Any,
        op: Op | None = None,
        inputs: tuple[Node, ...] = (),
        params: Mapping[str, Any] | None = None,
        value: Any = None,
        name: str = "",
    ) -> None:
        self.aval = aval
        self.op = op
        self.inputs = inputs
        self.params: Mapping[str, Any] = params or _NONE
        self.value = value
        self.name = name
        self.order = next(_creation)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.aval.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the value."""
        return self.aval.dtype  # type: ignore[no-any-return]

    @property
    def is_constant(self) -> bool:
        """Whether the value is known when the graph is made."""
        return self.op is None and self.value is not None

    def __repr__(self) -> str:
        what = self.op.name if self.op else ("constant" if self.is_constant else "argument")
        return f"Node({self.name or what}: {self.aval})"


class Graph:
    """A function as a graph; calling it computes, with arrays or with tracers.

    `arguments` and `results` are the nodes that go in and come out, `nodes` all nodes in the order
    of computation. Make one with `pullback.trace`; `pullback.grad(graph)` is a graph again.
    A call raises TreeError or ShapeError for arguments of another structure, shape or dtype than
    those it was traced for. The nodes are computed in the order in which they were made, or in
    that of `nodes`, which may have more than are needed.
    (The interface follows Goodfellow, Bengio, Courville, Deep Learning, 2016, section 6.5.)

    >>> import numpy as np, pullback as pb
    >>> graph = pb.trace(lambda x: np.sum(x * x), pb.Aval((3,), float))
    >>> graph
    graph(x: f64[3]):
      a = x * x                              # f64[3]
      b = sum(a, axis=(0,), keepdims=False)  # f64[]
      return b
    >>> graph(np.ones(3)), pb.grad(graph)(np.ones(3))
    (np.float64(3.0), array([2., 2., 2.]))
    >>> graph.consumers(graph.arguments[0])
    (Node(a: f64[3]),)
    """

    def __init__(
        self,
        arguments: Sequence[Node],
        results: Sequence[Node],
        in_tree: pytree.Structure,
        out_tree: pytree.Structure,
        name: str = "graph",
        nodes: Sequence[Node] | None = None,
    ) -> None:
        self.arguments = tuple(arguments)
        self.results = tuple(results)
        self.in_tree = in_tree
        self.out_tree = out_tree
        self.name = name
        self.nodes = (
            reachable(self.arguments, self.results)
            if nodes is None
            else _needed(self.arguments, self.results, nodes)
        )
        _name_nodes(self.nodes)
        self.derived: dict[Any, Any] = {}  # what was made of this graph, kept as long as it lives
        self.executor: Executor | None = None
        self._program: Callable[[Sequence[Any]], list[Any]] | None = None
        self._signature = [(n.aval.shape, n.aval.dtype) for n in self.arguments]

    @property
    def constants(self) -> tuple[Node, ...]:
        """The nodes whose values are known already."""
        return tuple(n for n in self.nodes if n.is_constant)

    def operation(self, node: Node) -> Op | None:
        """Return the operation that computes `node`; None for arguments and constants."""
        return node.op

    def inputs(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that `node` is computed from (its parents)."""
        return node.inputs

    def consumers(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that are computed from `node` (its children), in order."""
        return self._consumers.get(node, ())

    @cached_property
    def _consumers(self) -> dict[Node, tuple[Node, ...]]:
        found: dict[Node, dict[Node, None]] = {}
        for node in self.nodes:
            for i in node.inputs:
                found.setdefault(i, {})[node] = None
        return {node: tuple(children) for node, children in found.items()}

    def __call__(self, *args: Any) -> Any:
        leaves = self._fitting(args)
        if leaves is not None and self._program is not None:
            return self.out_tree.unflatten(self._program(leaves))
        leaves = pytree.match(self.in_tree, args, name=f"the arguments of {self.name}")
        self.check(leaves)
        strong = [  # a Python number takes the dtype that the graph was made for
            x if hasattr(x, "dtype") else np.asarray(x, node.aval.dtype)[()]
            for x, node in zip(leaves, self.arguments, strict=True)
        ]
        return self.out_tree.unflatten(self.run(strong))

    def _fitting(self, args: Any) -> list[Any] | None:
        """Return the leaves of `args` if all are arrays of the very signature; the quick path."""
        try:
            leaves = self.in_tree.flatten_up_to(args)
        except ValueError:
            return None
        for leaf, (shape, dtype) in zip(leaves, self._signature, strict=True):
            if (
                leaf.__class__ is not np.ndarray
                or leaf.shape != shape
                or (leaf.dtype is not dtype and leaf.dtype != dtype)
            ):
                return None
        return leaves

    def run_by(self, executor: Executor) -> Graph:
        """Let `executor(graph)`, a function of the flat arguments, compute this graph; return it.

        Without it, the interpreter does. `executor` says afterwards which one it is.
        """
        twin = Graph(  # a program and its graph that hold each other would stay
            self.arguments, self.results, self.in_tree, self.out_tree, self.name, self.nodes
        )
        self._program = executor(twin)
        self.executor = executor
        return self

    @cached_property
    def _captures(self) -> bool:
        """Whether values of a trace around this one stand among the constants."""
        return any(isinstance(n.value, Tracer) for n in self.nodes)

    @property
    def program(self) -> Callable[[Sequence[Any]], list[Any]] | None:
        """What `run_by` made to compute this graph, or the interpreter's; None before either."""
        return self._program

    def run(self, leaves: Sequence[Any]) -> list[Any]:
        """Compute the results from the flat list of arguments, unchecked."""
        if self._captures or any(isinstance(leaf, Tracer) for leaf in leaves):
            return self._follow(leaves)
        if self._program is None:
            self._program = Program(self)
        return self._program(leaves)

    def _follow(self, leaves: Sequence[Any]) -> list[Any]:
        """Compute the results node by node, and let go of each value after its last use."""
        values: dict[Node, Any] = dict(zip(self.arguments, leaves, strict=True))
        for node in self.nodes:
            if node.op is not None:
                values[node] = node.op(*[values[i] for i in node.inputs], **node.params)
                for i in self._dying.get(node, ()):
                    del values[i]
            elif node.value is not None:
                values[node] = node.value
        return [values[node] for node in self.results]

    @cached_property
    def _dying(self) -> dict[Node, list[Node]]:
        kept = set(self.results)
        last = {i: node for node in self.nodes for i in node.inputs if i not in kept}
        found: dict[Node, list[Node]] = {}
        for i, node in last.items():
            found.setdefault(node, []).append(i)
        return found

    def evaluate(self, leaves: Sequence[Any]) -> dict[Node, Any]:
        """Compute every node from the flat list of arguments, one by one."""
        values: dict[Node, Any] = dict(zip(self.arguments, leaves, strict=True))
        for node in self.nodes:
            if node.op is not None:
                values[node] = node.op(*[values[i] for i in node.inputs], **node.params)
            elif node.value is not None:
                values[node] = node.value
        return values

    def check(self, leaves: Sequence[Any]) -> None:
        """Raise ShapeError unless `leaves` have the shapes and dtypes of the arguments."""
        for node, leaf in zip(self.arguments, leaves, strict=True):
            expected = node.aval
            if getattr(leaf, "shape", None) == expected.shape and leaf.dtype == expected.dtype:
                continue
            got = aval_of(leaf)
            if got.shape != expected.shape or not (got.weak or got.dtype == expected.dtype):
                raise ShapeError(
                    f"argument {node.name!r} of {self.name}: expected {expected}, got {got}. "
                    "A graph is made for one signature: trace the function again for this one."
                )

    def __reduce__(self) -> tuple[Any, ...]:
        # a flat table: nodes that held their inputs would nest as deep as the graph is long
        number = {node: i for i, node in enumerate(self.nodes)}
        rows = [
            (n.aval, n.op, [number[i] for i in n.inputs], dict(n.params), n.value, n.name)
            for n in self.nodes
        ]
        results = [number[node] for node in self.results]
        return _restored, (
            rows, len(self.arguments), results, self.in_tree, self.out_tree, self.name,
        )  # fmt: skip

    def __str__(self) -> str:
        from pullback.core.printing import to_text

        return to_text(self)

    __repr__ = __str__

    def to_dot(self, **labels: Any) -> str:
        """Return the graph in Graphviz's language; see `pullback.core.printing.to_dot`."""
        from pullback.core.printing import to_dot

        return to_dot(self, **labels)

    def show(self, *args: Any) -> Any:
        """Open the graph as an interactive page, and return its path; see `pullback.explain.page`.

        With `args` it shows the values and gradients there.
        """
        explain = importlib.import_module("pullback.explain")
        avals = self.in_tree.unflatten([node.aval for node in self.arguments])
        return explain.page(self, *(args or avals)).show()


def remembered(function: F) -> F:
    """Keep what `function` makes of a graph, the first entry of its first argument, with it."""

    @wraps(function)
    def lookup(first: Any, *rest: Any) -> Any:
        known = first[0].derived
        key = (function, first[1:], rest)  # a table that held its graph would keep it alive
        if key not in known:
            known[key] = function(first, *rest)
        return known[key]

    return cast(F, lookup)


def _restored(
    rows: Sequence[Any], count: int, results: Sequence[int], in_tree: Any, out_tree: Any, name: str
) -> Graph:
    """Return the graph that `Graph.__reduce__` took apart."""
    nodes: list[Node] = []
    for aval, op, inputs, params, value, label in rows:
        nodes.append(Node(aval, op, tuple(nodes[i] for i in inputs), params, value, label))
    return Graph(nodes[:count], [nodes[i] for i in results], in_tree, out_tree, name)


def reachable(arguments: Sequence[Node], results: Sequence[Node]) -> tuple[Node, ...]:
    """Return the arguments, then every other node that the results need, as they were made.

    That is the order of the user's program, and it has inputs first.
    """
    others = ancestors(results).difference(arguments)
    return (*arguments, *sorted(others, key=attrgetter("order")))


def _needed(
    arguments: Sequence[Node], results: Sequence[Node], nodes: Sequence[Node]
) -> tuple[Node, ...]:
    """Return the arguments, then those of `nodes`, inputs first, that the results need."""
    needed = set(results)
    found = []
    for node in reversed(nodes):
        if node in needed:
            found.append(node)
            needed.update(node.inputs)
    given = set(arguments)
    return (*arguments, *[node for node in reversed(found) if node not in given])


def ancestors(nodes: Iterable[Node]) -> set[Node]:
    """Return `nodes` and all that they are computed from."""
    found = set(nodes)
    pending = list(found)
    while pending:
        for i in pending.pop().inputs:
            if i not in found:
                found.add(i)
                pending.append(i)
    return found


def next_order() -> int:
    """Return the `order` that the next node would have had; it marks a moment of tracing."""
    return next(_creation)


def _letters() -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ..."""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(ascii_lowercase, repeat=length))


def _name_nodes(nodes: Sequence[Node]) -> None:
    taken = {n.name for n in nodes if n.name}
    letters = itertools.filterfalse(taken.__contains__, _letters())
    for node in nodes:
        if not node.name and (node.op is not None or node.value is None or np.ndim(node.value)):
            node.name = next(letters)
