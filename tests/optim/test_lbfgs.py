"""L-BFGS as an optimizer: PyTorch's, machine code, and the pairs it leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import optim

A = np.random.default_rng(0).normal(size=(6, 6))


def bowl(p: Any) -> Any:
    x = np.concatenate([np.ravel(leaf) for leaf in pb.tree.leaves(p)])
    return np.sum(np.logaddexp(0, A @ x)) + 0.5 * np.sum(x * x)


def start(dtype: Any = np.float64) -> Any:
    return {"w": np.arange(4, dtype=dtype).reshape(2, 2) / 3, "b": np.ones(2, dtype)}


def run(optimizer: Any, params: Any, steps: int) -> tuple[Any, Any]:
    step = pb.compile(lambda p, s: optimizer.update(pb.grad(bowl)(p), s, p))
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params, state


@pytest.mark.parametrize("history", [1, 3, 10])
def test_updates_equal_those_of_torch_without_line_search(history: int, torch: Any) -> None:
    leaves = [torch.tensor(x, requires_grad=True) for x in pb.tree.leaves(start())]
    theirs = torch.optim.LBFGS(
        leaves, lr=0.7, max_iter=1, history_size=history, tolerance_grad=0, tolerance_change=0
    )

    def closure() -> Any:
        theirs.zero_grad()
        x = torch.cat([leaf.ravel() for leaf in leaves])
        value = torch.nn.functional.softplus(torch.tensor(A) @ x).sum() + 0.5 * (x * x).sum()
        value.backward()
        return value

    ours, optimizer = start(), optim.lbfgs(0.7, history)
    state = optimizer.init(ours)
    for _ in range(8):
        theirs.step(closure)
        ours, state = optimizer.update(pb.grad(bowl)(ours), state, ours)
        for a, b in zip(pb.tree.leaves(ours), leaves, strict=True):
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-7)


def test_machine_code_reaches_the_minimum_in_few_steps() -> None:
    params, state = run(optim.lbfgs(), start(), 20)
    assert max(np.abs(g).max() for g in pb.tree.leaves(pb.grad(bowl)(params))) < 1e-8
    assert int(state["step"]) == 20


def test_float32_stays_float32() -> None:
    params, state = run(optim.lbfgs(), start(np.float32), 3)
    assert {x.dtype for x in pb.tree.leaves(params)} == {np.dtype(np.float32)}
    assert state["S"].dtype == np.float32


def test_pairs_without_curvature_are_left_out() -> None:
    optimizer, params = optim.lbfgs(0.5), np.ones(2)
    state = optimizer.init(params)
    for _ in range(4):  # a constant gradient: y = 0
        params, state = optimizer.update(np.ones(2), state, params)
    assert not state["S"].any()
    np.testing.assert_allclose(params, 1 - 0.25 - 3 * 0.5)


def test_a_gradient_of_zero_leaves_the_parameters() -> None:
    optimizer, params = optim.lbfgs(), np.ones(2)
    after, _ = optimizer.update(np.zeros(2), optimizer.init(params), params)
    np.testing.assert_array_equal(after, params)


def test_the_trainer_takes_it_for_whole_data_sets() -> None:
    x = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    data = pb.train.Dataset(x, x @ np.float32([[1.0], [2.0], [3.0]]))
    model = pb.nn.Linear.create(pb.random.key(0), 3, 1)
    trainer = pb.train.Trainer(model, "mean_squared_error", optim.lbfgs())
    history = trainer.fit(data, epochs=15, batch_size=len(data))
    assert history[-1]["train_loss"] < 1e-8
