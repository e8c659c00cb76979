from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim, random

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
LABELS = (X.sum(axis=1) > 0).astype(np.int64)
RATE = optim.warmup(2, then=optim.cosine(0.05, steps=10))


def loss(model: Any, x: Any, labels: Any) -> Any:
    return nn.softmax_cross_entropy(model(x), labels) + 1e-3 * nn.l2_penalty(model)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_a_whole_training_step_traces_to_the_graph_of_the_same_updates(name: str) -> None:
    optimizer = optim.OPTIMIZERS[name](RATE)

    def step(model: Any, state: Any, x: Any, labels: Any) -> Any:
        value, grads = pb.value_and_grad(loss)(model, x, labels)
        model, state = optimizer.update(grads, state, model)
        return model, state, value

    model = nn.mlp(random.key(0), [3, 8, 2])
    state = optimizer.init(model)
    graph = pb.trace(step, model, state, X, LABELS)
    eager, traced = (model, state), (model, state)
    for i in range(6):
        *eager, value = step(*eager, X, LABELS)
        *traced, same = graph(*traced, X, LABELS)
        np.testing.assert_allclose(same, value, rtol=1e-5)
        assert int(traced[1]["step"]) == i + 1
        assert np.asarray(traced[1]["step"]).dtype == np.int64
    pairs = zip(pb.tree.leaves(eager), pb.tree.leaves(traced), strict=True)
    for a, b in pairs:
        assert np.asarray(b).dtype == a.dtype
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
