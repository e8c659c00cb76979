"""Running sums and products: each element is made of the one before it, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pullback.core.aval import DType
from pullback.core.graph import Node
from pullback.native import complexes
from pullback.native.loops import Affine, Kernel, Parts, identity, linear, loads, stores

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit


def _scan(combine: Callable[[Parts, Parts, DType], Parts]) -> Any:
    def lower(lowering: Lowering, node: Node, unit: Unit) -> None:
        (x,), axis = node.inputs, node.params["axis"]
        rest = tuple(max(n - 1, 0) if k == axis else n for k, n in enumerate(node.shape))
        first = tuple(min(n, 1) if k == axis else n for k, n in enumerate(node.shape))
        here = identity(node.shape)
        after = tuple(p + Affine(int(k == axis)) for k, p in enumerate(here))
        start, new = (
            complexes.cast(lowering.parts(x, place), x.dtype, node.dtype)
            for place in (identity(first), after)
        )
        out = lowering.make_room(node)
        so_far = loads(out, linear(here, node.shape))
        following = stores(out, linear(after, node.shape), combine(so_far, new, node.dtype))
        unit.steps = [
            Kernel(first, stores(out, linear(identity(first), node.shape), start)),
            Kernel(rest, following),
        ]

    return lower


LOWERINGS: dict[str, Callable[[Any, Node, Any], None]] = {
    "cumsum": _scan(complexes.total),
    "cumprod": _scan(complexes.product),
}
"""How running sums and products are lowered."""
