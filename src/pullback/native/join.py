"""Joining matrix products with what is done to their elements, while these are in registers."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.native.loops import (
    Buffer,
    Expr,
    Kernel,
    Load,
    Matmul,
    Product,
    Reduce,
    Step,
    Store,
    Tiles,
    identity,
    linear,
    loads_of,
)
from pullback.native.simplify_loops import replaced

LARGEST_OWN = 1 << 27
"""Multiplications from which on a library's blocking for the caches is quicker than our tiles."""


def join_products(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with every product of moderate size as tiles, joined with its readers."""
    found = list(steps)
    for product in steps:
        if isinstance(product, Matmul) and _is_ours(product):
            at = found.index(product)
            reader = _reader(found, at)
            found[at if reader is None else reader] = _tiles(product, found, reader)
            if reader is not None:
                del found[at]
    return found


def _is_ours(step: Matmul) -> bool:
    return step.m * step.n * step.k <= LARGEST_OWN


def _reader(steps: Sequence[Step], at: int) -> int | None:
    """Return where the kernel is that reads the product first, if it goes over its elements."""
    product = steps[at]
    assert isinstance(product, Matmul)
    for k in range(at + 1, len(steps)):
        step = steps[k]
        if product.out not in step.buffers():
            continue
        if not isinstance(step, Kernel) or step.sizes != (*product.batch, product.m, product.n):
            return None
        here = linear(identity(step.sizes), step.sizes)
        places = [
            load.offset if not load.gathers else None
            for s in step.body
            for load in loads_of(s)
            if load.buffer is product.out
        ]
        ready = all(b not in _written_between(steps, at, k) for b in (product.a, product.b))
        return k if ready and all(place == here for place in places) else None
    return None


def _written_between(steps: Sequence[Step], start: int, end: int) -> set[Buffer]:
    return {b for step in steps[start + 1 : end] for b in step.written()}


def _tiles(product: Matmul, steps: Sequence[Step], reader: int | None) -> Tiles:
    element = Product(product.out.dtype)
    sizes = (*product.batch, product.m, product.n)
    place = linear(identity(sizes), sizes)
    body: list[Store | Reduce] = []
    readers = [s for s in steps if s is not product and product.out in s.buffers()]
    taken_in = steps[reader] if reader is not None else None
    if product.out.kind != "arena" or any(s is not taken_in for s in readers):
        body.append(Store(product.out, place, element))
    if isinstance(taken_in, Kernel):

        def take_in(load: Load) -> Expr:
            return element if load.buffer is product.out else load

        body.extend(replaced(s, take_in) for s in taken_in.body)
    return Tiles(
        product.a, product.b, product.m, product.n, product.k,
        product.a_transposed, product.b_transposed, product.batch, product.offsets[1:], element,
        tuple(body),
    )  # fmt: skip
