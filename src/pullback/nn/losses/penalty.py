"""Penalties on the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import pytree


def l2_penalty(params: Any) -> Any:
    """Return 1/2 the sum of squares of the weights in the pytree `params`; its gradient is W.

    Weights are the leaves with two dimensions or more: biases are not penalised. Add
    `strength * l2_penalty(model)` to a loss.

    >>> from pullback.nn import Linear
    >>> float(l2_penalty(Linear(np.array([[1.0], [3.0]]), np.array([100.0]))))
    5.0
    """
    total: Any = 0.0
    for leaf in pytree.leaves(params):
        if len(np.shape(leaf)) >= 2:
            total = total + 0.5 * np.sum(leaf * leaf)
    return total
