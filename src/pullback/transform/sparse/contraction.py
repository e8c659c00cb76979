"""What sums of products depend on: matrix products and Einstein summation."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.transform.sparse.dependence import ZERO, Dependence, group, union

Letters = Sequence[Any]


def contract(
    parts: Sequence[Dependence], letters: Sequence[Letters], result: Letters, shape: Any
) -> Dependence:
    """Return the dependence of the sum of products over all letters that are not in `result`.

    `letters` name the axes of each part. Terms with a factor that is ZERO do not count, so that a
    sparse constant matrix passes its own pattern on.
    """
    lengths: dict[Any, int] = dict(zip(result, shape, strict=True))
    for part, names in zip(parts, letters, strict=True):
        for name, n in zip(names, part.shape, strict=True):
            lengths[name] = n if lengths.get(name, 1) == 1 else lengths[name]
    contributions = [
        _contribution(i, parts, letters, result, lengths) for i, p in enumerate(parts) if p.moves
    ]
    return functools.reduce(lambda a, b: union(a, b, "either"), contributions)


def _contribution(
    i: int, parts: Any, letters: Any, result: Letters, lengths: Mapping[Any, int]
) -> Dependence:
    """Return what the result depends on through factor `i`."""
    others = [j for j in range(len(parts)) if j != i and (parts[j].numbers == ZERO).any()]
    if not others:
        return _all_terms(parts[i], letters[i], result, lengths)
    sparsest = min(others, key=lambda j: np.mean(parts[j].numbers != ZERO))
    return _terms_beside(parts[i], letters[i], parts[sparsest], letters[sparsest], result, lengths)


def _all_terms(
    part: Dependence, names: Letters, result: Letters, lengths: Mapping[Any, int]
) -> Dependence:
    """Every term counts: join over the summed letters, repeat along the new ones."""
    kept = [c for c in result if c in names]
    summed = [c for c in dict.fromkeys(names) if c not in result]
    grid = _grid([*kept, *summed], [lengths[c] for c in (*kept, *summed)])
    members = _read(part, names, grid)
    shape = tuple(lengths[c] for c in kept)
    full = (*shape, *[lengths[c] for c in summed])
    positions = np.arange(math.prod(shape)).reshape((*shape, *[1] * len(summed)))
    members, owners = np.broadcast_to(members, full), np.broadcast_to(positions, full)
    joined = group(part.sets, members, owners, shape)
    stretched = joined.numbers.reshape([lengths[c] if c in kept else 1 for c in result])
    return joined.with_numbers(np.broadcast_to(stretched, [lengths[c] for c in result]))


def _terms_beside(
    part: Dependence,
    names: Letters,
    factor: Dependence,
    factor_names: Letters,
    result: Letters,
    lengths: Mapping[Any, int],
) -> Dependence:
    """Only the terms count where `factor` is not ZERO."""
    stretched = [lengths[c] for c in factor_names]
    places = np.argwhere(np.broadcast_to(factor.numbers, stretched))
    columns = {c: k for k, c in enumerate(factor_names)}
    for k, name in enumerate(factor_names):  # a letter named twice reads a diagonal
        places = places[places[:, k] == places[:, columns[name]]]
    free = [c for c in dict.fromkeys((*names, *result)) if c not in columns]
    grid = _grid(free, [lengths[c] for c in free], first=1)
    grid.update({c: places[:, k].reshape(-1, *[1] * len(free)) for c, k in columns.items()})
    terms = (len(places), *[lengths[c] for c in free])
    owners: Any = 0
    for name in result:
        owners = owners * lengths[name] + grid[name]
    members, owners = (np.broadcast_to(a, terms) for a in (_read(part, names, grid), owners))
    return group(part.sets, members, owners, tuple(lengths[c] for c in result))


def _grid(names: Letters, lengths: Sequence[int], first: int = 0) -> dict[Any, Any]:
    """Return the positions along each letter, each on an axis of its own from `first` on."""
    ndim = first + len(names)
    return {
        name: np.arange(n).reshape([-1 if i == first + k else 1 for i in range(ndim)])
        for k, (name, n) in enumerate(zip(names, lengths, strict=True))
    }


def _read(part: Dependence, names: Letters, grid: Mapping[Any, Any]) -> Any:
    """Return the numbers of `part` at the positions of `grid`; axes of length 1 are stretched."""
    places = [0 if n == 1 else grid[c] for c, n in zip(names, part.shape, strict=True)]
    return part.numbers[tuple(places)]
