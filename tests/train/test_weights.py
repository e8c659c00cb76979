"""Weights of samples and classes: what counts twice is as if it were there twice."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.core.errors import CheckpointError, ConfigError, DataError
from pullback.train import Dataset, Trainer
from pullback.train.step import make_step, weighted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
LABELS = (X[:, 0] + 0.5 * RNG.normal(size=60) > 1).astype(np.int64)
COUNTS = RNG.integers(0, 4, 60)


def make(loss="softmax_cross_entropy", optimizer=None, **options):
    model = nn.mlp(pb.random.key(0), [3, 8, 2])
    return Trainer(model, loss, optimizer or optim.sgd(0.1), metric="accuracy", **options)


def close(first, second, rtol=1e-5):
    pb.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), first, second)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_weight_of_2_is_as_if_the_sample_were_there_twice(compiled):
    repeated = Dataset(np.repeat(X, COUNTS, axis=0), np.repeat(LABELS, COUNTS), 2)
    counted = Dataset(X, LABELS, 2, weights=COUNTS)
    trainers = [make(compiled=compiled) for _ in range(2)]
    for trainer, data in zip(trainers, (repeated, counted), strict=True):
        trainer.fit(data, data, epochs=5, batch_size=len(data))
    close(trainers[0].model, trainers[1].model)
    for column in ("train_loss", "validation_loss"):
        first, second = ([row[column] for row in t.history] for t in trainers)
        np.testing.assert_allclose(first, second, rtol=1e-5)


def test_minibatches_are_unbiased_whatever_the_scale_of_the_weights():
    """The mean of the gradients of an epoch is the gradient of the weighted mean."""
    loss, model = nn.softmax_cross_entropy, make().model
    weights = RNG.uniform(0, 5, 60)
    data = Dataset(X, LABELS, 2, weights=weights)
    step = make_step(loss, optim.sgd(1.0))
    moved = []
    for rows in np.split(np.arange(60), 6):
        after, *_ = step(model, optim.sgd(1.0).init(model), *(a[rows] for a in data.arrays()))
        moved.append(pb.tree.map(lambda p, q: p - q, model, after))
    mean = pb.tree.map(lambda *steps: np.mean(steps, axis=0), *moved)
    whole = pb.grad(lambda m: loss(m(X), LABELS, sample_weight=weights))(model)
    close(mean, whole)
    scaled = Dataset(X, LABELS, 2, weights=1000 * weights)
    close(data.arrays(), scaled.arrays())


def test_a_minibatch_of_weights_0_moves_nothing():
    weights = np.zeros(60)
    weights[:10] = 1
    trainer = make()
    trainer.fit(Dataset(X, LABELS, 2, weights=weights), epochs=2, batch_size=4)
    assert all(np.isfinite(leaf).all() for leaf in pb.tree.leaves(trainer.model))
    outputs = np.float32([[1.0, 2.0]])
    value = weighted(nn.softmax_cross_entropy, outputs, np.array([0]), np.zeros(1, np.float32))
    assert (value, value.dtype) == (0, np.float32)


def test_balanced_weights_are_those_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    data = Dataset(X, LABELS, 2).class_weighted()
    np.testing.assert_allclose(data.weights, utils.compute_sample_weight("balanced", LABELS))
    both = Dataset(X, LABELS, 2, weights=COUNTS).class_weighted([1.0, 3.0])
    np.testing.assert_allclose(both.weights, COUNTS * np.where(LABELS, 3, 1))


def test_class_weights_equal_those_of_the_loss():
    of_class = np.array([0.5, 4.0])
    data = Dataset(X, LABELS, 2).class_weighted(of_class)
    trainer = make()
    found = trainer.evaluate(data)["loss"]
    expected = nn.softmax_cross_entropy(trainer.model(X), LABELS, class_weight=of_class)
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_balancing_finds_the_rare_class():
    x = RNG.normal(size=(1000, 3)).astype(np.float32)
    rare = (x[:, 0] + RNG.normal(size=1000) > 2.2).astype(np.int64)
    assert rare.mean() < 0.1
    found = []
    for data in (Dataset(x, rare, 2), Dataset(x, rare, 2).class_weighted()):
        trainer = make(optimizer=optim.adam(1e-2))
        trainer.fit(data, epochs=10)
        found.append((trainer.predict(x).argmax(axis=1) == 1)[rare == 1].mean())
    assert found[1] > 0.7 > found[0]


def test_a_loss_of_ones_own_may_take_weights():
    def cubic(outputs, targets, sample_weight=1.0):
        return np.mean(sample_weight * np.mean(np.abs(outputs - targets) ** 3, axis=1))

    data = Dataset(X, X[:, :2], weights=COUNTS)
    history = Trainer(make().model, cubic, optim.adam(1e-2)).fit(data, epochs=5)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_weights_belong_to_the_data_of_a_run(tmp_path):
    data = Dataset(X, LABELS, 2)
    make().fit(data, epochs=1, out=tmp_path / "run")
    with pytest.raises(CheckpointError, match="made with data"):
        make().fit(data.class_weighted(), epochs=2, out=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(59), r"expected 60 numbers, shape \(60,\), got float64 of shape \(59,\)"),
        (np.ones((60, 1)), "expected 60 numbers"),
        (np.full(60, -1.0), r"expected finite numbers of 0 or more, not all 0, got -1\.0"),
        (np.full(60, np.nan), "expected finite numbers"),
        (np.zeros(60), ".*not all 0"),
        (np.array(["a"] * 60), "expected 60 numbers"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(DataError, match=f"weights: {message}"):
        Dataset(X, LABELS, 2, weights=weights)


def test_what_takes_no_weights_is_told_before_training():
    weighty = Dataset(X, X[:, :2], weights=np.ones(60))
    with pytest.raises(ConfigError, match="loss: squared_error takes no sample_weight, and data"):
        Trainer(make().model, "squared_error", optim.sgd(0.1)).fit(weighty)
    with pytest.raises(ConfigError, match="takes no sample_weight, and validation has weights"):
        Trainer(make().model, "squared_error", optim.sgd(0.1)).fit(Dataset(X, X[:, :2]), weighty)
    with pytest.raises(DataError, match="class_weighted: expected labels"):
        weighty.class_weighted()
    with pytest.raises(DataError, match="weights: expected 2 numbers"):
        Dataset(X, LABELS, 2).class_weighted([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="expected 'balanced' or numbers, got 'even'"):
        Dataset(X, LABELS, 2).class_weighted("even")
