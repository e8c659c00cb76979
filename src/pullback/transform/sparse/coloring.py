"""Colourings of sparse matrices: columns of one colour are differentiated together.

Two columns may share a colour where no row has both (Curtis, Powell and Reid, On the estimation of
sparse Jacobian matrices, 1974); symmetric matrices do with less (Gebremedhin, Manne and Pothen,
What color is your Jacobian?, SIAM Review 47(4), 2005). The colours that are taken around a row or
a vertex are the bits of one Python integer, so that a greedy pass costs one step per element.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

_ROUNDS = 4


def color_columns(pattern: Any) -> Any:
    """Return a colour for each column of a CSR pattern such that no row has a colour twice.

    Colours count from 0; a column without elements has colour -1. Greedy, in the natural order and
    from the largest degree on, then improved by going again through whole classes of colours,
    which never takes more (Culberson, Iterated greedy graph coloring, 1992).
    """
    by_column = pattern.tocsc()
    columns = _lists(by_column.indices, by_column.indptr)
    lengths = np.diff(pattern.indptr)
    fewest = int(lengths.max(initial=0))
    used = np.flatnonzero(np.diff(by_column.indptr))
    degrees = np.asarray(pattern.T.astype(np.int64) @ lengths)
    orders = [used, used[np.argsort(-degrees[used], kind="stable")]]
    tried = [_greedy(columns, order.tolist(), pattern.shape[0]) for order in orders]
    best = min(tried, key=count)
    for round_ in range(_ROUNDS):
        if count(best) == fewest:
            break
        again = _greedy(columns, _by_classes(best, used, round_).tolist(), pattern.shape[0])
        best = min(again, best, key=count)
    return best


def count(colors: Any) -> int:
    """Return the number of colours."""
    return int(colors.max(initial=-1)) + 1


def _lists(indices: Any, ends: Any) -> list[list[int]]:
    flat = indices.tolist()
    return [flat[a:b] for a, b in itertools.pairwise(ends.tolist())]


def _greedy(columns: list[list[int]], order: Iterable[int], rows: int) -> Any:
    taken = [0] * rows  # a set of colours as bits, for each row
    colors = np.full(len(columns), -1)
    for j in order:
        near = 0
        for i in columns[j]:
            near |= taken[i]
        bit = ~near & (near + 1)  # the lowest colour that is free
        colors[j] = bit.bit_length() - 1
        for i in columns[j]:
            taken[i] |= bit
    return colors


def _by_classes(colors: Any, used: Any, round_: int) -> Any:
    """Return the columns class by class: the last class first, or the largest one."""
    key = -colors
    if round_ % 2:
        key = -np.bincount(colors[used], minlength=count(colors))[colors]
    return used[np.lexsort((colors[used], key[used]))]


def color_star(pattern: Any) -> Any:
    """Return a star colouring of a symmetric CSR pattern; the diagonal is taken as there.

    Neighbours differ, and every path of four vertices has three colours or more, so that each
    element is alone in one of its two places of the compressed matrix. Vertices are taken from the
    largest degree on. Isolated vertices have colour 0 where the diagonal has an element, else -1.
    """
    size = pattern.shape[0]
    coordinates = pattern.tocoo()
    beside = coordinates.row != coordinates.col
    rows, columns = coordinates.row[beside], coordinates.col[beside]
    degrees = np.bincount(rows, minlength=size)
    neighbours = _lists(columns, np.cumsum([0, *degrees]))
    orders = [np.arange(size), np.argsort(-degrees, kind="stable")]
    used = np.diff(pattern.indptr) > 0
    tried = [_greedy_star(neighbours, order[used[order]].tolist()) for order in orders]
    return min(tried, key=count)


def _greedy_star(neighbours: list[list[int]], order: Iterable[int]) -> Any:
    size = len(neighbours)
    bits = [0] * size  # the colour of each vertex, as a bit; 0 where there is none yet
    once, twice = [0] * size, [0] * size  # colours that neighbours have, that two of them have
    for v in order:
        near = once[v]
        repeated = twice[v]
        for w in neighbours[v]:
            bit = bits[w]
            if not bit:  # a path through w is looked at when w is coloured
                continue
            if repeated & bit:
                near |= once[w]  # a path w', v, w, x with the colours of w' and w equal
            for x in neighbours[w]:
                if twice[x] & bit:
                    near |= bits[x]  # a path v, w, x, y with the colours of w and y equal
        chosen = ~near & (near + 1)
        bits[v] = chosen
        for w in neighbours[v]:
            twice[w] |= once[w] & chosen
            once[w] |= chosen
    return np.array([b.bit_length() - 1 for b in bits], dtype=np.int64)
