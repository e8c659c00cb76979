"""Sets: the distinct values are elements of the arrays, and so is their gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.dispatch import implements
from pullback.ops.gather import take
from pullback.ops.values import as_array, concrete


@implements(np.unique)
def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: Any = None, *, equal_nan: bool = True, **options: Any,
) -> Any:  # fmt: skip
    """Return the distinct values in order; of equal elements the first has the gradient.

    Their number depends on the values, so it is an error in a graph and under vmap.
    """
    ar = as_array(ar)
    _, first, inverse, counts = np.unique(
        concrete(ar, "np.unique"), True, True, True, axis, equal_nan=equal_nan, **options
    )
    found = take(ar, first, axis=axis)
    wanted = (return_index, return_inverse, return_counts)
    extra = [x for x, w in zip((first, inverse, counts), wanted, strict=True) if w]
    return (found, *extra) if extra else found


def _distinct(x: Any) -> Any:
    return np.unique(x, equal_nan=False)


@implements(np.unique_values)
def unique_values(x: Any, /) -> Any:
    """Return the distinct values in order."""
    return _distinct(x)


def _array_api(function: Any, **wanted: bool) -> Any:
    kind = type(function(np.zeros(1)))

    def found(x: Any, /) -> Any:
        return kind(*unique(x, equal_nan=False, **wanted))

    found.__doc__ = f"Return np.unique with {', '.join(wanted)}, in the array API's form."
    return found


implements(np.unique_counts)(_array_api(np.unique_counts, return_counts=True))
implements(np.unique_inverse)(_array_api(np.unique_inverse, return_inverse=True))
implements(np.unique_all)(
    _array_api(np.unique_all, return_index=True, return_inverse=True, return_counts=True)
)


@implements(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    """Return the distinct values of both arrays, in order."""
    return np.unique(_together(ar1, ar2))


def _together(ar1: Any, ar2: Any) -> Any:
    return np.concatenate([np.ravel(as_array(ar1)), np.ravel(as_array(ar2))])


def _members(name: str, ar1: Any, ar2: Any) -> tuple[Any, Any]:
    values = [concrete(as_array(x), name) for x in (ar1, ar2)]
    return values[0], values[1]


@implements(np.intersect1d)
def intersect1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    """Return the values that both arrays have, in order, as elements of the first."""
    values = _members("np.intersect1d", ar1, ar2)
    _, first, second = np.intersect1d(*values, assume_unique, True)
    found = take(np.ravel(as_array(ar1)), first)
    return (found, first, second) if return_indices else found


@implements(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the values of the first array that the second one does not have."""
    ar1 = np.ravel(as_array(ar1)) if assume_unique else np.unique(as_array(ar1))
    absent = np.isin(*_members("np.setdiff1d", ar1, ar2), invert=True)
    return take(ar1, np.flatnonzero(absent))


@implements(np.setxor1d)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the values that only one of the arrays has, in order."""
    if not assume_unique:
        ar1, ar2 = np.unique(as_array(ar1)), np.unique(as_array(ar2))
    both = np.sort(_together(ar1, ar2))
    values = concrete(both, "np.setxor1d")
    single = np.ones(values.size, bool)
    twin = values[1:] == values[:-1]
    single[1:] &= ~twin
    single[:-1] &= ~twin
    return take(both, np.flatnonzero(single))


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False,
    *, kind: Any = None,
) -> Any:  # fmt: skip
    """Whether each element is among `test_elements`; piecewise constant."""
    element, among = as_array(element), np.sort(np.ravel(as_array(test_elements)))
    if not among.size:
        return np.full(element.shape, invert)
    nearest = np.minimum(np.searchsorted(among, element), among.size - 1)
    found = take(among, nearest) == element
    return ~found if invert else found
