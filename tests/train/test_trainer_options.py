"""What changes training: averages, precision, threads; all of it resumes bitwise."""

import numpy as np
import pytest

import pullback as pb
from pullback import optim
from pullback.core.errors import CheckpointError, ConfigError, DataError
from pullback.train import Dataset, Trainer, checkpoint

FIT = {"batch_size": 20, "seed": 3}


def data(n=80, seed=0, width=2):
    x = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    return Dataset(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64), classes=2)


def make(optimizer=None, width=2, hidden=16, **options):
    model = pb.nn.mlp(pb.random.key(1), [width, hidden, 2])
    optimizer = optimizer or optim.adam(1e-2)
    return Trainer(model, "softmax_cross_entropy", optimizer, metric="accuracy", **options)


def same(first, second):
    pairs = zip(pb.tree.leaves(first), pb.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


OPTIMIZERS = {
    "lion": lambda: optim.lion(1e-3, weight_decay=0.1, decays=optim.is_weight),
    "lamb": lambda: optim.lamb(optim.one_cycle(0.05, 30)),
    "lbfgs": lambda: optim.lbfgs(0.1, history=3),
    "clipped": lambda: optim.clip_norm(optim.adam(optim.Adjustable(1e-2)), 0.5),
    "accumulated": lambda: optim.accumulate(optim.adam(1e-2), 3),
    "averaged": lambda: optim.ema(optim.adam(1e-2), 0.9),
    "grouped": lambda: optim.grouped(
        lambda path, p: "weights" if optim.is_weight(path, p) else "biases",
        {"weights": optim.accumulate(optim.adam(1e-2), 2), "biases": optim.momentum(0.1)},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resuming_is_bitwise_with_every_state(name, tmp_path):
    straight, first, resumed = (make(OPTIMIZERS[name](), hidden=4) for _ in range(3))
    straight.fit(data(), epochs=4, out=tmp_path / "a", **FIT)
    first.fit(data(), epochs=2, out=tmp_path / "b", **FIT)
    resumed.fit(data(), epochs=4, out=tmp_path / "b", resume=True, **FIT)
    assert same(straight.model, resumed.model)
    assert same(straight.state, resumed.state)
    assert straight.state["step"] > 0
    for file in ("model.safetensors",):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_average_predicts_and_is_written(tmp_path):
    trainer, plain = make(optim.ema(optim.adam(1e-2), 0.95)), make()
    for each in (trainer, plain):
        each.fit(data(), data(seed=1), epochs=3, out=tmp_path / str(each is plain), **FIT)
    assert same(trainer.model, plain.model)
    average = trainer.state["average"]
    assert same(trainer.predictor, average)
    assert not same(average, trainer.model)
    x = data(seed=1).inputs
    np.testing.assert_allclose(trainer.predict(x), average(x), rtol=1e-4, atol=1e-5)
    written, _ = checkpoint.load(tmp_path / "False" / "model.safetensors", trainer.model)
    assert same(written, average)
    loss = float(pb.nn.softmax_cross_entropy(average(x), data(seed=1).targets))
    assert trainer.history[-1]["validation_loss"] == pytest.approx(loss, rel=1e-4)


def test_the_average_of_a_model_with_state_has_its_state():
    keys = pb.random.split(pb.random.key(0), 2)
    model = pb.nn.Sequential([
        pb.nn.Linear.create(keys[0], 2, 8), pb.nn.BatchNorm.create(8), pb.nn.Activation("relu"),
        pb.nn.Linear.create(keys[1], 8, 2),
    ])  # fmt: skip
    trainer = Trainer(model, "softmax_cross_entropy", optim.ema(optim.adam(1e-2), 0.9))
    trainer.fit(data(), epochs=2, **FIT)
    _, state = pb.nn.partition(trainer.model)
    assert same(pb.nn.partition(trainer.predictor)[1], state)
    assert np.isfinite(trainer.predict(data().inputs)).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_and_threads_give_bitwise_the_same(threads, monkeypatch):
    monkeypatch.setenv("PULLBACK_THREADS", str(threads))

    def trained(seed):
        trainer = make(width=64, hidden=512)
        trainer.fit(data(256, width=64), epochs=2, batch_size=128, seed=seed)
        ((_, loop),) = trainer._steps._loops.values()
        assert loop._program.threads == threads
        return trainer.model

    first = trained(5)
    assert same(trained(5), first)
    assert not same(trained(6), first)


def test_bfloat16_products_learn_as_well_and_differ_in_rounding_only():
    plain, mixed = make(), make(matmul_precision="bfloat16")
    for trainer in (plain, mixed):
        trainer.fit(data(400), data(300, 1), epochs=40, **FIT)
    assert {leaf.dtype for leaf in pb.tree.leaves(mixed.model)} == {np.dtype(np.float32)}
    accuracies = [t.history[-1]["validation_accuracy"] for t in (plain, mixed)]
    assert min(accuracies) > 0.9
    assert abs(accuracies[0] - accuracies[1]) < 0.03
    first = [t.history[0]["train_loss"] for t in (plain, mixed)]
    assert first[0] != first[1]  # they are rounded
    assert first[0] == pytest.approx(first[1], rel=0.02)


def test_the_precision_is_part_of_what_a_run_was_made_with(tmp_path):
    make().fit(data(), epochs=1, out=tmp_path / "run", **FIT)
    mixed = make(matmul_precision="bfloat16")
    with pytest.raises(CheckpointError, match="matmul_precision float32, now it is bfloat16"):
        mixed.fit(data(), epochs=2, out=tmp_path / "run", resume=True, **FIT)
    with pytest.raises(ConfigError, match="matmul_precision: expected 'float32' or 'bfloat16'"):
        make(matmul_precision="float16")
    with pytest.raises(ConfigError, match="need compiled=True"):
        make(matmul_precision="bfloat16", compiled=False)


def test_a_callback_may_stop_training(tmp_path):
    class Stop(pb.train.Callback):
        def on_epoch_end(self, trainer, row):
            if row["epoch"] == 2:
                trainer.stop("enough")

    trainer = make()
    assert len(trainer.fit(data(), epochs=9, callbacks=[Stop()], out=tmp_path / "r", **FIT)) == 2
    assert trainer.stopped == "enough"
    assert len(trainer.fit(data(), epochs=4, **FIT)) == 4
    assert trainer.stopped is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callbacks": optim}, "callbacks: expected a list of objects of train.Callback"),
        ({"callbacks": [3]}, "callbacks: expected a list of objects of train.Callback"),
        ({"resume": True}, "resume: expected out, the folder of the run"),
    ],
)
def test_options_of_fit_that_make_no_sense_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        make().fit(data(), epochs=1, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, optim.adam(1e-2)), r"loss: .* or a function \(outputs, targets\), got 3"),
        (("huber", "adam"), r"optimizer: expected one of pb.optim, such as .*, got 'adam'"),
        (("huber", optim.adam), r"optimizer: expected one of pb.optim"),
        (("huber", optim.adam(1e-2), None, "much"), "l2: expected a finite number .* got 'much'"),
    ],
)
def test_what_a_trainer_is_made_of_is_checked(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Trainer(pb.nn.mlp(pb.random.key(0), [2, 2]), *arguments)


def test_a_run_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(CheckpointError, match=f"{path}: cannot be made a folder"):
            make().fit(data(), epochs=1, out=path)


def test_arrays_are_no_data_to_evaluate():
    with pytest.raises(DataError, match=r"data: expected a Dataset, got ndarray; write Dataset"):
        make().evaluate(data().inputs)


def test_an_array_at_two_places_of_the_model_is_refused():
    layer = pb.nn.Linear.create(pb.random.key(0), 2, 2)
    tied = pb.nn.Sequential([layer, pb.nn.Activation("tanh"), layer])
    with pytest.raises(ConfigError, match=r"layers\[0\].weight and .layers\[2\].weight are one"):
        Trainer(tied, "softmax_cross_entropy", optim.adam(1e-2))
    with pytest.raises(ConfigError, match="are one array"):
        pb.train.find_learning_rate(tied, "softmax_cross_entropy", data(), optim.sgd)


def test_weights_tied_in_a_call_are_one_parameter():
    class Tied(pb.nn.Module):
        layer: pb.nn.Linear

        def __call__(self, x):
            return self.layer(x) @ self.layer.weight.T

    model = Tied(pb.nn.Linear.create(pb.random.key(0), 2, 2))
    trainer = Trainer(model, "softmax_cross_entropy", optim.sgd(0.1))
    trainer.fit(data(), epochs=1, batch_size=80)
    x, labels = data().inputs, data().targets
    slope = pb.grad(lambda m: pb.nn.softmax_cross_entropy(m(x), labels))(model).layer.weight
    np.testing.assert_allclose(
        trainer.model.layer.weight, model.layer.weight - 0.1 * slope, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda outputs, targets: None, "loss: expected a floating scalar, got NoneType"),
        (lambda outputs, targets: np.sum(outputs > 0), "loss: expected a floating scalar, got int"),
        (lambda outputs, targets: outputs, r"loss: expected a scalar, got shape \(80, 2\)"),
        (lambda outputs: 0.0, "data does not fit the model or the loss: inputs are float32 of"),
    ],
)
def test_a_loss_that_is_no_number_is_told_before_training(loss, message):
    trainer = Trainer(pb.nn.mlp(pb.random.key(0), [2, 2]), loss, optim.adam(1e-2))
    with pytest.raises(pb.errors.ShapeError, match=message):
        trainer.fit(data(), epochs=1)


@pytest.mark.parametrize("metric", [lambda true: 1.0, lambda true, predicted: "good"])
def test_a_metric_that_fails_is_not_taken_for_the_loss(metric):
    model = pb.nn.mlp(pb.random.key(0), [2, 2])
    trainer = Trainer(model, "softmax_cross_entropy", optim.adam(1e-2), metric)
    with pytest.raises(pb.errors.ShapeError, match="data does not fit the metric: inputs are"):
        trainer.fit(data(), epochs=1)


def test_a_model_of_several_outputs_is_refused():
    class Pair(pb.nn.Module):
        layer: pb.nn.Linear

        def __call__(self, x):
            return self.layer(x), x

    model = Pair(pb.nn.Linear.create(pb.random.key(0), 2, 2))
    trainer = Trainer(model, "softmax_cross_entropy", optim.adam(1e-2))
    with pytest.raises(pb.errors.ShapeError, match="the model gives tuple, expected one array"):
        trainer.fit(data(), epochs=1)
