"""Pytrees as vectors, for algorithms that know only those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import DTypeError


class Flat:
    """A pytree of real arrays as one vector: `join` and its inverse, `split`.

    Raises DTypeError, with the `name` of the tree, where a leaf is no array of floating numbers.

    >>> tree = {"a": np.ones((2, 1)), "b": np.zeros(1)}
    >>> flat = Flat.of(tree, "params")
    >>> flat.join(tree), flat.split(np.arange(3.0))["b"]
    (array([1., 1., 0.]), array([2.]))
    """

    def __init__(self, leaves: Sequence[Any], structure: pytree.Structure, name: str) -> None:
        self._avals = [aval_of(leaf) for leaf in leaves]
        self._structure = structure
        self.size = sum(a.size for a in self._avals)
        self.dtype = np.result_type(np.float32, *[a.dtype for a in self._avals])
        for aval in self._avals:
            if aval.dtype.kind != "f":
                raise DTypeError(
                    f"{name}: expected real floating numbers, got {aval.dtype}. Write a function "
                    "of complex numbers in terms of their real and imaginary parts."
                )

    @classmethod
    def of(cls, tree: Any, name: str) -> Flat:
        """Return the vectors of trees like `tree`."""
        return cls(*pytree.flatten(tree), name)

    def join(self, tree: Any) -> Any:
        """Return the leaves of `tree` as one vector."""
        leaves = pytree.leaves(tree)
        return np.concatenate([np.ravel(leaf) for leaf in leaves] or [np.zeros(0)])

    def split(self, vector: Any) -> Any:
        """Return the pytree of a vector."""
        vector = np.ravel(vector)
        leaves, start = [], 0
        for aval in self._avals:
            part = vector[start : start + aval.size]
            leaves.append(np.reshape(part, aval.shape).astype(aval.dtype))
            start += aval.size
        return pytree.unflatten(self._structure, leaves)
