"""Joining matrix products with what is done to their elements, while these are in registers."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.native.emit import has_gathers
from pullback.native.loops import (
    Buffer,
    Expr,
    Kernel,
    Load,
    Product,
    Reduce,
    Statement,
    Store,
    identity,
    linear,
    loads_of,
)
from pullback.native.simplify_loops import rebuilt
from pullback.native.steps import Matmul, Step, Tiles

LARGEST_OWN = 1 << 27
"""Multiplications from which on a library's blocking for the caches is quicker than our tiles."""

LONGEST_PANEL = 2048
"""Rows of a panel, which lies on the stack: 256 kB of two vectors each."""


def join_products(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with every product of moderate size as tiles, joined with its readers."""
    found: list[Step | None] = list(steps)
    readers: dict[Buffer, list[int]] = {}
    for k, step in enumerate(steps):
        for buffer in set(step.buffers()) - set(step.written()):
            readers.setdefault(buffer, []).append(k)
    for k, product in enumerate(steps):
        if isinstance(product, Matmul) and _is_ours(product):
            after = readers.get(product.out, [])
            reader = found[after[0]] if after else None
            if isinstance(reader, Kernel) and _goes_over(product, reader):
                found[after[0]], found[k] = _tiles(product, reader, len(after) > 1), None
            else:
                found[k] = _tiles(product, None, True)
    return [step for step in found if step is not None]


def _is_ours(step: Matmul) -> bool:
    return step.k <= LONGEST_PANEL and step.m * step.n * step.k <= LARGEST_OWN


def _goes_over(product: Matmul, reader: Kernel) -> bool:
    """Whether the kernel goes over the elements of the product, each in its own turn.

    What it writes must lie together, and no place be computed, so that whole vectors are written.
    """
    here, last = linear(identity(reader.sizes), reader.sizes), len(reader.sizes) - 1
    return (
        reader.sizes == (*product.batch, product.m, product.n)
        and not has_gathers(reader.body)
        and all(s.offset.step(last) == (product.n > 1) for s in reader.body if _keeps(s, last))
        and all(
            load.offset == here
            for s in reader.body
            for load in loads_of(s)
            if load.buffer is product.out
        )
    )


def _keeps(s: Statement, loop: int) -> bool:
    return isinstance(s, Store) or loop in s.kept


def _tiles(product: Matmul, reader: Kernel | None, stored: bool) -> Tiles:
    element = Product(product.out.dtype)
    sizes = (*product.batch, product.m, product.n)
    body: list[Store | Reduce] = []
    if stored or product.out.kind != "arena":
        body.append(Store(product.out, linear(identity(sizes), sizes), element))
    if reader is not None:

        def take_in(load: Load) -> Expr:
            return element if load.buffer is product.out else load

        body.extend(rebuilt(reader.body, of_load=take_in))
    return Tiles(
        product.a, product.b, product.m, product.n, product.k,
        product.a_transposed, product.b_transposed, product.batch, product.offsets[1:], element,
        tuple(body),
    )  # fmt: skip
