"""The learning-rate range test: the suggestion trains, the picture is there, bad input is named."""

import sys

import numpy as np
import pytest

import pullback as pb
from pullback import optim
from pullback.core.errors import ConfigError, DivergenceError
from pullback.train import Dataset, find_learning_rate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(256, 4)).astype(np.float32)
LINEAR = Dataset(X, X @ np.float32([[1.0], [-2.0], [0.5], [3.0]]))


def model():
    return pb.nn.Linear.create(pb.random.key(0), 4, 1)


def test_the_suggestion_is_below_where_gradient_descent_diverges_and_not_far():
    found = find_learning_rate(model(), "mean_squared_error", LINEAR, optim.sgd, batch_size=64)
    limit = 2 / np.linalg.eigvalsh(2 * X.T @ X / len(X)).max()
    assert 1e-2 * limit < found.suggestion < limit
    assert found.rates[-1] > limit  # it saw the divergence, and ended there
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 200
    assert np.isfinite(found.losses).all()
    ratios = found.rates[1:] / found.rates[:-1]
    np.testing.assert_allclose(ratios, (10 / 1e-7) ** (1 / 199), rtol=1e-6)


def test_a_loss_below_zero_is_no_divergence():
    def shifted(outputs, targets):
        return pb.nn.mean_squared_error(outputs, targets) - 20

    found = find_learning_rate(model(), shifted, LINEAR, optim.sgd, batch_size=64)
    limit = 2 / np.linalg.eigvalsh(2 * X.T @ X / len(X)).max()
    assert found.smoothed.min() < 0
    assert 1e-2 * limit < found.suggestion < limit < found.rates[-1]


@pytest.mark.parametrize("optimizer", [optim.adam, optim.momentum, optim.lion])
def test_the_suggestion_trains(optimizer):
    labels = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    data = Dataset(X, labels, classes=2)
    start = pb.nn.mlp(pb.random.key(0), [4, 32, 2])
    found = find_learning_rate(start, "softmax_cross_entropy", data, optimizer)
    trainer = pb.train.Trainer(start, "softmax_cross_entropy", optimizer(found.suggestion))
    history = trainer.fit(data, epochs=30)
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_the_test_is_the_same_each_time_and_leaves_the_model():
    start = model()
    before = np.copy(start.weight)
    first, second = (
        find_learning_rate(start, "mean_squared_error", LINEAR, optim.adam) for _ in range(2)
    )
    np.testing.assert_array_equal(first.losses, second.losses)
    np.testing.assert_array_equal(start.weight, before)


def test_it_draws_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    find_learning_rate(model(), "mean_squared_error", LINEAR, optim.sgd).draw(tmp_path / "lr.png")
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_need_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = find_learning_rate(model(), "l1", LINEAR, steps=10)
    with pytest.raises(ConfigError, match=r"matplotlib, which is not installed: pip install"):
        found.draw(tmp_path / "lr.png")


def test_bad_options_are_named():
    with pytest.raises(ConfigError, match=r"lowest: expected a rate above 0 and below highest, 10"):
        find_learning_rate(model(), "l1", LINEAR, lowest=20.0)
    with pytest.raises(ConfigError, match="lowest: expected a rate above 0"):
        find_learning_rate(model(), "l1", LINEAR, lowest=0.0)
    with pytest.raises(ConfigError, match="steps: expected 10 or more, got 3"):
        find_learning_rate(model(), "l1", LINEAR, steps=3)
    with pytest.raises(ConfigError, match=r"batch_size: expected a whole number.*got 32\.0"):
        find_learning_rate(model(), "l1", LINEAR, batch_size=32.0)
    with pytest.raises(ConfigError, match="loss: expected one of"):
        find_learning_rate(model(), "mse", LINEAR)
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="even that is too high"):
        find_learning_rate(
            model(), "mean_squared_error", LINEAR, optim.sgd, lowest=1e20, highest=1e30
        )


def test_streams_are_tried_window_by_window(tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    rows = [f"{a:.4f},{b:.4f},{3 * a - b:.4f}" for a, b in RNG.normal(size=(300, 2))]
    (tmp_path / "t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
    source = pb.train.load(str(tmp_path / "t.csv"), ["y"], window="50")
    assert isinstance(source.train, pb.train.Stream)
    start = pb.nn.Linear.create(pb.random.key(0), source.preprocessing.width, 1)
    found = find_learning_rate(start, "mean_squared_error", source.train, optim.sgd, steps=60)
    assert 1e-3 < found.suggestion < 1
    assert len(found.rates) <= 60
