"""Datasets refuse what cannot be trained on, naming what came."""

import numpy as np
import pytest
from memory_peak import peak

import pullback as pb
from pullback.core.errors import DataError
from pullback.train import Dataset, Trainer, dataset

X = np.zeros((3, 2), np.float32)


@pytest.mark.parametrize(
    ("inputs", "targets", "classes", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), None, r"at least one sample.*\(0, 2\)"),
        (np.zeros(3), np.zeros(3), None, r"\(n, features\), got \(3,\)"),
        (np.zeros((3, 2), bool), np.zeros(3), None, "floating dtype, .* got bool"),
        (X, np.zeros(2), None, "expected 3 rows.*got 2"),
        (np.array([[1.0], [np.nan]]), np.zeros(2), None, "inputs.*NaN or infinity in row 1"),
        (X, np.array([0.0, np.inf, 0.0]), None, "targets.*row 1"),
        (X, np.array([0, 1, 2]), 2, "labels from 0 to 1, got 0 to 2"),
        (X, np.array([0, -1, 1]), 2, "got -1 to 1"),
        (X, np.array([0.0, 1.0, 1.0]), 2, "integer labels.*float64"),
    ],
)
def test_bad_data_is_refused(inputs, targets, classes, message):
    with pytest.raises(DataError, match=message):
        Dataset(inputs, targets, classes)


def test_the_fingerprint_tells_whether_data_changed():
    first = Dataset(X, np.zeros(3))
    assert first.fingerprint() == Dataset(X.copy(), np.zeros(3)).fingerprint()
    assert first.fingerprint() != Dataset(X + 1, np.zeros(3)).fingerprint()


def test_arrays_on_the_disk_stay_there(tmp_path):
    n, columns = 40_000, 100
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(n, columns)).astype(np.float32))
    np.save(tmp_path / "t.npy", rng.normal(size=(n, 1)).astype(np.float32))

    def train():
        x, t = (np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "t.npy"))
        data = Dataset(x, t)
        assert np.shares_memory(data.inputs, x)
        trainer = Trainer(pb.nn.mlp(pb.random.key(0), [columns, 1]), "l1", pb.optim.sgd(0.01))
        trainer.fit(data, data, epochs=1, batch_size=100)
        assert len(data.fingerprint()) == 16

    train()
    assert peak(train) < n * columns * 4 / 2


def test_a_nan_far_into_an_array_is_found(monkeypatch):
    monkeypatch.setattr(dataset, "STRETCH_BYTES", 64)
    x = np.zeros((1000, 3), np.float32)
    x[777, 1] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in row 777"):
        Dataset(x, x)


def test_frames_and_lists_are_taken():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "label": [0, 1]})
    data = Dataset(frame[["a", "b"]], frame["label"], classes=2)
    np.testing.assert_array_equal(data.inputs, [[1, 3], [2, 4]])
    assert data.targets.dtype == np.int64
    assert len(Dataset([[1.0], [2.0]], [3.0, 4.0])) == 2


@pytest.mark.parametrize("classes", [1, 2.5, True, "two"])
def test_a_number_of_classes_is_whole_and_two_or_more(classes):
    with pytest.raises(DataError, match="classes: expected a whole number of 2 or more"):
        Dataset(np.zeros((2, 1)), np.array([0, 1]), classes=classes)
