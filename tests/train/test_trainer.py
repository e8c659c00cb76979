"""Training: it learns, it resumes bitwise, and a kill leaves a good checkpoint."""

import contextlib
import csv
import os
import signal
import sys
import time

import numpy as np
import pytest
from processes import interruptible, wait_for_text

import pullback as pb
from pullback.core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
    ShapeError,
)
from pullback.train import Dataset, Recorder, Trainer, checkpoint, forward, steps


def moons(n=203, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    return Dataset(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64), classes=2)


def make(optimizer=None, **options):
    model = pb.nn.mlp(pb.random.key(1), [2, 16, 2])
    optimizer = optimizer or pb.optim.adam(1e-2)
    return Trainer(model, "softmax_cross_entropy", optimizer, metric="accuracy", **options)


def same(first, second):
    pairs = zip(pb.tree.leaves(first), pb.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


FIT = {"batch_size": 20, "seed": 3}


def test_it_learns_with_a_partial_last_batch():
    trainer = make()
    history = trainer.fit(moons(), moons(100, 1), epochs=30, **FIT)
    assert history[-1]["validation_accuracy"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    assert trainer.predict(moons().inputs).shape == (203, 2)


def test_the_step_is_what_grad_and_the_optimizer_give():
    data = moons(16)
    trainer = make(pb.optim.sgd(0.1), l2=0.3)
    model = trainer.model
    trainer.fit(data, epochs=1, batch_size=16)

    def objective(m):
        return pb.nn.softmax_cross_entropy(m(data.inputs), data.targets) + (
            0.3 * pb.nn.l2_penalty(m)
        )

    gradient = pb.grad(objective)(model)
    expected = pb.tree.map(lambda p, g: p - np.float32(0.1) * g, model, gradient)
    for a, b in zip(pb.tree.leaves(trainer.model), pb.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_resuming_gives_bitwise_the_same(tmp_path):
    straight = make()
    straight.fit(moons(), epochs=6, out=tmp_path / "a", **FIT)
    make().fit(moons(), epochs=3, out=tmp_path / "b", **FIT)
    resumed = make()
    resumed.fit(moons(), epochs=6, out=tmp_path / "b", resume=True, **FIT)
    assert same(straight.model, resumed.model)
    assert same(straight.state, resumed.state)
    times = {"seconds", "samples_per_second"}
    rows = [
        [
            {k: v for k, v in row.items() if k not in times}
            for row in csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())
        ]
        for name in "ab"
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 6
    for name in ("model.safetensors", "curves.png", "checkpoint.safetensors"):
        assert (tmp_path / "b" / name).is_file()


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import test_trainer as t
t.make().fit(t.moons(), epochs=100000, out={out!r}, **t.FIT)
"""


@contextlib.contextmanager
def running(tmp_path):
    """A process that trains without end, after its first epoch, and the folder of its run."""
    out = tmp_path / "run"
    script = SCRIPT.format(folder=os.path.dirname(__file__), out=str(out))
    with interruptible([sys.executable, "-c", script]) as process:
        wait_for_text(out / "metrics.csv", process)
        yield process, out


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.1])
def test_a_kill_leaves_a_checkpoint_that_resumes_bitwise(tmp_path, delay):
    with running(tmp_path) as (process, out):
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    done = checkpoint.read_info(out / "checkpoint.safetensors")["epoch"]
    assert done >= 1
    resumed, straight = make(), make()
    resumed.fit(moons(), epochs=done + 2, out=out, resume=True, **FIT)
    straight.fit(moons(), epochs=done + 2, **FIT)
    assert same(straight.model, resumed.model)


def test_ctrl_c_leaves_a_valid_checkpoint(tmp_path):
    with running(tmp_path) as (process, out):
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in said
    assert checkpoint.read_info(out / "checkpoint.safetensors")["epoch"] >= 1


def test_machine_code_and_numpy_train_alike():
    compiled, interpreted = make(), make(compiled=False)
    for trainer in (compiled, interpreted):
        trainer.fit(moons(), epochs=3, **FIT)
    for a, b in zip(*(pb.tree.leaves(t.model) for t in (compiled, interpreted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_numpy_takes_the_shorter_last_batch_until_compiling_it_is_worth_it(tmp_path, monkeypatch):
    for module in (steps, forward):
        monkeypatch.setattr(module, "worth_compiling", lambda graph, times: times > 3)

    def fit(trainer, epochs, **options):
        trainer.fit(moons(), moons(90, 1), epochs=epochs, **FIT, **options)
        return "a shorter last batch, not worth compiling" not in trainer.report()

    straight, resumed, run = make(), make(), tmp_path / "run"
    assert [fit(straight, epochs) for epochs in (3, 4, 6)] == [False, True, True]
    assert not fit(make(), 2, out=run)
    assert fit(resumed, 6, out=run, resume=True)
    assert same(straight.model, resumed.model)
    for now, then in zip(straight.history, resumed.history, strict=True):
        assert now["validation_loss"] == then["validation_loss"]


def test_the_report_says_which_operations_numpy_runs():
    def with_an_inverse(outputs, targets):
        return np.sum(np.linalg.pinv(outputs) ** 2)

    trainer = make()
    with pytest.raises(ConfigError, match="call fit first"):
        trainer.report()
    trainer.fit(moons(), epochs=1, **FIT)
    loop, last_batch = trainer.report().split("\nstep: ")
    assert loop.startswith("steps: ")
    assert "around steps" in loop
    assert "by NumPy    nothing" in loop
    assert last_batch.startswith("all by NumPy; a shorter last batch")
    mixed = Trainer(make().model, with_an_inverse, pb.optim.sgd(1e-9))
    mixed.fit(moons(), epochs=1, **FIT)
    assert "around steps" not in mixed.report()
    assert "by NumPy    pinv" in mixed.report()
    plain = make(compiled=False)
    plain.fit(moons(), epochs=1, **FIT)
    assert plain.report() == "all by NumPy, with compiled=False"


def test_callbacks_see_every_batch():
    recorder = Recorder()
    make().fit(moons(), epochs=2, callbacks=[recorder], **FIT)
    assert len(recorder.losses) == 2 * 11


def test_a_diverging_run_says_so_and_keeps_its_checkpoint(tmp_path):
    x = np.linspace(0, 100, 64, dtype=np.float32)[:, None]
    model = pb.nn.Linear.create(pb.random.key(0), 1, 1)
    trainer = Trainer(model, "mean_squared_error", pb.optim.sgd(1e20))
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergenceError, match=r"epoch 1.*learning rate"),
    ):
        trainer.fit(Dataset(x, x), epochs=3, batch_size=8, out=tmp_path / "run")
    assert checkpoint.read_info(tmp_path / "run" / "checkpoint.safetensors")["epoch"] == 0


def test_bad_options_are_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"loss: expected one of .*l1.*got 'mse'"):
        Trainer(None, "mse", pb.optim.sgd(0.1))
    with pytest.raises(ConfigError, match=r"metric: expected one of accuracy, r2.*'f_one'"):
        Trainer(None, "l1", pb.optim.sgd(0.1), metric="f_one")
    with pytest.raises(ConfigError, match="l2"):
        make(l2=-1.0)
    with pytest.raises(ConfigError, match=r"batch_size: expected.*got 0"):
        make().fit(moons(), batch_size=0, out=out)
    wide = Dataset(np.zeros((5, 3), np.float32), np.zeros(5, np.int64), classes=2)
    with pytest.raises(ShapeError, match="data does not fit the model"):
        make().fit(wide, out=out)
    with pytest.raises(ShapeError, match="validation does not fit the model"):
        make().fit(moons(), wide, out=out)
    no_scalar = Trainer(make().model, lambda y, t: y, pb.optim.sgd(0.1))
    with pytest.raises(ShapeError, match="loss: expected a scalar"):
        no_scalar.fit(moons(), out=out)
    assert not out.exists()


def test_a_run_is_neither_overwritten_nor_resumed_with_other_data(tmp_path):
    out = tmp_path / "run"
    make().fit(moons(), epochs=1, out=out, **FIT)
    with pytest.raises(CheckpointError, match="holds a run already"):
        make().fit(moons(), epochs=1, out=out, **FIT)
    with pytest.raises(CheckpointError, match="was made with data"):
        make().fit(moons(seed=5), epochs=2, out=out, resume=True, **FIT)
    with pytest.raises(CheckpointError, match="was made with seed 3, now it is 4"):
        make().fit(moons(), epochs=2, out=out, resume=True, seed=4, batch_size=20)


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    out = tmp_path / "run"
    make().fit(moons(), epochs=1, out=out, **FIT)
    path = out / "checkpoint.safetensors"
    content = path.read_bytes()

    def resume(trainer=None):
        (trainer or make()).fit(moons(), epochs=2, out=out, resume=True, **FIT)

    other = pb.nn.mlp(pb.random.key(1), [2, 8, 2])
    with pytest.raises(CheckpointError, match="made by another model"):
        resume(Trainer(other, "softmax_cross_entropy", pb.optim.adam(1e-2), metric="accuracy"))
    with pytest.raises(CheckpointError, match="made by another model"):
        resume(make(pb.optim.rmsprop(1e-2)))
    for damaged in (content[:100], content[:-7], b"", b"not safetensors at all"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="truncated or foreign"):
            resume()
    from safetensors.numpy import save

    path.write_bytes(save({"x": np.zeros(2)}))
    with pytest.raises(CheckpointError, match="not one that pullback wrote"):
        resume()
    path.write_bytes(content)
    model, state = make().model, make().state
    checkpoint.save(path, {"model": model, "state": state}, {"run": {}, "history": [1.0]})
    with pytest.raises(CheckpointError, match="holds no history of a run"):
        resume()
    path.unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        resume()


@pytest.mark.slow
def test_mnist_reaches_97_and_a_half_percent(mnist_dir, tmp_path):
    source = pb.train.load(f"mnist:{mnist_dir}")
    model = pb.nn.mlp(pb.random.key(0), [784, 128, 10])
    optimizer = pb.optim.adam(1e-3)
    trainer = Trainer(model, "softmax_cross_entropy", optimizer, metric="accuracy")
    history = trainer.fit(source.train, source.validation, epochs=10, batch_size=32)
    assert history[-1]["validation_accuracy"] >= 0.975


@pytest.mark.parametrize(
    ("inputs", "got"),
    [([[1.0, 2.0]], "list"), (np.array([["a", "b"]]), "<U1"), (np.array([[None, 1.0]]), "object")],
)
def test_what_is_no_array_of_numbers_is_not_predicted(inputs, got):
    with pytest.raises(DataError, match=rf"inputs: expected an array of numbers.*got {got}; write"):
        make().predict(inputs)
