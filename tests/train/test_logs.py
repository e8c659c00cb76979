"""Logs say what the history says, for the programs that read them."""

import csv
import json

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError
from pullback.train import Dataset, Log, TensorBoard, Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
DATA = Dataset(X, X[:, :1])


def trainer():
    model = pb.nn.mlp(pb.random.key(0), [3, 4, 1])
    return Trainer(model, "mean_squared_error", pb.optim.adam(0.01), metric="r2")


def test_csv_and_json_lines_hold_the_history(tmp_path):
    trained, logs = trainer(), [Log(tmp_path / "new" / name) for name in ("a.csv", "a.jsonl")]
    history = trained.fit(DATA, DATA, epochs=3, callbacks=logs)
    rows = [json.loads(line) for line in logs[1].path.read_text().splitlines()]
    assert rows == history
    with logs[0].path.open() as file:
        read = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert read == history


def test_a_resumed_run_logs_every_epoch_once(tmp_path):
    log = tmp_path / "log.jsonl"
    trainer().fit(DATA, epochs=2, out=tmp_path / "run", callbacks=[Log(log)])
    trainer().fit(DATA, epochs=4, out=tmp_path / "run", callbacks=[Log(log)], resume=True)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3, 4]


def test_tensorboard_reads_scalars_and_histograms(tmp_path):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trained = trainer()
    history = trained.fit(DATA, DATA, epochs=3, callbacks=[TensorBoard(tmp_path / "events")])
    found = reader.EventAccumulator(str(tmp_path / "events"))
    found.Reload()
    for tag, name in [
        ("loss/train", "train_loss"),
        ("loss/validation", "validation_loss"),
        ("r2/validation", "validation_r2"),
        ("seconds", "seconds"),
    ]:
        events = found.Scalars(tag)
        assert [event.step for event in events] == [1, 2, 3]
        np.testing.assert_allclose(
            [event.value for event in events], [row[name] for row in history], rtol=1e-6
        )
    assert "layers.0.weight" in found.Tags()["histograms"]
    last = found.Histograms("layers.0.weight")[-1].histogram_value
    weight = trained.model.layers[0].weight
    assert last.num == weight.size
    assert last.sum == pytest.approx(weight.sum(), abs=1e-5)
    assert (last.min, last.max) == pytest.approx((weight.min(), weight.max()))


def test_figures_only_where_asked(tmp_path):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer().fit(DATA, epochs=1, callbacks=[TensorBoard(tmp_path, histograms=False)])
    found = reader.EventAccumulator(str(tmp_path))
    found.Reload()
    assert found.Tags()["histograms"] == []
    assert "loss/train" in found.Tags()["scalars"]


def test_other_endings_are_refused():
    with pytest.raises(ConfigError, match=r"ends in \.csv or \.jsonl, got log\.txt"):
        Log("log.txt")
