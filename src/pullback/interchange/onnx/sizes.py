"""Lengths that depend on the batch, found by tracing for several batch sizes and comparing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BATCHES = (2, 97, 251, 1021)
"""Batch sizes that are traced: two determine a linear rule, the others confirm it.

Their differences have no common divisor and they lie far apart, so that what looks linear in all of
them is no remainder, quotient or least of the batch size and another number.
"""


@dataclass(frozen=True, slots=True)
class Length:
    """The length `factor * batch + offset` of an axis.

    >>> Length(3) + 1
    Length(factor=3, offset=1)
    """

    factor: int
    offset: int = 0

    def __add__(self, other: int) -> Length:
        return Length(self.factor, self.offset + other)

    def __sub__(self, other: int) -> Length:
        return self + -other

    def at(self, batch: int) -> int:
        """Return the length for a batch of that many examples."""
        return self.factor * batch + self.offset


Size = int | Length


class NotLinearError(Exception):
    """A number of the graph depends on the batch size, but not as a length does."""


def common(values: Sequence[int]) -> Size:
    """Return the number that is `values` for the sizes in BATCHES.

    >>> common((5, 5, 5, 5)), common((4, 194, 502, 2042))
    (5, Length(factor=2, offset=0))
    """
    first, *rest = values
    if all(v == first for v in rest):
        return first
    slope = (values[1] - first) / (BATCHES[1] - BATCHES[0])
    length = Length(int(slope), first - int(slope) * BATCHES[0])
    if any(length.at(b) != v for b, v in zip(BATCHES, values, strict=True)):
        raise NotLinearError(f"the numbers {tuple(values)} for batches of {BATCHES}")
    return length


def is_fixed(shape: Sequence[Size]) -> bool:
    """Whether no length of `shape` depends on the batch."""
    return not any(isinstance(n, Length) for n in shape)


def broadcast(*shapes: Sequence[Size]) -> tuple[Size, ...]:
    """Return the shape that shapes, known to fit, broadcast to.

    >>> broadcast((Length(1), 1), (4,))
    (Length(factor=1, offset=0), 4)
    """
    ndim = max(map(len, shapes), default=0)
    padded = [(1,) * (ndim - len(s)) + tuple(s) for s in shapes]
    return tuple(next((n for n in axis if n != 1), 1) for axis in zip(*padded, strict=True))


def known_dims(shape: Sequence[Any]) -> tuple[Any, ...]:
    """Return the shape as ONNX declares it: "batch" names the length of the batch, None is open.

    >>> known_dims((Length(1), 4, Length(2)))
    ('batch', 4, None)
    """
    names = {Length(1): "batch"}
    return tuple(names.get(n) if isinstance(n, Length) else n for n in shape)
