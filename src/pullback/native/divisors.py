"""The equal parts that a number falls into."""

from __future__ import annotations

import functools
import math


@functools.lru_cache(maxsize=256)
def divisors(number: int) -> tuple[int, ...]:
    """Return all divisors in order.

    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return tuple(sorted({*small, *[number // n for n in small]}))


def largest_divisor(number: int, most: int) -> int:
    """Return the largest divisor that is not above `most`.

    >>> largest_divisor(12, 5)
    4
    """
    return max(n for n in divisors(number) if n <= most)
