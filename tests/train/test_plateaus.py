"""Callbacks that watch a figure: the best model comes back, runs stop and resume as they must."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import CheckpointError, ConfigError
from pullback.train import BestModel, Callback, Dataset, EarlyStopping, ReduceOnPlateau, Trainer
from pullback.train.plateaus import Watch

FIT = {"batch_size": 20, "seed": 3}


def moons(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    return Dataset(x, (x[:, 0] * x[:, 1] + 0.5 * rng.normal(size=n) > 0).astype(np.int64), 2)


def make(rate=0.1):
    """A trainer whose validation loss soon rises: few noisy data, a high rate."""
    model = pb.nn.mlp(pb.random.key(1), [2, 32, 2])
    optimizer = pb.optim.adam(pb.optim.Adjustable(rate))
    return Trainer(model, "softmax_cross_entropy", optimizer, metric="accuracy")


def fit(trainer, callbacks, epochs=25, **options):
    return trainer.fit(moons(), moons(seed=1), epochs=epochs, callbacks=callbacks, **FIT, **options)


def same(first, second):
    pairs = zip(pb.tree.leaves(first), pb.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


class Models(Callback):
    def on_train_begin(self, trainer, *args):
        self.models = {}

    def on_epoch_end(self, trainer, row):
        self.models[int(row["epoch"])] = trainer.model


def test_a_watch_counts_epochs_without_improvement():
    watch = Watch("train_accuracy", "max", min_delta=0.05)
    values = [0.5, 0.54, 0.56, float("nan"), 0.4, 0.7]
    rows = [{"epoch": i, "train_accuracy": v} for i, v in enumerate(values, 1)]
    assert [watch.improves(row) for row in rows] == [True, False, True, False, False, True]
    assert (watch.value, watch.epoch, watch.stale) == (0.7, 6, 0)


@pytest.mark.parametrize(
    ("monitor", "choose"), [("validation_loss", min), ("validation_accuracy", max)]
)
def test_the_best_model_comes_back(monitor, choose):
    trainer, models, best = make(), Models(), BestModel(monitor)
    history = fit(trainer, [models, best])
    values = [row[monitor] for row in history]
    assert best.epoch == values.index(choose(values)) + 1 < 25
    assert same(trainer.model, models.models[best.epoch])
    assert trainer.evaluate(moons(seed=1))[monitor.partition("_")[2]] == choose(values)


def test_training_stops_when_the_figure_is_no_longer_better():
    trainer, early = make(), EarlyStopping(patience=3)
    history = fit(trainer, [early], epochs=100)
    values = [row["validation_loss"] for row in history]
    assert len(history) == early.best.epoch + 3 < 100
    assert values.index(min(values)) + 1 == early.best.epoch
    assert "validation_loss was best in epoch" in trainer.stopped
    assert trainer.evaluate(moons(seed=1))["loss"] == min(values)


def test_what_is_hardly_better_does_not_count():
    trainer = make()
    history = fit(trainer, [EarlyStopping(patience=2, monitor="train_loss", min_delta=10.0)])
    assert len(history) == 3


def test_a_resumed_run_stops_and_chooses_as_one_never_interrupted(tmp_path):
    straight = make()
    fit(straight, [EarlyStopping(patience=6)], epochs=100, out=tmp_path / "a")
    end = len(straight.history)
    for epochs in (2, end - 3, 100):  # before the best epoch, and after it
        resumed = make()
        fit(
            resumed, [EarlyStopping(patience=6)], epochs=epochs, out=tmp_path / "b",
            resume=epochs > 2,
        )  # fmt: skip
    assert len(resumed.history) == end
    assert same(straight.model, resumed.model)
    assert same(straight.state, resumed.state)
    files = ("model.safetensors", "checkpoint.safetensors", "best.safetensors")
    model, *_ = ((tmp_path / name / files[0]).read_bytes() for name in "ab")
    assert (tmp_path / "b" / files[0]).read_bytes() == model
    again = make()
    fit(again, [EarlyStopping(patience=6)], epochs=100, out=tmp_path / "b", resume=True)
    assert len(again.history) == end
    assert same(again.model, straight.model)


def test_training_on_goes_on_with_the_best_so_far():
    trainer, best = make(), BestModel()
    fit(trainer, [best], epochs=15)
    values = [row["validation_loss"] for row in fit(trainer, [best], epochs=25)]
    assert best.epoch == values.index(min(values)) + 1
    assert trainer.evaluate(moons(seed=1))["loss"] == min(values)
    other = make()
    fit(other, [], epochs=15)
    fit(other, [best], epochs=25)  # it knows nothing of the epochs before, nor of the other model
    assert best.epoch > 15
    values = [row["validation_loss"] for row in other.history[15:]]
    assert other.evaluate(moons(seed=1))["loss"] == min(values)


def test_a_kill_before_the_best_model_was_written_loses_nothing(tmp_path):
    class Kill(Callback):
        def on_epoch_end(self, trainer, row):
            if row["epoch"] == 2:
                raise KeyboardInterrupt

    straight = make()
    fit(straight, [BestModel("train_loss")], epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), [Kill(), BestModel("train_loss")], epochs=3, out=tmp_path / "run")
    resumed = make()
    fit(resumed, [BestModel("train_loss")], epochs=3, out=tmp_path / "run", resume=True)
    assert same(resumed.model, straight.model)


def test_a_missing_or_foreign_best_model_is_refused(tmp_path):
    out = tmp_path / "run"
    fit(make(), [BestModel()], out=out)
    content = (out / "best.safetensors").read_bytes()
    (out / "best.safetensors").write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match="truncated or foreign"):
        fit(make(), [BestModel()], epochs=30, out=out, resume=True)
    (out / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        fit(make(), [BestModel()], epochs=30, out=out, resume=True)
    fit(make(), [BestModel()], epochs=1, out=tmp_path / "short")
    (tmp_path / "short" / "best.safetensors").rename(out / "best.safetensors")
    with pytest.raises(CheckpointError, match="expected the model of epoch"):
        fit(make(), [BestModel()], epochs=30, out=out, resume=True)


def test_the_rate_falls_on_a_plateau_and_resuming_agrees(tmp_path):
    def factors(trainer):
        return float(trainer.state["rate_factor"])

    options = {"factor": 0.5, "patience": 2}
    straight = make()
    history = fit(straight, [ReduceOnPlateau(**options)], epochs=20, out=tmp_path / "a")
    best, stale, expected = np.inf, 0, 1.0
    for row in history:
        value = row["validation_loss"]
        best, stale = (value, 0) if value < best else (best, stale + 1)
        if stale == 2:
            stale, expected = 0, expected / 2
    assert factors(straight) == expected < 0.2
    for epochs in (7, 8, 20):
        resumed = make()
        fit(
            resumed, [ReduceOnPlateau(**options)], epochs=epochs, out=tmp_path / "b",
            resume=epochs > 7,
        )  # fmt: skip
    assert same(straight.model, resumed.model)


def test_bad_options_are_named_before_training(tmp_path):
    for create, message in (
        (lambda: EarlyStopping(patience=2.5), "patience: expected a whole number"),
        (lambda: EarlyStopping(mode="least"), "mode: expected 'min', 'max' or None, got 'least'"),
        (lambda: BestModel(min_delta=-1), "min_delta"),
        (lambda: ReduceOnPlateau(factor=1.0), "factor"),
        (lambda: ReduceOnPlateau(patience=0), "patience"),
    ):
        with pytest.raises(ConfigError, match=message):
            create()
    for callback in (EarlyStopping(), BestModel("validation_loss"), ReduceOnPlateau()):
        with pytest.raises(ConfigError, match=r"monitor: expected one of train_loss.*validation"):
            make().fit(moons(), epochs=1, callbacks=[callback], out=tmp_path / "new")
        assert not (tmp_path / "new").exists()
    fixed = Trainer(make().model, "softmax_cross_entropy", pb.optim.adam(0.1))
    with pytest.raises(ConfigError, match="Adjustable"):
        fixed.fit(moons(), epochs=1, callbacks=[ReduceOnPlateau(monitor="train_loss")])
    assert fixed.history == []
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="monitor"):
        make().fit(moons(), epochs=1, callbacks=[BestModel()], out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
