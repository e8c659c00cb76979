"""Datasets refuse what cannot be trained on, naming what came."""

import numpy as np
import pytest

from pullback.core.errors import DataError
from pullback.train import Dataset

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
