"""Tables of what took time to make, for those who may ask for it again."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def keep(table: dict[K, V], key: K, value: V, most: int) -> None:
    """Add an entry to a table of so many at most, from which the oldest ones go.

    >>> table = {"a": 1, "b": 2}
    >>> keep(table, "c", 3, most=2)
    >>> table
    {'b': 2, 'c': 3}
    """
    for oldest in list(table)[: max(0, len(table) + 1 - most)]:  # safe with other threads, too
        table.pop(oldest, None)
    table[key] = value
