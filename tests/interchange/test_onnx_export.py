"""Models and functions as ONNX: equal to 1e-5 in onnxruntime, for any batch size."""

import functools
import sys

import numpy as np
import pytest
from onnx_running import RNG, agrees, exported_agrees, floats, run, session

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, DTypeError, UnsupportedError
from pullback.interchange import export_onnx
from pullback.interchange.onnx.export import OPSETS

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")

KEY = pb.random.key(0)
IMAGE, SEQUENCE = (12, 12, 4), (7, 4)


def in_use(model, *inputs):
    """The model after some calls in training, so that its state is not what it began with."""
    for _ in range(3):
        _, model = nn.training_call(model, *inputs)
    return model


LAYERS = {
    "Linear": (nn.Linear.create(KEY, 4, 3), SEQUENCE),
    "Conv1d": (nn.Conv1d.create(KEY, 4, 6, 3, strides=2, padding=1), SEQUENCE),
    "Conv2d": (nn.Conv2d.create(KEY, 4, 6, 3, strides=2, padding="same", groups=2), IMAGE),
    "Conv2d dilated": (nn.Conv2d.create(KEY, 4, 6, 3, dilation=(2, 1)), IMAGE),
    "ConvTranspose1d": (nn.ConvTranspose1d.create(KEY, 4, 6, 3, strides=2), SEQUENCE),
    "ConvTranspose2d": (
        nn.ConvTranspose2d.create(
            KEY, 4, 6, 3, strides=2, padding=1, output_padding=1, groups=2, dilation=2
        ),
        IMAGE,
    ),
    "MaxPool1d": (nn.MaxPool1d(2), SEQUENCE),
    "MaxPool2d": (nn.MaxPool2d(3, strides=2, padding=1), IMAGE),
    "AvgPool2d": (nn.AvgPool2d(3, strides=2, padding=1), IMAGE),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((5, 2)), IMAGE),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(3), IMAGE),
    "BatchNorm": (in_use(nn.BatchNorm.create(4), floats(8, *IMAGE)), IMAGE),
    "LayerNorm": (nn.LayerNorm.create(4), SEQUENCE),
    "RMSNorm": (nn.RMSNorm.create(4), SEQUENCE),
    "GroupNorm": (nn.GroupNorm.create(2, 4), IMAGE),
    "Dropout": (nn.Dropout.create(KEY), SEQUENCE),
    "PReLU": (nn.PReLU.create(4), SEQUENCE),
    "Flatten": (nn.Flatten(), IMAGE),
    "RNN": (nn.RNN.create(KEY, 4, 5), SEQUENCE),
    "LSTM": (nn.LSTM.create(KEY, 4, 5, layers=2, bidirectional=True), SEQUENCE),
    "GRU": (nn.GRU.create(KEY, 4, 5, returns="last"), SEQUENCE),
    "attention": (nn.MultiHeadAttention.create(KEY, 4, 2, causal=True, rotary=True), SEQUENCE),
    "TransformerBlock": (nn.TransformerBlock.create(KEY, 4, 2), SEQUENCE),
    "Residual": (nn.Residual(nn.Linear.create(KEY, 4, 4)), SEQUENCE),
    "Parallel": (nn.Parallel([nn.Linear.create(KEY, 4, 4), nn.Activation("relu")]), SEQUENCE),
    "GLU": (nn.Activation("softmax"), SEQUENCE),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_the_same_for_every_batch_size(name, path):
    layer, shape = LAYERS[name]
    batches = [(floats(n, *shape),) for n in (2, 1, 5)]
    assert exported_agrees(layer, *batches, path=path)


@pytest.mark.parametrize("name", nn.ACTIVATIONS)
def test_activations_compute_the_same(name, path):
    x = np.concatenate([floats(3, 6), np.float32([[0, -0.5, 0.5, -30, 30, 1]])])
    assert exported_agrees(nn.Activation(name), (x,), path=path)


def lenet():
    layers = [
        nn.Conv2d.create(KEY, 1, 6, 5, padding="same"), nn.Activation("tanh"), nn.AvgPool2d(2),
        nn.Conv2d.create(KEY, 6, 16, 5), nn.Activation("tanh"), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear.create(KEY, 400, 120), nn.Activation("tanh"), nn.Linear.create(KEY, 120, 10),
    ]  # fmt: skip
    return nn.Sequential(layers)


NETWORKS = {
    "MLP": (lambda: nn.mlp(KEY, [784, 32, 10]), lambda n: floats(n, 784)),
    "LeNet": (lenet, lambda n: floats(n, 28, 28, 1)),
    "ResNet": (
        lambda: in_use(nn.resnet(KEY, 10, widths=(4, 8), blocks=1), floats(4, 16, 16, 3)),
        lambda n: floats(n, 16, 16, 3),
    ),
    "GPT": (
        lambda: nn.gpt(KEY, 20, 8, features=16, heads=2, layers=2),
        lambda n: RNG.integers(0, 20, (n, 8)),
    ),
    "LSTM": (
        lambda: nn.Sequential(
            [nn.LSTM.create(KEY, 3, 8, returns="last"), nn.Linear.create(KEY, 8, 1)]
        ),
        lambda n: floats(n, 12, 3),
    ),
}


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_the_same_for_every_batch_size(name, opset, path):
    make, draw = NETWORKS[name]
    assert exported_agrees(make(), *[(draw(n),) for n in (2, 1, 7)], path=path, opset=opset)


def test_parameters_are_initialisers_with_the_names_of_their_places(path):
    import onnx

    model = lenet()
    stored = onnx.load(export_onnx(model, floats(1, 28, 28, 1), path=path)).graph
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in stored.initializer}
    assert arrays.keys() == {
        f"layers.{i}.{name}" for i in (0, 3, 7, 9) for name in ("weight", "bias")
    }
    np.testing.assert_array_equal(arrays["layers.7.weight"], model.layers[7].weight)
    (given,) = session(path).get_inputs()
    assert (given.name, given.shape) == ("x", ["batch", 28, 28, 1])


def test_padded_sequences_keep_their_lengths(path):
    model = nn.LSTM.create(KEY, 3, 5, bidirectional=True)
    batches = [(floats(n, 6, 3), RNG.integers(1, 7, n)) for n in (3, 1)]
    assert exported_agrees(lambda x, lengths: model(x, lengths=lengths), *batches, path=path)


def test_inputs_and_outputs_are_named_after_the_function(path):
    def difference(first, second):
        return {"sum": first["a"] + second, "parts": (first["b"], second)}

    x = floats(2, 3)
    export_onnx(difference, {"a": x, "b": x}, x, path=path)
    runner = session(path)
    assert [i.name for i in runner.get_inputs()] == ["first.a", "first.b", "second"]
    names = [o.name for o in runner.get_outputs()]
    assert names == ["output.parts.0", "output.parts.1", "output.sum"]


CONTROL = {
    "while": lambda x: pb.while_loop(lambda s: np.sum(s) < 90.0, lambda s: s * 2, np.abs(x)),
    "fori": lambda x: pb.fori_loop(0, 5, lambda i, s: s * 1.5 + i.astype(s.dtype), x),
    "cond": lambda x: pb.cond(np.sum(x) > 0, lambda x: 2 * x, lambda x: x - 1, x),
    "switch": lambda x: pb.switch(
        np.argmax(x[:, 0]) % 3, [lambda x: x, lambda x: -x, lambda x: x * 3], x
    ),
    "reverse": lambda x: pb.scan(
        lambda c, row: (c + row, c * row), np.zeros(3, np.float32), x, reverse=True
    ),
    "nested": lambda x: pb.scan(
        lambda c, row: (pb.cond(np.sum(c) > 0, lambda c: c - row, lambda c: c + row, c), row[0]),
        np.zeros(3, np.float32), x,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTROL)
def test_loops_and_choices_compute_the_same(name, path):
    batches = [(floats(4, 3),), (floats(4, 3),), (-floats(4, 3),)]
    assert exported_agrees(CONTROL[name], *batches, path=path, dynamic_batch=False)


def test_a_loop_over_a_batch_of_any_size(path):
    def running(x):
        return pb.scan(lambda c, row: (c + row, c), np.zeros(3, np.float32), x)

    assert exported_agrees(running, *[(floats(n, 3),) for n in (2, 6)], path=path)


INDEXING = {
    "slices": lambda x: (x[1:], x[::-1], x[:, 1:-1:2], x[-1], x[..., None, 0], x[:1, 2:3]),
    "arrays": lambda x: (x[:, np.array([0, 2, 2])], x[:, [0, 1], [2, 3]], x[:, :, [0, -1]]),
    "apart": lambda x: x[:, None][[0, 1], :, [0, 2]],
    "sorting": lambda x: (np.sort(x, axis=0), np.argsort(-x, axis=1), np.sort(x, axis=None)),
    "choosing": lambda x: np.take_along_axis(x, np.argmax(x, axis=1, keepdims=True), 1),
    "means": lambda x: (np.mean(x, axis=0), np.std(x), np.cumsum(x, axis=0)),
    "last": lambda x: (x[len(x) - 1], x[len(x) - 1, np.array([0, 2])], x[: len(x) - 1]),
    "rolling": lambda x: (np.roll(x, 4, axis=0), np.roll(x, (-1, 7), axis=(0, 2)), x - x.mean(0)),
    "joining": lambda x: np.concatenate([x, 2 * x[:1], np.roll(x, 1, axis=0)]),
    "reshaping": lambda x: (np.reshape(x, (-1, 2)), np.ravel(x), np.tile(x, (2, 1, 1)), x.T),
    "einsum": lambda x: np.einsum("bij,bkj->bik", x, x),
}


@pytest.mark.parametrize("name", INDEXING)
def test_lengths_follow_the_batch(name, path):
    batches = [(floats(n, 3, 4),) for n in (2, 3, 5)]
    assert exported_agrees(INDEXING[name], *batches, path=path)


def test_assignment_is_exported(path):
    def assigned(x, rows):
        y = x.copy()
        y[rows] = 0.5
        y[:, 1] += x[:, 0]
        return y

    x, rows = floats(4, 3), np.array([2, 0])
    assert exported_agrees(assigned, (x, rows), path=path, dynamic_batch=False)


@pytest.mark.parametrize("padding", ["same", 0])
def test_gradient_graphs_are_exported(padding, path):
    model = nn.Sequential(
        [nn.Conv2d.create(KEY, 2, 4, 3, strides=2, groups=2, padding=padding), nn.AvgPool2d(2)]
    )

    def loss(model, x):
        return np.sum(np.tanh(model(x)) ** 2)

    x = floats(2, 9, 9, 2)
    leaves, structure = pb.tree.flatten(model)

    def gradient(leaves, x):
        return pb.grad(loss)(pb.tree.unflatten(structure, leaves), x)

    export_onnx(gradient, leaves, x, path=path, dynamic_batch=False)
    assert agrees(run(path, *leaves, x), gradient(leaves, x))


# what cannot be exported


def test_an_operation_without_a_rule_is_named_with_its_line(path):
    def spectrum(x):
        return np.linalg.svd(x)[1]

    with pytest.raises(UnsupportedError, match=r"svd \(in .*test_onnx_export.py, line \d+\)"):
        export_onnx(spectrum, floats(3, 3), path=path)
    assert not path.exists()


def test_a_running_product_along_any_batch_is_refused(path):
    with pytest.raises(UnsupportedError, match="cumprod along a batch"):
        export_onnx(lambda x: np.cumprod(x, axis=0), floats(2, 3), path=path)


def test_transformed_functions_are_exported(path):
    model = nn.mlp(KEY, [3, 8, 2])
    x = floats(4, 3)
    for function in (pb.vmap(model), pb.compile(model), functools.partial(np.add, 1)):
        assert exported_agrees(function, (x,), path=path)


def test_complex_numbers_are_refused(path):
    with pytest.raises(DTypeError, match="complex"):
        export_onnx(lambda x: x * 1j, floats(3), path=path)


def test_what_depends_on_the_batch_in_another_way_is_refused(path):
    x = floats(2, 3)

    def weighted(x):
        return x * np.float32(np.sqrt(len(x)))

    with pytest.raises(ConfigError, match="dynamic_batch=False"):
        export_onnx(weighted, x, path=path)
    assert exported_agrees(weighted, (x,), path=path, dynamic_batch=False)


def test_arguments_without_a_batch_are_told_by_batch_axes(path):
    x, w = floats(2, 3), floats(3, 4)
    with pytest.raises(ConfigError, match="2 and 3 examples"):
        export_onnx(lambda x, w: x @ w, x, w, path=path)
    with pytest.raises(ConfigError, match=r"does not take batches of 2 .* dynamic_batch=False"):
        export_onnx(lambda x: x @ x, floats(3, 3), path=path)
    others = (floats(6, 3), w)
    assert exported_agrees(lambda x, w: x @ w, (x, w), others, path=path, batch_axes=(0, None))
    columns = ((floats(3, n), w) for n in (2, 5))
    assert exported_agrees(lambda x, w: w.T @ x, *columns, path=path, batch_axes=(1, None))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[: len(x) // 2],
        lambda x: x[: len(x) // 2 * 2],
        lambda x: x[:10],
        lambda x: np.reshape(x, (-1,))[: max(len(x), 5)],
        lambda x: x * np.linspace(0, 1, len(x), dtype=np.float32)[:, None],
        lambda x: x[0] if len(x) < 50 else x[1],
        lambda x: np.concatenate([row * 2 for row in x]),
        lambda x: list(x),
    ],
)
def test_no_length_is_taken_for_a_linear_one_by_chance(function, path):
    with pytest.raises(ConfigError, match="dynamic_batch"):
        export_onnx(function, floats(20, 3), path=path)
    assert exported_agrees(function, (floats(20, 3),), path=path, dynamic_batch=False)


@pytest.mark.parametrize(
    ("option", "value"),
    [("opset", 12), ("batch_axes", 3), ("notes", {"n": 1}), ("notes", {"pullback.state": "[]"})],
)
def test_options_are_validated(option, value, path):
    with pytest.raises(ConfigError, match=option):
        export_onnx(nn.mlp(KEY, [3, 1]), floats(2, 3), path=path, **{option: value})


def test_without_the_package_an_error_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r'pip install "pullback\[onnx\]"'):
        export_onnx(nn.mlp(KEY, [3, 1]), floats(2, 3), path=path)
