"""State: what training changes beside the parameters comes back, and nothing else changes."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.core.errors import DataError, TracerError, TreeError
from pullback.train.step import make_step


def network():
    first, second, mask = pb.random.split(pb.random.key(0), 3)
    return nn.Sequential(
        [
            nn.Linear.create(first, 3, 8),
            nn.BatchNorm.create(8),
            nn.Activation("relu"),
            nn.Dropout.create(mask, 0.5),
            nn.Linear.create(second, 8, 1),
        ]
    )


def batch(n=16):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, x[:, :1] * x[:, 1:2]


def test_a_plain_call_is_a_function_that_changes_nothing():
    model, (x, _) = network(), batch()
    before = [leaf.copy() for leaf in pb.tree.leaves(model)]
    np.testing.assert_array_equal(model(x), model(x))
    nn.training_call(model, x)
    for a, b in zip(before, pb.tree.leaves(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not model[1].training


def test_a_training_call_returns_the_state_and_only_that_changes():
    model, (x, _) = network(), batch()
    y, after = nn.training_call(model, x)
    again, _ = nn.training_call(model, x)
    later, _ = nn.training_call(after, x)
    np.testing.assert_array_equal(y, again)
    assert (y != later).any()
    changed = [
        path
        for path, a, b in zip(
            pb.tree.paths(model), pb.tree.leaves(model), pb.tree.leaves(after), strict=True
        )
        if (a != b).any()
    ]
    assert changed == [
        ".layers[1].running_mean", ".layers[1].running_variance", ".layers[3].key"
    ]  # fmt: skip
    assert pb.tree.structure(after) == pb.tree.structure(model)
    assert not after[1].training


def test_partition_and_combine_are_inverse():
    model = network()
    parameters, state = nn.partition(model)
    assert [leaf.dtype.kind for leaf in pb.tree.leaves(parameters)] == ["f"] * 6
    assert len(pb.tree.leaves(state)) == 3
    whole = nn.combine(parameters, state)
    assert pb.tree.structure(whole) == pb.tree.structure(model)
    with pytest.raises(TreeError, match="no complement"):
        nn.combine(parameters, nn.partition(nn.Linear(np.ones((1, 1))))[1])


def test_state_in_lists_dicts_and_modules_of_the_user_is_found():
    class Pair(nn.Module):
        parts: dict
        count: np.ndarray = nn.state()

        def __call__(self, x):
            if self.training:
                self.remember(count=self.count + 1)
            return self.parts["b"](self.parts["a"](x))

    model = Pair({"a": nn.Dropout.create(pb.random.key(1)), "b": network()}, np.array([0]))
    _, after = nn.training_call(model, batch()[0])
    assert after.count == 1
    assert (after.parts["a"].key != model.parts["a"].key).any()
    assert len(pb.tree.leaves(nn.partition(model)[1])) == 5


def test_a_traced_and_a_compiled_step_move_state_as_the_eager_one():
    optimizer, (x, t) = optim.momentum(1e-2), batch()
    step = make_step(nn.mean_squared_error, optimizer)
    compiled = pb.compile(step)
    eager, native = network(), network()
    eager_state = native_state = optimizer.init(nn.partition(eager)[0])
    for _ in range(3):
        eager, eager_state, loss = step(eager, eager_state, x, t)
        native, native_state, found = compiled(native, native_state, x, t)
        np.testing.assert_allclose(found, loss, rtol=1e-5)
    for a, b in zip(pb.tree.leaves(eager), pb.tree.leaves(native), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_trainer_trains_models_with_state():
    x, t = batch(64)
    trainer = pb.train.Trainer(network(), "mean_squared_error", optim.adam(1e-2), l2=1e-4)
    history = trainer.fit(pb.train.Dataset(x, t), epochs=15, batch_size=16)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert trainer.model[1].running_mean.any()
    np.testing.assert_array_equal(trainer.model(x), trainer.model(x))


def test_a_run_with_state_resumes_bitwise(tmp_path):
    data = pb.train.Dataset(*batch(64))

    def trainer():
        return pb.train.Trainer(network(), "mean_squared_error", optim.adam(1e-2))

    whole, first, second = trainer(), trainer(), trainer()
    whole.fit(data, epochs=4, batch_size=16)
    first.fit(data, epochs=2, batch_size=16, out=tmp_path / "run")
    second.fit(data, epochs=4, batch_size=16, out=tmp_path / "run", resume=True)
    leaves = zip(pb.tree.leaves(whole.model), pb.tree.leaves(second.model), strict=True)
    assert all((a == b).all() for a, b in leaves)


@pytest.mark.parametrize("traced", [False, True])
def test_state_that_cannot_leave_a_vmap_is_refused(traced):
    class Mapped(nn.Module):
        norm: nn.BatchNorm

        def __call__(self, x):
            return pb.vmap(self.norm)(x)

    model, x = Mapped(nn.BatchNorm.create(3)), np.ones((4, 5, 3))
    with pytest.raises(TracerError, match=r"model.norm.running_mean: .* inside a vmap"):
        pb.trace(nn.training_call, model, x) if traced else nn.training_call(model, x)
    assert model(x).shape == x.shape

    each, after = pb.vmap(lambda x: nn.training_call(model.norm, x))(x)
    assert each.shape == x.shape
    assert after.running_mean.shape == (4, 3)


def test_the_trainer_looks_up_integers_but_does_not_compute_with_them():
    tokens = (np.arange(8) + np.arange(24)[:, None]) % 5
    data = pb.train.Dataset(tokens, (tokens + 1) % 5)
    model = nn.gpt(pb.random.key(0), 5, 8, features=8, heads=2, layers=1, dropout=0.1)
    trainer = pb.train.Trainer(model, "softmax_cross_entropy", optim.adam(1e-2))
    history = trainer.fit(data, epochs=4, batch_size=8)
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]
    dense = pb.train.Trainer(nn.Linear.create(pb.random.key(0), 8, 8), "l1", optim.sgd(0.1))
    with pytest.raises(DataError, match=r"inputs are int64, .* computes with them, in float64"):
        dense.fit(data, epochs=1)
