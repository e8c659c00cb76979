"""Joining matrix products with what is done to their elements, while these are in registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pullback.native.blocks import LONGEST_SUM, part, sums
from pullback.native.emit import has_gathers
from pullback.native.loops import (
    Apply,
    Buffer,
    Expr,
    Kernel,
    Load,
    Product,
    Statement,
    Store,
    identity,
    linear,
    loads_of,
)
from pullback.native.simplify_loops import over, rebuilt
from pullback.native.steps import Matmul, Step, Tiles


def join_products(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with products as tiles, joined with their readers."""
    found: list[list[Step]] = [[step] for step in steps]
    readers: dict[Buffer, list[int]] = {}
    for k, step in enumerate(steps):
        for buffer in set(step.buffers()) - set(step.written()):
            readers.setdefault(buffer, []).append(k)
    for k, product in enumerate(steps):
        if isinstance(product, Matmul) and (product.rounded or product.k <= LONGEST_SUM):
            after = readers.get(product.out, [])
            reader = _reader(found[after[0]], product) if after else None
            if reader is not None:
                found[after[0]], found[k] = _tiles(product, reader, len(after) > 1), []
            else:
                found[k] = _tiles(product, None, True)
    return [step for group in found for step in group]


def _reader(steps: list[Step], product: Matmul) -> Kernel | None:
    """Return the kernel, if it is one, that goes over the elements of the product in its turns.

    What it writes must lie together, and no place be computed, so that whole vectors are written.
    """
    if len(steps) != 1 or not isinstance(steps[0], Kernel):
        return None
    reader = over(steps[0], (*product.batch, product.m, product.n))
    if reader is None or has_gathers(reader.body):
        return None
    here, last = linear(identity(reader.sizes), reader.sizes), len(reader.sizes) - 1
    fits = all(
        s.offset.step(last) == (product.n > 1) for s in reader.body if _keeps(s, last)
    ) and all(
        load.offset == here
        for s in reader.body
        for load in loads_of(s)
        if load.buffer is product.out
    )
    return reader if fits else None


def _keeps(s: Statement, loop: int) -> bool:
    return isinstance(s, Store) or loop in s.kept


def _tiles(product: Matmul, reader: Kernel | None, stored: bool) -> list[Step]:
    """Return the product as tiles with its reader; where the sums are cut, as several."""
    element = Product(product.out.dtype)
    sizes = (*product.batch, product.m, product.n)
    here = linear(identity(sizes), sizes)
    stored = stored or product.out.kind != "arena"
    ranges = sums(product)
    partial = product.out if stored else replace(product.out, name=f"{product.out}'")
    so_far = Apply("add", (Load(partial, here), element), element.dtype, element.dtype)
    value: Expr = element if len(ranges) == 1 else so_far
    body: list[Statement] = [Store(product.out, here, value)] if stored else []

    def take_in(load: Load) -> Expr:
        return value if load.buffer is product.out else load

    if reader is not None:
        body.extend(rebuilt(reader.body, of_load=take_in))
    steps: list[Step] = []
    for k, (first, last) in enumerate(ranges):
        if last == product.k:
            done = tuple(body)
        else:
            done = (Store(partial, here, so_far if k else element),)
        tiles = Tiles(
            product.a, product.b, product.m, product.n, product.k,
            product.a_transposed, product.b_transposed, product.batch, product.offsets[1:],
            element, done,
            a_step=product.m if product.a_transposed else product.k,
            b_step=product.k if product.b_transposed else product.n,
        )  # fmt: skip
        steps.extend(part(tiles, first, last, product.rounded))
    return steps
