"""Metrics by name and by function: scikit-learn's numbers, from outputs of networks."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError, DataError
from pullback.train import Dataset, Metric, Trainer, find_metric

metrics = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(60, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, 60)
CHOSEN = LOGITS.argmax(axis=1)
SHARES = np.exp(LOGITS.astype(float)) / np.exp(LOGITS.astype(float)).sum(axis=1, keepdims=True)
NUMBERS, GUESSES = RNG.normal(size=(60, 1)), RNG.normal(size=(60, 1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", metrics.accuracy_score(LABELS, CHOSEN)),
        ("balanced_accuracy", metrics.balanced_accuracy_score(LABELS, CHOSEN)),
        ("f1_macro", metrics.f1_score(LABELS, CHOSEN, average="macro")),
        ("roc_auc_ovr", metrics.roc_auc_score(LABELS, SHARES, multi_class="ovr")),
        ("log_loss", metrics.log_loss(LABELS, SHARES)),
    ],
)
def test_several_classes(name, expected):
    assert find_metric(name)(LOGITS, LABELS) == pytest.approx(expected, abs=1e-7)
    assert find_metric(name)(LOGITS, np.eye(3)[LABELS]) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "roc_auc", "log_loss", "accuracy"])
def test_one_logit_is_two_classes(name):
    logit, labels = GUESSES, (NUMBERS > 0.2).astype(np.float32)
    both = np.concatenate([0 * logit, logit], axis=1)
    expected = find_metric(name)(both, labels[:, 0].astype(int))
    assert find_metric(name)(logit, labels) == pytest.approx(expected)
    assert 0 < expected < 1.5


def test_numbers():
    for name, function in [
        ("mae", metrics.mean_absolute_error),
        ("rmse", metrics.root_mean_squared_error),
        ("r2", metrics.r2_score),
        ("explained_variance", metrics.explained_variance_score),
    ]:
        found = find_metric(name)
        assert found(GUESSES, NUMBERS) == pytest.approx(function(NUMBERS, GUESSES))
        assert found.higher_is_better is (name not in ("mae", "rmse"))


def test_a_class_that_no_row_has_is_no_hindrance():
    there = LABELS < 2
    expected = metrics.log_loss(LABELS[there], SHARES[there], labels=[0, 1, 2])
    assert find_metric("log_loss")(LOGITS[there], LABELS[there]) == pytest.approx(expected)
    assert 0 <= find_metric("balanced_accuracy")(LOGITS[there], LABELS[there]) <= 1


def test_functions_get_labels_or_outputs():
    assert find_metric(metrics.zero_one_loss)(LOGITS, LABELS) == pytest.approx(
        np.mean(CHOSEN != LABELS)
    )
    largest = find_metric(metrics.max_error)
    assert largest.name == "max_error"
    assert largest(GUESSES, NUMBERS) == pytest.approx(np.abs(GUESSES - NUMBERS).max())
    own = Metric("spread", lambda outputs, targets: np.ptp(outputs), higher_is_better=False)
    assert find_metric(own)(GUESSES, NUMBERS) == pytest.approx(np.ptp(GUESSES))


def test_a_trainer_takes_them_all():
    data = Dataset(LOGITS, LABELS, classes=3)
    for metric, name in [
        ("balanced_accuracy", "balanced_accuracy"),
        (metrics.matthews_corrcoef, "matthews_corrcoef"),
    ]:
        model = pb.nn.mlp(pb.random.key(0), [3, 8, 3])
        trainer = Trainer(model, "softmax_cross_entropy", pb.optim.adam(0.1), metric=metric)
        row = trainer.fit(data, data, epochs=20)[-1]
        assert row[f"validation_{name}"] > 0.25
        assert trainer.evaluate(data)[name] == row[f"train_{name}"]


def test_what_does_not_fit_is_refused_before_training(tmp_path):
    with pytest.raises(ConfigError, match=r"got 'balanced_acuracy'; did you mean 'balanced_acc"):
        find_metric("balanced_acuracy")
    data = Dataset(LOGITS, LABELS, classes=3)
    model = pb.nn.mlp(pb.random.key(0), [3, 3])
    trainer = Trainer(model, "softmax_cross_entropy", pb.optim.sgd(0.1), metric="f1")
    with pytest.raises(DataError, match=r"metric 'f1' cannot be taken.*choose another average"):
        trainer.fit(data, out=tmp_path / "run")
    with pytest.raises(DataError, match="metric 'balanced_accuracy': expected labels, got fl"):
        find_metric("balanced_accuracy")(GUESSES, NUMBERS)
    with pytest.raises(DataError, match="metric 'mae' cannot be taken"):
        find_metric("mae")(LOGITS, LABELS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [(GUESSES, NUMBERS), (LOGITS, LOGITS), (LOGITS, LABELS + 1), (LOGITS, LOGITS > -9)],
)
def test_accuracy_is_not_taken_of_numbers_to_predict(outputs, targets):
    with pytest.raises(DataError, match=r"labels: expected classes from 0 to .*other numbers"):
        find_metric("accuracy")(outputs, targets)


@pytest.mark.parametrize("measure", [pb.train.metrics.mae, pb.train.metrics.rmse])
def test_errors_of_many_rows_are_summed_in_float64(measure):
    targets = RNG.normal(size=(10**6, 2)).astype(np.float32)
    np.testing.assert_allclose(measure(targets + np.float32(0.3), targets), 0.3, rtol=1e-6)


@pytest.mark.parametrize("rows", [[0, 1, 1], [0, 0, 0]])
def test_rows_of_several_labels_or_none_are_not_taken_for_one_class(rows):
    with pytest.raises(DataError, match=r"'f1_macro': .* rows with none or several"):
        find_metric("f1_macro")(LOGITS[:2], np.array([[1, 0, 0], rows]))


def test_columns_of_numbers_are_not_taken_for_labels():
    with pytest.raises(DataError, match=r"'f1_macro': expected labels, got float64 numbers"):
        find_metric("f1_macro")(LOGITS[:2], np.array([[1.0, 2.0, 5.0], [3.0, 4.0, 0.0]]))
