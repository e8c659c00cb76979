"""Many steps in one call: the same numbers as one by one, whole and partial batches, divergence."""

import weakref

import numpy as np
import pytest

import pullback as pb
from pullback.train import steps as stepping
from pullback.train.step import make_step
from pullback.train.steps import Steps

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 5)).astype(np.float32)
T = RNG.integers(0, 3, 70)
LOSS = pb.nn.losses.softmax_cross_entropy


def epoch(compiled, data, size, rate=0.1, model=None):
    optimizer = pb.optim.adam(rate)
    model = model or pb.nn.mlp(pb.random.key(0), [5, 8, 3])
    steps = Steps(make_step(LOSS, optimizer, 0.01), compiled)
    order = np.random.default_rng(1).permutation(len(data))
    return list(steps.epoch(model, optimizer.init(model), data, order, size))


@pytest.mark.parametrize("size", [7, 16, 69, 70, 200])
def test_steps_in_one_call_are_those_of_the_interpreter(size):
    data = pb.train.Dataset(X, T)
    native, plain = epoch(True, data, size), epoch(False, data, size)
    whole, rest = divmod(len(X), size)
    assert [s.batch_size for s in plain] == [size] * whole + [rest] * bool(rest)
    assert len(native) < len(plain) or whole < 2
    np.testing.assert_allclose(
        np.concatenate([s.losses for s in native]), np.concatenate([s.losses for s in plain]),
        rtol=2e-5,
    )  # fmt: skip
    for a, b in zip(pb.tree.leaves(native[-1].model), pb.tree.leaves(plain[-1].model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("rows", "size", "by_numpy"), [(70, 16, 1), (9, 16, 1), (70, 200, 0)])
def test_numpy_takes_what_is_left_of_a_window_but_not_a_batch_of_all_rows(rows, size, by_numpy):
    optimizer, model = pb.optim.sgd(0.1), pb.nn.mlp(pb.random.key(0), [5, 8, 3])
    steps = Steps(make_step(LOSS, optimizer), compiled=True)
    list(steps.epoch(model, optimizer.init(model), pb.train.Dataset(X, T), np.arange(rows), size))
    assert steps.report().count("all by NumPy") == by_numpy


def test_arrays_that_are_not_contiguous_are_taken_batch_by_batch():
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    a, b = (epoch(True, pb.train.Dataset(x, T), 16) for x in (X, wide))
    assert [len(s.losses) for s in b] == [1] * 5
    np.testing.assert_allclose(a[-1].losses, b[-1].losses, rtol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_no_step_follows_a_loss_that_is_not_finite(compiled):
    poisoned = X.copy()
    poisoned[40] = 3e38  # overflows
    order = list(np.random.default_rng(1).permutation(len(X)))
    with np.errstate(all="ignore"):
        stretches = epoch(compiled, pb.train.Dataset(poisoned, T), 7)
    losses = np.concatenate([s.losses for s in stretches])
    assert len(losses) == order.index(40) // 7 + 1
    assert not np.isfinite(losses[-1])
    assert np.isfinite(losses[:-1]).all()


def test_the_model_before_an_epoch_stays_as_it_was():
    model = pb.nn.mlp(pb.random.key(0), [5, 8, 3])
    before = pb.tree.map(np.copy, model)
    epoch(True, pb.train.Dataset(X, T), 7, model=model)
    for a, b in zip(pb.tree.leaves(model), pb.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(a, b)


def test_of_ever_new_numbers_of_rows_the_last_ones_are_kept(monkeypatch):
    monkeypatch.setattr(stepping, "SIGNATURES", 2)
    optimizer, model = pb.optim.sgd(0.1), pb.nn.mlp(pb.random.key(0), [5, 8, 3])
    steps = Steps(make_step(LOSS, optimizer), compiled=True)
    for rows in (16, 24, 32, 40, 16):
        data = pb.train.Dataset(X[:rows], T[:rows])
        *_, last = steps.epoch(model, optimizer.init(model), data, np.arange(rows), 8)
        assert np.isfinite(last.losses).all()
    assert steps.report().count("loops") == 2


def test_a_trainer_that_is_dropped_frees_its_programs(uncollected):
    model = pb.nn.mlp(pb.random.key(0), [5, 8, 3])
    trainer = pb.train.Trainer(model, "softmax_cross_entropy", pb.optim.adam(1e-2))
    trainer.fit(pb.train.Dataset(X, T), epochs=2, batch_size=10)
    ((_, loop),) = trainer._steps._loops.values()
    program = weakref.ref(loop.program)
    del loop, trainer
    assert program() is None
