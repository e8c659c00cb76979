"""The report of a run: what it says, and how the command line writes it."""

import json

import numpy as np
import pytest

from pullback import nn, optim, random
from pullback.core.errors import ConfigError, DataError
from pullback.explain import LayerRecorder, report
from pullback.train import Dataset, Trainer, from_frame

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).astype(np.float32)


def trained(targets, classes, outputs, loss, metric, epochs=3, preprocessing=None):
    data = Dataset(X, targets, classes)
    trainer = Trainer(
        nn.mlp(random.key(0), [4, 8, outputs]), loss, optim.adam(1e-2), metric, compiled=False
    )
    recorder = LayerRecorder(data)
    trainer.fit(data, data, epochs=epochs, callbacks=[recorder])
    return trainer, data, recorder


def test_the_confusion_matrix_counts_true_rows_and_predicted_columns():
    labels = RNG.integers(0, 3, 90)
    trainer, data, _ = trained(labels, 3, 3, "softmax_cross_entropy", "accuracy")
    found = report(trainer, data).content["confusion"]
    predicted = trainer.predict(X).argmax(1)
    for true in range(3):
        for guess in range(3):
            count = np.sum((labels == true) & (predicted == guess))
            assert found["counts"][true][guess] == count
    assert found["classes"] == ["0", "1", "2"]
    assert "rows held out are right" in found["note"]


def test_of_many_classes_the_most_mistaken_are_shown():
    labels = np.arange(90) % 40
    trainer, data, _ = trained(labels, 40, 40, "softmax_cross_entropy", "accuracy", epochs=1)
    found = report(trainer, data).content["confusion"]
    assert len(found["classes"]) == len(found["counts"]) == len(found["counts"][0]) == 25
    assert "25 of 40 classes" in found["note"]


def test_predictions_are_in_the_targets_units():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"size": np.linspace(10, 100, 50)})
    frame["price"] = 1000 * frame["size"] + 5000
    source = from_frame(frame, ["price"])
    trainer = Trainer(nn.mlp(random.key(0), [1, 1]), "mean_squared_error", optim.sgd(0.1), "r2")
    trainer.fit(source.train, source.validation, epochs=3)
    content = report(trainer, source.validation, preprocessing=source.preprocessing).content
    (target,) = content["regression"]["targets"]
    assert target["name"] == "price"
    assert 15_000 <= min(target["truth"]) <= max(target["truth"]) <= 105_000
    assert len(target["predicted"]) == len(source.validation)


def test_sections_without_data_are_left_out():
    trainer, data, recorder = trained(X[:, :2].copy(), None, 2, "mean_squared_error", None)
    content = report(trainer, data, layers=recorder.records).content
    assert "confusion" not in content
    assert [t["name"] for t in content["regression"]["targets"]] == ["target 0", "target 1"]
    assert [row["path"] for row in content["layers"]["rows"]] == [
        "layers[0]", "layers[1]", "layers[2]",
    ]  # fmt: skip
    assert content["layers"]["epochs"] == [0, 1, 2, 3]
    fresh = Trainer(nn.mlp(random.key(0), [4, 2]), "mean_squared_error", optim.sgd(0.1))
    content = report(fresh, data).content
    assert content["curves"] is None
    assert content["layers"] is None


def test_the_loss_is_a_scope_of_its_own():
    trainer, data, _ = trained(X[:, :1].copy(), None, 1, "huber", "r2")
    scopes = report(trainer, data).content["graph"]["scopes"]
    assert ("loss", "huber") in [(scope["path"], scope["kind"]) for scope in scopes]


def test_warnings_come_with_their_remedy():
    deep = nn.mlp(random.key(0), [4, *[8] * 20, 1], "sigmoid")
    data = Dataset(X, X[:, :1].copy())
    trainer, recorder = Trainer(deep, "huber", optim.sgd(0.1), compiled=False), LayerRecorder(data)
    trainer.fit(data, epochs=1, callbacks=[recorder])
    (warning,) = report(trainer, data, layers=recorder.records).content["warnings"]
    assert warning["kind"] == "vanishing"
    assert "relu" in warning["remedy"]


def test_curves_have_one_panel_for_each_figure():
    trainer, data, _ = trained(X[:, :1].copy(), None, 1, "huber", "r2")
    curves = report(trainer, data).content["curves"]
    assert [panel["name"] for panel in curves["panels"]] == ["loss", "R²"]
    assert curves["epochs"] == [1, 2, 3]
    assert curves["panels"][0]["train"] == [row["train_loss"] for row in trainer.history]
    json.dumps(curves, allow_nan=False)


def test_arguments_that_do_not_fit_are_named():
    trainer, data, recorder = trained(RNG.integers(0, 3, 90), 3, 3, "nll", "accuracy", epochs=1)
    with pytest.raises(DataError, match="data: expected a Dataset, got ndarray"):
        report(trainer, X)
    with pytest.raises(ConfigError, match=r"trainer: expected a train.Trainer, got Sequential"):
        report(trainer.model, data)
    with pytest.raises(ConfigError, match="layers: expected the records of a LayerRecorder"):
        report(trainer, data, layers=recorder.records[0].layers)
