"""Loops over arrays that lie across each other, square by square.

A line of the cache that a loop along the rows of one array reads from the columns of another holds
what the next rows need: in squares, these come before it is gone.
"""

from __future__ import annotations

import math

from pullback.native.divisors import largest_divisor
from pullback.native.loops import Affine, Kernel, Load, Store, affine, loads_of
from pullback.native.simplify_loops import rebuilt

EDGE, NARROW_EDGE, LEAST_EDGE = 64, 16, 8
"""Turns that an edge of a square has at most, and at least."""

PERIOD, LARGE = 1024, 1 << 14
"""Lines so many bytes apart, or a multiple, share few places of the first cache, and drive each
other out: of arrays of so many elements before the next row comes, and in wide squares too."""

MANY_LINES = 1 << 14
"""More lines do not stay in the second cache until the next row comes, wherever they lie."""


def in_squares(kernel: Kernel) -> Kernel:
    """Return the kernel with its last two loops in squares, if lines would be gone otherwise."""
    row, last = len(kernel.sizes) - 2, len(kernel.sizes) - 1
    crossing = _across(kernel)
    if not crossing or math.prod(kernel.sizes[row:]) < LARGE:
        return kernel
    crowded = any(x.offset.step(last) * x.dtype.itemsize % PERIOD == 0 for x in crossing)
    if not crowded and kernel.sizes[last] < MANY_LINES:
        return kernel
    down = largest_divisor(kernel.sizes[row], EDGE)
    along = largest_divisor(kernel.sizes[last], NARROW_EDGE if crowded else EDGE)
    if min(down, along) < LEAST_EDGE:
        return kernel

    def change(place: Affine) -> Affine:
        steps, (i, j) = dict(place.terms), (place.step(row), place.step(last))
        return affine(
            place.const, steps | {row: i * down, last: j * along, row + 2: i, last + 2: j}
        )

    *around, rows, columns = kernel.sizes
    sizes = (*around, rows // down, columns // along, down, along)
    return Kernel(sizes, rebuilt(kernel.body, change=change))


def _across(kernel: Kernel) -> list[Load]:
    """Return what reads columns while rows are written, each element in a turn of its own."""
    row, last = len(kernel.sizes) - 2, len(kernel.sizes) - 1
    loads = [load for s in kernel.body for load in loads_of(s)]
    written = {s.buffer: s.offset for s in kernel.body}
    in_any_order = (
        row >= 0
        and len(written) == len(kernel.body)
        and all(isinstance(s, Store) and not s.add and not s.gathers for s in kernel.body)
        and all(s.offset.step(last) == 1 for s in kernel.body)
        and all(written.get(x.buffer, x.offset) == x.offset and not x.gathers for x in loads)
    )
    if not in_any_order:
        return []
    return [x for x in loads if x.offset.step(row) == 1 and x.offset.step(last) >= LEAST_EDGE]
