"""Balanced drawing: classes alike in an epoch, samples of a class alike over epochs."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import DataError
from pullback.numpy import random
from pullback.train import Balanced, Dataset, Trainer
from pullback.train.balanced import balanced_order

LABELS = np.repeat([0, 1, 2], [70, 25, 5])


def test_classes_come_equally_often_and_samples_as_evenly_as_they_can():
    orders = [balanced_order(LABELS, random.fold_in(random.key(0), epoch)) for epoch in range(3)]
    for order in orders:
        assert np.bincount(LABELS[order]).tolist() == [34, 33, 33]
        times = np.bincount(order, minlength=100)
        assert set(times[:70]) == {0, 1}
        assert set(times[70:95]) == {1, 2}
        assert set(times[95:]) == {6, 7}
    assert set(orders[0]) != set(orders[1])
    np.testing.assert_array_equal(
        orders[0], balanced_order(LABELS, random.fold_in(random.key(0), 0))
    )
    assert sorted(LABELS[orders[0]]) != LABELS[orders[0]].tolist()


def test_a_rare_class_is_learned():
    rng = np.random.default_rng(0)
    labels = (rng.random(600) < 0.03).astype(np.int64)
    x = (rng.normal(size=(600, 2)) + 1.5 * labels[:, None]).astype(np.float32)
    data = Dataset(x, labels, classes=2)

    def recall(training):
        model = pb.nn.mlp(random.key(0), [2, 2])
        trainer = Trainer(model, "softmax_cross_entropy", pb.optim.adam(0.03), metric="recall")
        return trainer.fit(training, data, epochs=15)[-1]["validation_recall"]

    assert recall(Balanced(data)) > 0.7 > 0.5 > recall(data)


def test_what_cannot_be_balanced_is_refused():
    x = np.zeros((4, 1))
    with pytest.raises(DataError, match="expected labels"):
        Balanced(Dataset(x, x))
    with pytest.raises(DataError, match="every class, got none of 1"):
        Balanced(Dataset(x, np.array([0, 2, 0, 2]), classes=3))
    with pytest.raises(DataError, match="no weights"):
        Balanced(Dataset(x, np.array([0, 1, 0, 1]), classes=2, weights=np.ones(4)))


def test_arrays_are_no_data_to_balance():
    with pytest.raises(DataError, match="data: expected a Dataset, got ndarray"):
        Balanced(np.zeros((3, 2)))
