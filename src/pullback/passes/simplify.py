"""Algebraic simplification: small rewrite rules, applied node by node from the arguments on.

A rule looks at one node, whose inputs are simplified already, and gives a node of the same value,
shape and dtype, or None. Equal nodes are made once (common subexpressions), and nodes that nothing
needs any more disappear with the new graph. Rounding may change in the last place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.aval import aval_of
from pullback.core.graph import Graph, Node
from pullback.core.op import OPS

Rule = Callable[["Builder", Node], Node | None]


def simplify(graph: Graph) -> Graph:
    """Return a graph that computes the same with less work.

    >>> import numpy as np, pullback as pb
    >>> print(pb.simplify(pb.trace(lambda x: -(-x) * 1.0 * 2.0 * 3.0, pb.Aval((2,), "f8"))))
    graph(x: f64[2]):
      a = 6.0 * x  # f64[2]
      return a
    """
    builder = Builder(graph)
    renamed = {node: Node(node.aval, name=node.name) for node in graph.arguments}
    for node in graph.nodes:
        if node.op is not None:
            inputs = tuple([renamed[i] for i in node.inputs])
            renamed[node] = builder.simplified(node, inputs)
        elif node not in renamed:
            renamed[node] = Node(node.aval, value=node.value)
    return Graph(
        [renamed[node] for node in graph.arguments],
        [renamed[node] for node in graph.results],
        graph.in_tree,
        graph.out_tree,
        graph.name,
    )


class Builder:
    """Makes nodes, each once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Any, Node] = {}
        self._uses: dict[Node, int] = {}
        for group in (graph.results, *[node.inputs for node in graph.nodes]):
            for i in group:
                self._uses[i] = self._uses.get(i, 0) + 1
        self._origin: dict[Node, Node] = {}

    def simplified(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the simplest node for the operation of `node` on `inputs`."""
        assert node.op is not None
        new = self._intern(Node(node.aval, node.op, inputs, node.params))
        self._origin.setdefault(new, node)
        for _ in range(20):  # rules only ever shrink; the bound is for safety
            better = self._step(new)
            if better is None:
                break
            self._origin.setdefault(better, node)
            new = better
        return new

    def make(self, name: str, *inputs: Node, **params: Any) -> Node:
        """Return the node of operation `name` on `inputs`."""
        op = OPS[name]
        aval = op.infer(*[i.aval for i in inputs], **params)
        return self._intern(Node(aval, op, inputs, params))

    def scalar(self, value: float) -> Node:
        """Return the node of a Python scalar, which never widens a dtype."""
        key = ("scalar", type(value), value)
        if key not in self._known:
            self._known[key] = Node(aval_of(value), value=value)
        return self._known[key]

    def used_once(self, node: Node) -> bool:
        """Whether only one node needs `node`, so that it may be made differently for that one."""
        return self._uses.get(self._origin.get(node, node), 1) == 1

    def _step(self, node: Node) -> Node | None:
        if node.op is None:
            return None
        for rule in RULES.get(node.op.name, ()):
            found = rule(self, node)
            if found is not None and found is not node and found.aval == node.aval:
                return found
        return None

    def _intern(self, node: Node) -> Node:
        params = tuple(sorted(node.params.items())) if node.params else ()
        try:
            key = (node.op, node.inputs, params)
            return self._known.setdefault(key, node)
        except TypeError:  # a parameter that is not hashable
            return node


def uniform(node: Node) -> float | None:
    """Return the one value of a constant, as a Python number; None where there is none."""
    value = node.value
    if node.op is not None or value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    array = np.asarray(value)
    if array.dtype.kind != "f" or array.size == 0 or not (array == array.flat[0]).all():
        return None
    return float(array.flat[0])


def _factor(node: Node) -> tuple[float, Node] | None:
    """Return (c, x) where `node` is the product of a constant c and x."""
    if node.op is None or node.op.name != "multiply":
        return None
    for constant, other in (node.inputs, node.inputs[::-1]):
        value = uniform(constant)
        if value is not None and uniform(other) is None and other.aval == node.aval:
            return value, other
    return None


def multiply_constants(build: Builder, node: Node) -> Node | None:
    """c * (d * x) -> (c d) * x, 1 * x -> x, -1 * x -> -x, with c a number or a uniform array."""
    found = _factor(node)
    if found is None:
        return None
    c, x = found
    if c == 1:
        return x
    if c == -1:
        return build.make("negative", x)
    inner = _factor(x)
    if inner is not None and np.isfinite(c * inner[0]) and c * inner[0] != 0:
        return build.make("multiply", build.scalar(c * inner[0]), inner[1])
    plain = build.make("multiply", build.scalar(c), x)
    return plain if plain is not node else None


def plain_product(build: Builder, node: Node) -> Node | None:
    """The product of the chain rule is c * x: c a constant cotangent without 0, or finite slope."""
    cotangent, slope = node.inputs
    never_zero = cotangent.is_constant and bool(np.all(cotangent.value))
    if never_zero or (slope.is_constant and bool(np.isfinite(slope.value).all())):
        return build.make("multiply", cotangent, slope)
    return None


def scale_smaller_factor(build: Builder, node: Node) -> Node | None:
    """c * (A @ B) -> A @ (c * B), where B is computed for it and smaller; likewise for A."""
    found = _factor(node)
    if found is None:
        return None
    c, product = found
    if product.op is None or product.op.name != "matmul" or not build.used_once(product):
        return None
    a, b = product.inputs
    smaller = min((a, b), key=lambda n: n.aval.size)
    if smaller.aval.size >= node.aval.size or smaller.aval.dtype != node.aval.dtype:
        return None
    if smaller.op is None or smaller.op.name == "transpose" or not build.used_once(smaller):
        return None  # it would be stored once more; what reads the product scales it for nothing
    scaled = build.make("multiply", build.scalar(c), smaller)
    scaled = multiply_constants(build, scaled) or scaled
    return build.make("matmul", *[scaled if n is smaller else n for n in (a, b)])


def divide_by_number(build: Builder, node: Node) -> Node | None:
    """x / c -> (1 / c) * x, where 1 / c is exact: c a power of two."""
    x, c = node.inputs
    value = uniform(c)
    if value is None or value == 0 or x.aval != node.aval or np.frexp(abs(value))[0] != 0.5:
        return None
    return build.make("multiply", build.scalar(1.0 / value), x)


def double_negation(build: Builder, node: Node) -> Node | None:
    """-(-x) -> x."""
    (x,) = node.inputs
    return x.inputs[0] if x.op is not None and x.op.name == "negative" else None


def subtract_negation(build: Builder, node: Node) -> Node | None:
    """x - (-y) -> x + y."""
    x, y = node.inputs
    if y.op is not None and y.op.name == "negative":
        return build.make("add", x, y.inputs[0])
    return None


def transpose_twice(build: Builder, node: Node) -> Node | None:
    """x.T.T -> x, and in general the two permutations as one; the identity -> x."""
    axes, x = node.params["axes"], node.inputs[0]
    if axes == tuple(range(len(axes))):
        return x
    if x.op is not None and x.op.name == "transpose":
        inner = x.params["axes"]
        return build.make("transpose", x.inputs[0], axes=tuple(inner[i] for i in axes))
    return None


def same_shape(build: Builder, node: Node) -> Node | None:
    """A reshape or broadcast to the shape an array has already -> x; reshape twice -> once."""
    x = node.inputs[0]
    if x.aval == node.aval:
        return x
    if node.op is OPS["reshape"] and x.op is OPS["reshape"]:
        return build.make("reshape", x.inputs[0], shape=node.params["shape"])
    return None


RULES: dict[str, tuple[Rule, ...]] = {
    "chain_product": (plain_product,),
    "multiply": (multiply_constants, scale_smaller_factor),
    "divide": (divide_by_number,),
    "negative": (double_negation,),
    "subtract": (subtract_negation,),
    "transpose": (transpose_twice,),
    "reshape": (same_shape,),
    "broadcast_to": (same_shape,),
}
"""The rules by the operation they look at."""
