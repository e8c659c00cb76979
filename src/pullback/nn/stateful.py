"""State in networks: what training changes beside the parameters, kept out of their way.

A model is called in two ways. `model(x)` evaluates: batch norm takes its running statistics,
dropout does nothing. `training_call(model, x)` trains: batch norm takes the batch, dropout draws a
mask, and the model comes back with the statistics and keys that follow. Both are functions without
side effects: the layers write on a copy, which is part of the result.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pullback.core import pytree
from pullback.nn.module import is_state, opened

M = TypeVar("M")


def training_call(model: M, *inputs: Any, **options: Any) -> tuple[Any, M]:
    """Return what `model` gives for `inputs` in training, and the model with its state after.

    Only state changes, no parameter; `model` itself stays as it is.

    >>> import numpy as np
    >>> from pullback import nn, random
    >>> dropout = nn.Dropout.create(random.key(0), rate=0.5)
    >>> first, after = training_call(dropout, np.ones(6))
    >>> second, _ = training_call(after, np.ones(6))
    >>> first, second
    (array([2., 2., 0., 2., 2., 2.]), array([2., 2., 2., 0., 2., 0.]))
    >>> dropout(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """
    copy: Any = opened(model)
    outputs = copy(*inputs, **options)
    return outputs, pytree.map(lambda leaf: leaf, copy)


def partition(model: M) -> tuple[M, M]:
    """Return `model` with its parameters only, and with its state only: None is in other places.

    Gradients and optimizers are for the first; `combine` puts both together again. A model without
    state is its own first part.

    >>> from pullback import nn, random
    >>> partition(nn.Dropout.create(random.key(0)))
    (Dropout(key=None, rate=0.5), Dropout(key=u32[2], rate=0.5))
    """
    leaves, structure = pytree.flatten(model)
    marks = is_state(model)

    def part(wanted: bool) -> M:
        kept = [leaf if mark is wanted else None for leaf, mark in zip(leaves, marks, strict=True)]
        whole: M = pytree.unflatten(structure, kept)
        return whole

    return part(False), part(True)


def combine(parameters: M, state: M) -> M:
    """Return the model of `parameters` and `state`, the two parts that `partition` returns.

    Raises TreeError where they are not of one model.

    >>> from pullback import nn, random
    >>> combine(*partition(nn.Dropout.create(random.key(0))))
    Dropout(key=u32[2], rate=0.5)
    """
    whole: M = pytree.select(parameters, state)
    return whole
