"""The elements of a traced array one after another: what `x.flat` is."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from numpy import ndim, ravel, reshape

from pullback.core.dispatch import as_operand, functions


class Elements:
    """The elements of `base`, rows first, as NumPy's flatiter: read as copies, assigned in place.

    >>> import numpy as np, pullback as pb
    >>> def f(x):
    ...     y = np.outer(x, x)
    ...     y.flat[::3] = 0.0  # the diagonal
    ...     return np.sum(y)
    >>> pb.grad(f)(np.array([1.0, 2.0]))
    array([4., 2.])
    """

    __slots__ = ("base",)

    def __init__(self, base: Any) -> None:
        self.base = base

    def __len__(self) -> int:
        return int(self.base.size)

    def __iter__(self) -> Iterator[Any]:
        return iter(functions[ravel](self.base))

    def __getitem__(self, index: Any) -> Any:
        return +functions[ravel](self.base)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        value = as_operand(value)
        if ndim(value) > 1:
            value = ravel(value)  # as NumPy does: `y.flat = x` copies x of any shape
        new = functions[operator.setitem](functions[ravel](self.base), index, value)
        self.base[...] = functions[reshape](new, self.base.shape)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.base.__array__(*args, **kwargs)
