"""Statistics of layers: right numbers, and warnings on networks that truly fail."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim, random
from pullback.core.errors import CheckpointError, ConfigError, DataError
from pullback.explain import LayerRecorder, layer_statistics, layer_warnings, read_layers
from pullback.nn.calls import recorded_calls
from pullback.train import Balanced, Dataset, Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype(np.float32)
T = RNG.integers(0, 3, 64)


def warnings_of(model, x=X):
    return layer_warnings(layer_statistics(model, nn.softmax_cross_entropy, x, T))


def test_numbers_are_those_of_the_gradient():
    model = nn.mlp(random.key(0), [8, 5, 3], "tanh", dtype=np.float64)
    x = X.astype(float)
    first, activation, last = layer_statistics(
        model, nn.softmax_cross_entropy, x, T, optimizer=optim.sgd(0.1)
    )
    gradient = pb.grad(lambda model: nn.softmax_cross_entropy(model(x), T))(model)
    for layer, part, g in ((first, model[0], gradient[0]), (last, model[2], gradient[2])):
        weights = np.concatenate([part.weight.ravel(), part.bias])
        slopes = np.concatenate([g.weight.ravel(), g.bias])
        np.testing.assert_allclose(layer.weight.norm, np.linalg.norm(weights))
        np.testing.assert_allclose(layer.weight.std, np.std(weights))
        np.testing.assert_allclose(layer.gradient.norm, np.linalg.norm(slopes))
        np.testing.assert_allclose(layer.update, 0.1 * layer.gradient.norm / layer.weight.norm)
        assert layer.weight.counts == tuple(np.histogram(weights, 40)[0])
    hidden = np.tanh(x @ model[0].weight + model[0].bias)
    np.testing.assert_allclose(activation.activation.mean, hidden.mean())
    np.testing.assert_allclose(activation.activation.std, hidden.std())
    assert activation.weight is None
    delta = pb.grad(lambda h: nn.softmax_cross_entropy(model[2](h), T))(hidden)
    np.testing.assert_allclose(activation.delta.norm, np.linalg.norm(delta))


def test_a_healthy_network_gives_no_warning():
    for activation in ("relu", "tanh", "gelu"):
        assert warnings_of(nn.mlp(random.key(0), [8, *[32] * 10, 3], activation)) == []


def test_twenty_sigmoid_layers_vanish():
    (warning,) = warnings_of(nn.mlp(random.key(0), [8, *[16] * 20, 3], "sigmoid"))
    assert warning.kind == "vanishing"
    assert warning.paths[0] == "layers[0]"
    assert "layers[40]" not in warning.paths
    assert "relu" in warning.remedy


def test_large_weights_explode():
    def large(*args):
        return 5 * nn.init.he_uniform(*args)

    (warning,) = warnings_of(nn.mlp(random.key(0), [8, *[16] * 12, 3], "relu", init=large))
    assert warning.kind == "exploding"
    assert warning.paths[0] == "layers[0]"
    assert "smaller weights" in warning.remedy


def test_values_beyond_the_range_explode():
    def huge(*args):
        return 1e8 * nn.init.he_uniform(*args)

    (warning,) = warnings_of(nn.mlp(random.key(0), [8, *[16] * 12, 3], "relu", init=huge))
    assert warning.kind == "exploding"
    assert "infinite or NaN" in warning.text


def test_large_negative_biases_die():
    model = nn.mlp(random.key(0), [8, 16, 16, 3], "relu")
    model[2].bias[:] = -100
    model[0].bias[:9] = -100
    warnings = warnings_of(model)
    assert [(w.kind, w.paths) for w in warnings] == [
        ("dead", ("layers[1]",)),
        ("dead", ("layers[3]",)),
    ]
    assert "100% of the units of layers[3]" in warnings[1].text


@pytest.mark.parametrize("activation", nn.ACTIVATIONS)
def test_only_units_that_a_rectifier_sets_to_0_are_dead(activation):
    model = nn.mlp(random.key(0), [8, 16, 3], activation)
    rectifier = activation in ("relu", "relu6", "hardsigmoid", "hardswish")
    for bias, dead in ((-100, 1), (100, 0)):
        model[0].bias[:] = bias
        layer = layer_statistics(model, nn.softmax_cross_entropy, X, T)[1]
        assert layer.dead == (dead if rectifier else None)


def test_rectifiers_of_a_users_own_module_are_seen():
    class Net(nn.Module):
        first: nn.Linear
        last: nn.Linear

        def __call__(self, x):
            return self.last(np.maximum(self.first(x), 0))

    first, last = (nn.Linear.create(random.key(i), 8, 8) for i in range(2))
    (layer,) = [
        layer
        for layer in layer_statistics(
            nn.Sequential([Net(first, last)]), nn.softmax_cross_entropy, X, T
        )
        if layer.dead is not None
    ]
    assert layer.path == "layers[0]"


def test_state_is_no_weight_and_training_is_what_is_seen():
    model = nn.Sequential(
        [
            nn.Linear.create(random.key(0), 8, 3),
            nn.BatchNorm.create(3),
            nn.Dropout.create(random.key(1)),
        ]
    )
    _, norm, _ = layer_statistics(model, nn.softmax_cross_entropy, X, T)
    assert norm.weight.size == 6
    np.testing.assert_allclose(norm.activation.std, 1, rtol=1e-3)


def test_layers_inside_loops_and_used_twice_do_no_harm():
    class Twice(nn.Module):
        inner: nn.Linear

        def __call__(self, x):
            return self.inner(self.inner(x))

    model = Twice(nn.Linear.create(random.key(0), 8, 8))
    layers = layer_statistics(model, nn.softmax_cross_entropy, X, T)
    assert len(layers) == 1
    assert layers[0].activation.size == 2 * 64 * 8
    recurrent = nn.LSTM.create(random.key(0), 8, 3)
    found = layer_statistics(recurrent, lambda y, t: np.mean(y[0] ** 2), X[:, None].repeat(4, 1), T)
    assert any(layer.gradient.norm > 0 for layer in found if layer.gradient)


def test_nothing_is_collected_outside():
    model = nn.mlp(random.key(0), [8, 3])
    with recorded_calls() as calls:
        pass
    pb.trace(model, X)
    assert calls == []


def fitted(folder, epochs, resume=False, **options):
    data = Dataset(X, T, 3)
    trainer = Trainer(
        nn.mlp(random.key(0), [8, 4, 3]), "softmax_cross_entropy", optim.adam(1e-3), compiled=False
    )
    recorder = LayerRecorder(data, folder=folder, **options)
    trainer.fit(data, epochs=epochs, callbacks=[recorder], out=folder, resume=resume)
    return recorder


def test_a_run_keeps_them_and_goes_on_with_them(tmp_path):
    pytest.importorskip("matplotlib")
    whole = fitted(tmp_path / "whole", 6, every=2)
    assert [record.epoch for record in whole.records] == [0, 2, 4, 6]
    assert read_layers(tmp_path / "whole" / "layers.json") == whole.records
    fitted(tmp_path / "parts", 4, every=2)
    resumed = fitted(tmp_path / "parts", 6, every=2, resume=True)
    assert resumed.records == whole.records


def test_the_last_epoch_is_always_recorded(tmp_path):
    pytest.importorskip("matplotlib")
    assert [r.epoch for r in fitted(tmp_path, 5, every=3).records] == [0, 3, 5]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"records": [{"epoch": 1, "layers": [{}]}]}'])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "layers.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match="not a readable record"):
        read_layers(path)


def test_senseless_numbers_are_refused():
    for options in ({"every": 0}, {"every": 1.5}, {"rows": 0}, {"rows": True}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            LayerRecorder(Dataset(X, T, 3), **options)


def test_a_loss_may_be_given_by_name():
    model = nn.mlp(random.key(0), [8, 5, 3])
    by_name = layer_statistics(model, "softmax_cross_entropy", X, T)
    assert by_name == layer_statistics(model, nn.softmax_cross_entropy, X, T)


def test_arguments_that_do_not_fit_are_named():
    model = nn.mlp(random.key(0), [8, 5, 3])
    with pytest.raises(ConfigError, match=r"loss: expected one of .* got 'name'"):
        layer_statistics(model, "name", X, T)
    with pytest.raises(ConfigError, match=r"optimizer: expected one of .* got 'adam'"):
        layer_statistics(model, "nll", X, T, optimizer="adam")
    with pytest.raises(DataError, match="data: expected a Dataset, got ndarray"):
        LayerRecorder(X)
    with pytest.raises(DataError, match="data: expected a Dataset, got Balanced"):
        LayerRecorder(Balanced(Dataset(X, T, 3)))
