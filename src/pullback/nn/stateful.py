"""State in networks: what training changes beside the parameters, kept out of their way.

A model is called in two ways. `model(x)` evaluates: batch norm takes its running statistics,
dropout does nothing. `training_call(model, x)` trains: batch norm takes the batch, dropout draws a
mask, and the model comes back with the statistics and keys that follow. Both are functions without
side effects: the layers write on a copy, which is part of the result.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from pullback.core import pytree
from pullback.core.errors import TracerError
from pullback.core.tracer import Tracer, levels
from pullback.nn.module import is_state, opened

M = TypeVar("M")


def training_call(model: M, *inputs: Any, **options: Any) -> tuple[Any, M]:
    """Return what `model` gives for `inputs` in training, and the model with its state after.

    Only state changes, no parameter; `model` itself stays as it is. Raises TracerError where a
    layer inside a vmap, scan or cond of the model tells a state, which does not leave these.

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
    before = next(levels)
    outputs = copy(*inputs, **options)
    after = pytree.map(lambda leaf: leaf, copy)
    for path, leaf in zip(pytree.paths(after), pytree.leaves(after), strict=True):
        if isinstance(leaf, Tracer) and before < leaf.context.level < math.inf:
            raise TracerError(
                f"model{path}: a layer called inside a vmap, scan or cond of the model changes its "
                "state, which is known there only. Call it outside of them, or make training_call "
                "itself inside, and return the state from there."
            )
    return outputs, after


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
