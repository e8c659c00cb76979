"""What every element of an array depends on: sets of inputs, shared between elements.

An element carries a number. `ZERO` is an element that is 0 whatever the inputs are, `CONSTANT` one
that has no derivative, and any other number names a set of inputs. Moving elements about, as
reshape, roll and indexing do, is then moving numbers about, and the sets stay where they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, vstack

ZERO, CONSTANT, FIRST = 0, 1, 2

_LARGE = 256
"""Sets of at least so many inputs are looked at one by one, to keep one of two nested sets."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dependence:
    """`numbers` has the shape of the array; number k >= FIRST is row k - FIRST of `sets`.

    `sets` is a boolean CSR array of one column per input.
    """

    numbers: Any
    sets: Any

    @property
    def shape(self) -> Shape:
        return self.numbers.shape  # type: ignore[no-any-return]

    @property
    def moves(self) -> bool:
        """Whether any element may depend on an input."""
        return bool(self.sets.shape[0]) and bool((self.numbers >= FIRST).any())

    def with_numbers(self, numbers: Any) -> Dependence:
        """Return the same sets, carried by other elements."""
        return Dependence(np.asarray(numbers), self.sets)

    def rows(self) -> Any:
        """Return the boolean CSR array of one row per element."""
        return rows_of(self.sets, self.numbers.ravel())


def rows_of(sets: Any, numbers: Any) -> Any:
    """Return the sets that `numbers` name as rows, empty ones for ZERO and CONSTANT."""
    named = numbers >= FIRST
    ends = np.concatenate([[0], np.cumsum(named)])
    chosen = numbers[named] - FIRST
    ones = np.ones(chosen.size, bool)
    return csr_array((ones, chosen, ends), shape=(numbers.size, sets.shape[0])) @ sets


def no_sets(inputs: int) -> Any:
    """Return the table of no sets."""
    return csr_array((0, inputs), dtype=bool)


def known(value: Any, inputs: int) -> Dependence:
    """Return the dependence of a known array."""
    return Dependence(np.where(np.asarray(value) != 0, CONSTANT, ZERO), no_sets(inputs))


def constant(shape: Shape, inputs: int) -> Dependence:
    """Return the dependence of an array that has no derivative, of any value."""
    return Dependence(np.full(shape, CONSTANT), no_sets(inputs))


def identity(shape: Shape, first: int, inputs: int) -> Dependence:
    """Return the dependence of an array whose elements are the inputs from `first` on."""
    size = math.prod(shape)
    ones, columns = np.ones(size, bool), np.arange(first, first + size)
    sets = csr_array((ones, columns, np.arange(size + 1)), shape=(size, inputs))
    return Dependence(np.arange(FIRST, FIRST + size).reshape(shape), sets)


def share_sets(parts: Sequence[Dependence]) -> list[Dependence]:
    """Return the parts with all their sets in one table."""
    moving = [p for p in parts if p.moves]
    tables = {id(p.sets): p.sets for p in moving}
    if not tables:
        return list(parts)
    if len(tables) == 1:
        (table,) = tables.values()
        return [p if p.moves else Dependence(p.numbers, table) for p in parts]
    moving = [_compact(p) for p in moving]
    table = vstack([p.sets for p in moving], format="csr")
    shared, first = [], 0
    for part in parts:
        numbers = part.numbers
        if part.moves:
            own = _compact(part)
            numbers = np.where(own.numbers < FIRST, own.numbers, own.numbers + first)
            first += own.sets.shape[0]
        shared.append(Dependence(numbers, table))
    return shared


def _compact(part: Dependence) -> Dependence:
    """Return the same dependence without the sets that no element carries."""
    used = np.zeros(FIRST + part.sets.shape[0], bool)
    used[part.numbers] = True
    used[:FIRST] = True
    if used.all():
        return part
    renumbered = np.cumsum(used) - 1
    return Dependence(renumbered[part.numbers], part.sets[np.flatnonzero(used[FIRST:])])


Zero = Literal["both", "either", "first", "never"]


def union(first: Dependence, second: Dependence, zero: Zero) -> Dependence:
    """Return what an element-by-element function of two arrays depends on, with broadcasting.

    The result is ZERO where "both" are, as in a sum, where "either" is, as in a product, where the
    "first" is, as in a quotient, or "never".
    """
    a, b = np.broadcast_arrays(first.numbers, second.numbers)
    if not second.moves or not first.moves:
        result = Dependence(np.maximum(a, b), (first if first.moves else second).sets)
    else:
        result = _merged(a, first.sets, b, second.sets)
    numbers = result.numbers
    if zero == "never":
        return result.with_numbers(np.maximum(numbers, CONSTANT))
    if zero == "either":
        return result.with_numbers(np.where((a == ZERO) | (b == ZERO), ZERO, numbers))
    return result if zero == "both" else result.with_numbers(np.where(a == ZERO, ZERO, numbers))


def _merged(a: Any, first: Any, b: Any, second: Any) -> Dependence:
    if first is second:
        if np.array_equal(a, b):
            return Dependence(a, first)
        a = np.where((a == b) & (a >= FIRST), CONSTANT, a)
    width = FIRST + second.shape[0]
    pairs, place = np.unique(a.astype(np.int64) * width + b, return_inverse=True)
    left, right = np.divmod(pairs, width)
    left = _without_subsets(left, first, right, second)
    right = _without_subsets(right, second, left, first)
    reduced, again = np.unique(left * width + right, return_inverse=True)
    left, right = np.divmod(reduced, width)
    numbers = np.maximum(left, right)
    moving = numbers >= FIRST
    numbers[moving] = FIRST + np.arange(np.count_nonzero(moving))
    sets = rows_of(first, left[moving]) + rows_of(second, right[moving])
    return Dependence(numbers[again][place].reshape(a.shape), sets)


def _without_subsets(a: Any, first: Any, b: Any, second: Any) -> Any:
    """Return `a` with CONSTANT where the set of `b` contains that of `a`; for large sets only.

    Without this, x - mean(x) would cost one set of all inputs for each element.
    """
    sizes = np.diff(first.indptr)
    large = np.flatnonzero(np.diff(second.indptr) >= _LARGE)
    large = np.intersect1d(large + FIRST, b) - FIRST
    if large.size > 32:
        return a
    a, counting = a.copy(), first.astype(np.int64) if large.size else first
    for row in large:
        member = np.zeros(first.shape[1], np.int64)
        member[second.indices[second.indptr[row] : second.indptr[row + 1]]] = 1
        contained = np.concatenate([[False, False], counting @ member == sizes])
        a[(b == row + FIRST) & contained[a]] = CONSTANT
    return a


def group(sets: Any, members: Any, owners: Any, shape: Shape) -> Dependence:
    """Return the union of the `members` of each element of `shape`; `owners` says whose they are.

    `members` are numbers of `sets`, `owners` flat positions in `shape`. An element is ZERO if all
    its members are, or if it has none.
    """
    size = math.prod(shape)
    members, owners = members.ravel(), owners.ravel()
    moving = members >= FIRST
    places = (owners[moving], members[moving] - FIRST)
    ones = np.ones(places[0].size, bool)
    selector = csr_array((ones, places), shape=(size, sets.shape[0]))
    owning = np.diff(selector.indptr) > 0
    numbers = np.where(np.bincount(owners[members > ZERO], minlength=size) > 0, CONSTANT, ZERO)
    numbers[owning] = FIRST + np.arange(np.count_nonzero(owning))
    return Dependence(numbers.reshape(shape), (selector @ sets)[np.flatnonzero(owning)])


def merge_axes(part: Dependence, axes: Sequence[int]) -> Dependence:
    """Return the union over `axes`, which are kept with length 1."""
    shape = tuple(1 if i in axes else n for i, n in enumerate(part.shape))
    owners = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), part.shape)
    return group(part.sets, part.numbers, owners, shape)


def everything(parts: Sequence[Dependence], shape: Shape) -> Dependence:
    """Return the dependence of an array each of whose elements depends on all of `parts`."""
    shared = share_sets(parts)
    members = np.concatenate([p.numbers.ravel() for p in shared]) if shared else np.zeros(0, int)
    whole = group(shared[0].sets, members, np.zeros(members.size, np.intp), ())
    number = max(int(whole.numbers), CONSTANT)
    return Dependence(np.broadcast_to(np.intp(number), shape), whole.sets)
