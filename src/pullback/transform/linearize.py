"""The derivative at a point as a linear map: linearize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.buffer import unwrap
from pullback.core.errors import NotDifferentiableError
from pullback.core.segment import Segment, move
from pullback.core.tape import Tape, TapeNode, backward, history
from pullback.core.tracer import Tracer
from pullback.transform.inputs import copied, distinct, flat_arrays, matching_leaves


class Linearization:
    """A function run once and recorded: its value `out`, and its Jacobian J as two linear maps.

    `push` is v -> J v, node by node in the order of recording, and `pull` is u -> J^T u, in
    reverse; each costs about as much as the function, however often it is called.
    """

    def __init__(self, function: Callable[..., Any], primals: Sequence[Any]) -> None:
        self.leaves, self.in_tree = flat_arrays(copied(tuple(primals)), "primals")
        tape = Tape()
        inputs = [tape.input(leaf) for leaf in self.leaves]
        self._inputs = [x.node for x in inputs]
        traced = function(*pytree.unflatten(self.in_tree, inputs))
        outputs, self.out_tree = pytree.flatten(traced)
        pairs = [_value_and_node(tape, x) for x in outputs]
        self.out_leaves = copied([value for value, _ in pairs])
        self._outputs = [node for _, node in pairs]
        self._nodes = history(node for node in self._outputs if node is not None)

    @property
    def out(self) -> Any:
        """The value of the function."""
        return pytree.unflatten(self.out_tree, self.out_leaves)

    def push(self, *tangents: Any) -> Any:
        """Return J v for the tangent `v` of each primal."""
        given = matching_leaves(self.in_tree, tuple(tangents), self.leaves, "tangents")
        table: dict[TapeNode | None, Any] = dict(zip(self._inputs, given, strict=True))
        segment: Segment | None = None
        try:
            for node in self._nodes:
                if node.op is None:
                    continue
                if node.op.jvp is None:
                    raise NotDifferentiableError(
                        f"{node.op.name} has a reverse rule only: use pb.vjp, "
                        "or give it a forward rule"
                    )
                if node.segment is not segment:
                    segment = move(segment, node.segment)
                moving = [table.get(parent) for parent in node.parents]
                if any(t is not None for t in moving):
                    table[node] = node.op.jvp(moving, node.out, node.args, node.params)
        finally:
            move(segment, None)
        pairs = zip(self._outputs, self.out_leaves, strict=True)
        found = [(table.get(node), value) for node, value in pairs]
        pushed = [np.zeros_like(v) if t is None else t for t, v in found]
        return pytree.unflatten(self.out_tree, distinct(pushed, given))

    def pull(self, cotangent: Any) -> tuple[Any, ...]:
        """Return J^T u for the cotangent `u` of the value, one pytree per primal."""
        given = matching_leaves(self.out_tree, cotangent, self.out_leaves, "cotangent")
        table = backward(zip(self._outputs, given, strict=True), keep=self._inputs)
        pairs = zip(self._inputs, self.leaves, strict=True)
        found = [(table.get(node), leaf) for node, leaf in pairs]
        pulled = [np.zeros_like(x) if ct is None else ct for ct, x in found]
        return pytree.unflatten(self.in_tree, distinct(pulled, given))  # type: ignore[no-any-return]


def linearize(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return `(out, f_jvp)`: the value at `primals` and the derivative there as a linear map.

    `f_jvp(*tangents)` takes one pytree per primal, of its structure and shapes, and gives the
    tangent of the value, as `pb.jvp` does; but the function itself runs only once, so this is the
    one to use for many tangents at one point.
    Raises DTypeError for integer primals, TreeError and ShapeError for tangents that do not fit,
    NotDifferentiableError where a function with a reverse rule only was met.

    >>> import numpy as np, pullback as pb
    >>> out, f_jvp = pb.linearize(np.sin, np.float64(0.0))
    >>> out, f_jvp(np.float64(2.0)), f_jvp(np.float64(3.0))
    (np.float64(0.0), np.float64(2.0), np.float64(3.0))
    """
    recorded = Linearization(function, primals)
    return recorded.out, recorded.push


def _value_and_node(tape: Tape, x: Any) -> tuple[Any, TapeNode | None]:
    x = unwrap(x)
    if isinstance(x, Tracer) and x.context is tape:
        x.refresh()
        return x.value, x.node
    return (x if hasattr(x, "dtype") else np.asarray(x)[()]), None
