"""Sums of products over the turns of a loop, as one product after the loop.

The slope of a weight that every turn multiplies by is the sum over the turns of u.T @ v. Added up
turn by turn, a whole matrix is read and written each time; the u and v of all turns laid end to end
are two matrices, and the sum is one product of theirs, which is what large products are quick at.
"""

from __future__ import annotations

from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.core.pytree import flat
from pullback.core.step import Step
from pullback.passes.rows import make

Factors = tuple[Node, Node]


def sum_outside(graph: Graph) -> Graph:
    """Return a graph whose loops do not carry sums of products along.

    >>> import numpy as np, pullback as pb
    >>> def total(u, v):
    ...     return pb.scan(lambda c, x: (c + x[0].T @ x[1], None), np.zeros((9, 8)), (u, v))[0]
    >>> graph = pb.trace(total, np.ones((5, 2, 9)), np.ones((5, 2, 8)))
    >>> [node.op.name for node in sum_outside(graph).nodes if node.op]
    ['reshape', 'reshape', 'transpose', 'matmul', 'add']
    """
    new: dict[Node, Node] = {}
    sums: dict[Node, dict[int, Factors]] = {}
    for node in graph.nodes:
        if node.op is OPS.get("scan"):
            sums[node] = _sums(graph, node)
    if not any(sums.values()):
        return graph
    for node in graph.nodes:
        if sums.get(node):
            _split(node, sums[node], graph, new)
        elif node not in new:
            inputs = tuple([new[i] for i in node.inputs])
            new[node] = Node(node.aval, node.op, inputs, node.params) if node.op else node
    return Graph(
        [new[node] for node in graph.arguments], [new[node] for node in graph.results],
        graph.in_tree, graph.out_tree, graph.name,
    )  # fmt: skip


def _sums(graph: Graph, loop: Node) -> dict[int, Factors]:
    """Return the carries that are sums of products u.T @ v, and nothing else, with u and v."""
    step: Step = loop.params["step"]
    body, found = step.graph, {}
    for k, carry in enumerate(step.split(body.arguments)[1]):
        after = body.results[k]
        if body.results.count(after) > 1 or body.consumers(carry) != (after,):
            continue
        if after.op is not OPS["add"] or after.inputs.count(carry) != 1 or carry in body.results:
            continue
        (product,) = [i for i in after.inputs if i is not carry]
        factors = _factors(product)
        if factors is not None and sum(f.aval.size for f in factors) <= carry.aval.size:
            found[k] = factors
    return found


def _factors(product: Node) -> Factors | None:
    """Return (u, v) where `product` is u.T @ v for matrices of one dtype."""
    if product.op is not OPS["matmul"] or product.aval.ndim != 2:
        return None
    turned, v = product.inputs
    if turned.op is not OPS["transpose"] or v.aval.ndim != 2 or turned.dtype != v.dtype:
        return None
    return turned.inputs[0], v


def _split(loop: Node, sums: dict[int, Factors], graph: Graph, new: dict[Node, Node]) -> None:
    """Make the loop without its sums, and the sums after it."""
    step: Step = loop.params["step"]
    body, length = step.graph, loop.params["length"]
    inner, outer = step.split(body.arguments), step.split(loop.inputs)
    rows = dict(zip(inner[2], outer[2], strict=True))
    kept = [k for k in range(step.carries) if k not in sums]
    stacked = list(dict.fromkeys(f for pair in sums.values() for f in pair if f not in rows))
    results = [body.results[k] for k in [*kept, *range(step.carries, len(body.results))]]
    arguments = [*inner[0], *[inner[1][k] for k in kept], *inner[2]]
    results += [f for f in stacked if f not in results[len(kept) :]]
    less = Graph(arguments, results, flat(len(arguments)), flat(len(results)), body.name)
    inputs = [new[x] for x in (*outer[0], *[outer[1][k] for k in kept], *outer[2])]
    params = dict(loop.params) | {"step": Step(less, len(inner[0]), len(kept))}
    whole = make("scan", *inputs, **params) if results else None

    def result(place: int) -> Node:
        assert whole is not None
        return make("item", whole, index=place)

    def all_turns(factor: Node) -> Node:
        """Return the rows of a factor at all turns, laid end to end."""
        if factor in rows:
            stack = new[rows[factor]]
        else:
            stack = result(len(kept) + results[len(kept) :].index(factor))
        return make("reshape", stack, shape=(length * factor.shape[0], factor.shape[1]))

    for item in graph.consumers(loop):
        k = item.params["index"]
        if k not in sums:
            dropped = sum(j < k for j in sums)
            new[item] = result(k - dropped)
            continue
        u, v = map(all_turns, sums[k])
        product = make("matmul", make("transpose", u, axes=(1, 0)), v)
        new[item] = make("add", new[outer[1][k]], product)
