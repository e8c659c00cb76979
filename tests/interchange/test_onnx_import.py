"""ONNX models as modules: ours and PyTorch's, called, trained and written again; bad files."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from onnx_running import RNG, agrees, floats, run, session, write

import pullback as pb
from pullback import nn, optim
from pullback.core.errors import DTypeError, FormatError, ShapeError, UnsupportedError
from pullback.interchange import export_onnx, import_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `onnx`)")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")
from onnx import TensorProto, helper  # noqa: E402

KEY = pb.random.key(0)


IMAGES = [floats(n, 12, 12, 3) for n in (2, 5)]
SEQUENCES = [floats(n, 7, 3) for n in (2, 5)]
TOKENS = [RNG.integers(0, 20, (n, 8)) for n in (2, 5)]
ROUND_TRIPS = {
    "MLP": (nn.mlp(KEY, [3, 8, 2]), SEQUENCES),
    "convolutions": (
        nn.Sequential([
            nn.Conv2d.create(KEY, 3, 6, 3, strides=2, padding="same", groups=3), nn.MaxPool2d(2),
            nn.ConvTranspose2d.create(KEY, 6, 4, 3, strides=2, output_padding=1), nn.AvgPool2d(3),
        ]),
        IMAGES,
    ),
    "ResNet": (nn.resnet(KEY, 10, widths=(4, 8), blocks=1), IMAGES),
    "GPT": (nn.gpt(KEY, 20, 8, features=16, heads=2, layers=2), TOKENS),
    "LSTM": (nn.LSTM.create(KEY, 3, 5, layers=2, bidirectional=True), SEQUENCES),
    "GRU": (nn.GRU.create(KEY, 3, 5, returns="last"), SEQUENCES),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_was_exported_comes_back(name, path):
    model, batches = ROUND_TRIPS[name]
    same = import_onnx(export_onnx(model, batches[0], path=path))
    for ours, theirs in zip(nn.partition(model), nn.partition(same), strict=True):
        assert len(pb.tree.leaves(ours)) == len(pb.tree.leaves(theirs))
    for x in batches:
        assert agrees([same(x)], model(x))
        assert agrees([pb.compile(same)(x)], model(x))


LOOPS = {
    "while": lambda x: pb.while_loop(lambda s: np.sum(s) < 90.0, lambda s: s * 2, np.abs(x)),
    "cond": lambda x: pb.cond(np.sum(x) > 0, lambda x: 2 * x, lambda x: x - 1, x),
    "reverse": lambda x: pb.scan(
        lambda c, row: (c + row, c * row), np.zeros(3, np.float32), x, reverse=True
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_choices_come_back(name, path):
    x, function = floats(4, 3), LOOPS[name]
    same = import_onnx(export_onnx(function, x, path=path, dynamic_batch=False))
    results = same(x)
    assert agrees(results if isinstance(results, tuple) else [results], function(x))
    graph = pb.trace(same, x)
    assert agrees(pb.tree.leaves(graph(x)), function(x))


def test_gradients_of_what_comes_back_are_the_same(path):
    model, x = nn.mlp(KEY, [3, 8, 2], activation="tanh"), floats(4, 3)
    same = import_onnx(export_onnx(model, x, path=path))

    def loss(model):
        return np.sum(model(x) ** 2)

    ours, theirs = pb.grad(loss)(model), pb.grad(loss)(same).parameters
    for i, layer in enumerate(model.layers):
        if isinstance(layer, nn.Linear):
            expected = ours.layers[i].weight
            np.testing.assert_allclose(theirs[f"layers.{i}.weight"], expected, rtol=1e-5, atol=1e-6)


def test_an_imported_model_is_trained_and_written_again(path):
    x = floats(64, 3)
    t = np.tanh(x @ floats(3, 2))
    model = import_onnx(export_onnx(nn.mlp(KEY, [3, 16, 2]), x, path=path))
    optimizer = optim.adam(1e-2)

    def loss(model, x, t):
        return nn.mean_squared_error(model(x), t)

    @pb.compile
    def step(model, state):
        value, gradient = pb.value_and_grad(loss)(model, x, t)
        model, state = optimizer.update(gradient, state, model)
        return model, state, value

    state, first = optimizer.init(model), loss(model, x, t)
    for _ in range(200):
        model, state, value = step(model, state)
    assert value < first / 10
    export_onnx(model, x, path=path)
    assert agrees(run(path, x), model(x))
    again = import_onnx(path)
    assert again.parameters.keys() == model.parameters.keys()


def test_running_statistics_are_state_and_not_trained(path):
    def norm(x, scale, bias, mean, variance):
        return helper.make_node("BatchNormalization", [x, scale, bias, mean, variance], ["y"])

    names = ["scale", "bias", "mean", "variance"]
    arrays = [np.abs(floats(3)) for _ in names]
    x = floats(2, 3, 4, 4)
    write([norm("x", *names)], path, {"x": x}, dict(zip(names, arrays, strict=True)), ndim=4)
    model = import_onnx(path)
    assert (sorted(model.parameters), sorted(model.statistics)) == (
        ["bias", "scale"],
        ["mean", "variance"],
    )
    assert agrees([model(x)], run(path, x)[0])
    assert nn.partition(model)[0].statistics == {"mean": None, "variance": None}


# PyTorch


def torch_models(torch):
    from torch import nn as tn

    class Recurrent(tn.Module):
        def __init__(self, kind):
            super().__init__()
            self.layers = kind(3, 5, 2, batch_first=True, bidirectional=True)
            self.head = tn.Linear(10, 2)

        def forward(self, x):
            return self.head(self.layers(x)[0][:, -1])

    class Gpt(tn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = tn.Embedding(11, 16)
            self.block = tn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
            self.head = tn.Linear(16, 11)

        def forward(self, x):
            mask = tn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.head(self.block(self.embedding(x), src_mask=mask))

    class Residual(tn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = tn.Conv2d(3, 3, 3, padding=1), tn.BatchNorm2d(3)

        def forward(self, x):
            return torch.relu(self.norm(self.conv(x)) + x)

    image, sequence = torch.randn(2, 3, 16, 16), torch.randn(2, 6, 3)
    return {
        "LeNet": (
            tn.Sequential(
                tn.Conv2d(3, 6, 5, padding=2), tn.Tanh(), tn.AvgPool2d(2), tn.Conv2d(6, 16, 5),
                tn.ReLU(), tn.MaxPool2d(2), tn.Flatten(), tn.Linear(64, 10), tn.Softmax(-1),
            ),
            image,
        ),
        "ResNet": (
            tn.Sequential(Residual(), tn.AdaptiveAvgPool2d(1), tn.Flatten(), tn.Linear(3, 2)),
            image,
        ),
        "norms": (
            tn.Sequential(
                tn.GroupNorm(1, 3), tn.InstanceNorm2d(3, affine=True), tn.SiLU(), tn.PReLU(),
                tn.ConvTranspose2d(3, 4, 3, stride=2, padding=1), tn.LayerNorm(31), tn.GELU(),
            ),
            image,
        ),
        "GPT": (Gpt(), torch.randint(0, 11, (2, 7))),
        "LSTM": (Recurrent(tn.LSTM), sequence),
        "GRU": (Recurrent(tn.GRU), sequence),
        "RNN": (Recurrent(tn.RNN), sequence),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["LeNet", "ResNet", "norms", "GPT", "LSTM", "GRU", "RNN"])
def test_models_of_torch_are_imported(name, torch, path):
    torch.manual_seed(0)
    model, x = torch_models(torch)[name]
    model.eval()
    with redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (x,), path, dynamo=False)
    imported = import_onnx(path)
    expected = model(x).detach().numpy()
    assert agrees([imported(x.numpy())], expected)
    assert agrees([pb.compile(imported)(x.numpy())], run(path, x.numpy())[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_new_exporter_of_torch_keeps_weights_beside_the_model(torch, path):
    pytest.importorskip("onnxscript", reason="torch's new exporter needs onnxscript")
    model, x = torch_models(torch)["LeNet"]
    with redirect_stdout(io.StringIO()):
        torch.onnx.export(model.eval(), (x,), path, dynamo=True, external_data=True)
    assert path.with_name(path.name + ".data").exists()
    assert agrees([import_onnx(path)(x.numpy())], model(x).detach().numpy())


# operators that the exporter does not write


@pytest.mark.parametrize("inward", [[0, 1], [1, 1], [1, 0]])
@pytest.mark.parametrize("outward", [{}, {"scan_output_directions": [1]}])
def test_a_scan_in_both_directions_and_on_other_axes(inward, outward, path):
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "a"], ["t"]), helper.make_node("Mul", ["t", "b"], ["z"])],
        "body",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in "sab"],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in "tz"],
    )
    node = helper.make_node(
        "Scan", ["s0", "a0", "b0"], ["last", "y"], body=body, num_scan_inputs=2,
        scan_input_axes=[1, 0], scan_input_directions=inward, **outward,
    )  # fmt: skip
    arrays = {"s0": floats(3), "a0": floats(3, 5), "b0": floats(5, 3)}
    model = import_onnx(write([node], path, arrays))
    (expected,) = run(path, *arrays.values())
    assert agrees([model(*arrays.values())], expected)


def test_a_loop_that_counts_and_stacks(path):
    """s, s + x, ... while the count is below n."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["s", "x"], ["t"]),
            helper.make_node("Identity", ["s"], ["row"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, [3]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, [3]),
            helper.make_tensor_value_info("row", TensorProto.FLOAT, [3]),
        ],
    )
    node = helper.make_node("Loop", ["n", "", "x"], ["last", "y"], body=body)
    x = floats(3)
    model = import_onnx(write([node], path, {"x": x}, {"n": np.array(4)}))
    assert agrees([model(x)], run(path, x)[0])
    assert agrees([pb.trace(model, x)(x)], x * np.arange(1, 5, dtype=np.float32)[:, None])


@pytest.mark.parametrize("before_reset", [0, 1])
def test_gru_of_both_kinds_with_lengths(before_reset, path):
    node = helper.make_node(
        "GRU", ["x", "W", "R", "B", "lengths"], ["y"], hidden_size=4, direction="bidirectional",
        linear_before_reset=before_reset,
    )  # fmt: skip
    weights = {"W": floats(2, 12, 3), "R": floats(2, 12, 4), "B": floats(2, 24)}
    x, lengths = floats(5, 2, 3), np.array([5, 3], np.int32)
    model = import_onnx(write([node], path, {"x": x, "lengths": lengths}, weights, ndim=4))
    assert agrees([model(x, lengths)], run(path, x, lengths)[0])


# what is refused


def test_words_that_are_the_default_are_accepted(path):
    gates = ["Sigmoid", "Tanh", "Tanh"]
    weights = {"W": floats(1, 16, 3), "R": floats(1, 16, 4)}
    node = helper.make_node("LSTM", ["x", "W", "R"], ["y"], hidden_size=4, activations=gates)
    x = floats(5, 2, 3)
    model = import_onnx(write([node], path, {"x": x}, weights, ndim=4))
    assert agrees([model(x)], run(path, x)[0])
    other = helper.make_node("Pad", ["x", "p"], ["y"], mode="mirror")
    write([other], path, {"x": x}, {"p": np.zeros(6, np.int64)}, ndim=3)
    with pytest.raises(UnsupportedError, match="Pad with mode=mirror"):
        import_onnx(path)


def test_all_unknown_operators_are_listed(path):
    nodes = [
        helper.make_node("NonZero", ["x"], ["a"]),
        helper.make_node("Bernoulli", ["x"], ["b"]),
        helper.make_node("FusedMatMul", ["x", "x"], ["c"], domain="com.microsoft"),
        helper.make_node("LSTM", ["x", "x", "x"], ["y"], hidden_size=3, clip=1.0),
    ]
    domains = [helper.make_opsetid("com.microsoft", 1)]
    write(nodes, path, {"x": floats(2, 3)}, domains=domains)
    with pytest.raises(UnsupportedError) as error:
        import_onnx(path)
    assert "Bernoulli, LSTM with clip, NonZero, com.microsoft.FusedMatMul" in str(error.value)


@pytest.mark.parametrize("opset", [9, 12, 99])
def test_other_operator_sets_are_refused(opset, path):
    write([helper.make_node("Relu", ["x"], ["y"])], path, {"x": floats(2)}, opset=opset)
    with pytest.raises((UnsupportedError, FormatError), match=r"operator set|not a valid"):
        import_onnx(path)


def test_inputs_are_checked_against_what_the_model_declares(path):
    model = import_onnx(export_onnx(nn.mlp(KEY, [3, 8, 2]), floats(1, 3), path=path))
    with pytest.raises(DTypeError, match=r"x: expected float32, got float64; write x.astype"):
        model(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"x: expected shape \('\?', 3\), got \(2, 4\)"):
        model(floats(2, 4))
    with pytest.raises(ShapeError, match=r"expected 1 inputs \(x\), got 2"):
        model(floats(2, 3), floats(2, 3))


def test_trained_models_run_in_onnxruntime_with_the_names_of_the_function(path):
    export_onnx(nn.mlp(KEY, [3, 8, 2]), floats(1, 3), path=path)
    runner = session(path)
    assert [i.name for i in runner.get_inputs()] == ["x"]
    assert repr(import_onnx(path)) == "OnnxModel(x; 4 parameters of 50 numbers)"
