"""Convolution and pooling layers: against PyTorch, in both layouts, compiled, with named errors."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, ShapeError


def first(a):
    """Channels after the samples, as PyTorch has them."""
    return np.moveaxis(a, -1, 1)


def drawn(layer, rng):
    return pb.tree.map(lambda leaf: rng.normal(size=leaf.shape), layer)


def of_torch(torch, layer, x, **options):
    """The layer of PyTorch with the weights of ours, and its input."""
    name = type(layer).__name__
    size = layer.weight.shape[:-2]
    a, b = layer.weight.shape[-2] * layer.groups, layer.weight.shape[-1]
    inputs, outputs = (b, a) if "Transpose" in name else (a, b)
    module = getattr(torch.nn, name)(
        inputs, outputs, size, layer.strides, layer.padding, dilation=layer.dilation,
        groups=layer.groups, bias=layer.bias is not None, dtype=torch.float64, **options,
    )  # fmt: skip
    with torch.no_grad():
        module.weight.copy_(torch.tensor(np.moveaxis(layer.weight, (-1, -2), (0, 1)).copy()))
        if layer.bias is not None:
            module.bias.copy_(torch.tensor(layer.bias))
    return module, torch.tensor(first(x).copy(), requires_grad=True)


KEY = pb.random.key(0)
CONVOLUTIONS = {
    "sequence": (nn.Conv1d.create(KEY, 3, 4, 3, strides=2, padding=1), (2, 9, 3)),
    "dilated sequence": (nn.Conv1d.create(KEY, 2, 4, 2, dilation=3, bias=False), (2, 9, 2)),
    "same": (nn.Conv1d.create(KEY, 3, 4, 3, padding="same", dilation=2), (2, 7, 3)),
    "image": (nn.Conv2d.create(KEY, 3, 4, 3, padding=1), (2, 6, 5, 3)),
    "strided image": (nn.Conv2d.create(KEY, 2, 4, (3, 2), strides=(2, 1)), (2, 7, 6, 2)),
    "groups": (nn.Conv2d.create(KEY, 4, 6, 3, groups=2, dilation=(1, 2)), (1, 6, 7, 4)),
    "depthwise same": (nn.Conv2d.create(KEY, 3, 3, 3, groups=3, padding="same"), (1, 5, 5, 3)),
    "transposed sequence": (nn.ConvTranspose1d.create(KEY, 3, 4, 3, strides=2), (2, 5, 3)),
    "transposed image": (
        nn.ConvTranspose2d.create(KEY, 4, 2, (3, 4), strides=2, padding=(1, 0), groups=2),
        (2, 4, 3, 4),
    ),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_and_their_gradients_are_those_of_torch(torch, case):
    layer, shape = CONVOLUTIONS[case]
    rng = np.random.default_rng(0)
    layer, x = drawn(layer, rng), rng.normal(size=shape)
    y, pull = pb.vjp(lambda layer, x: layer(x), layer, x)
    ct = rng.normal(size=y.shape)
    gradient, dx = pull(ct)
    module, leaf = of_torch(torch, layer, x)
    out = module(leaf)
    out.backward(torch.tensor(first(ct).copy()))
    close = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(first(y), out.detach(), **close)
    np.testing.assert_allclose(first(dx), leaf.grad, **close)
    found = np.moveaxis(gradient.weight, (-1, -2), (0, 1))
    np.testing.assert_allclose(found, module.weight.grad, **close)
    if layer.bias is not None:
        np.testing.assert_allclose(gradient.bias, module.bias.grad, **close)


def test_output_padding_chooses_the_size_of_a_transposed_convolution(torch):
    rng = np.random.default_rng(1)
    layer = nn.ConvTranspose2d.create(KEY, 3, 2, 3, strides=2, padding=1, output_padding=(1, 0))
    layer, x = drawn(layer, rng), rng.normal(size=(2, 4, 5, 3))
    module, leaf = of_torch(torch, layer, x, output_padding=(1, 0))
    assert layer(x).shape == (2, 8, 9, 2)
    np.testing.assert_allclose(first(layer(x)), module(leaf).detach(), rtol=1e-12, atol=1e-12)
    with pytest.raises(ConfigError, match=r"output_padding: .* less than strides"):
        nn.replace(layer, output_padding=2)(x)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_derivatives_to_second_order_tracing_vmap_and_machine_code_agree(case):
    layer, shape = CONVOLUTIONS[case]
    rng = np.random.default_rng(2)
    layer, x = drawn(layer, rng), rng.normal(size=shape)

    def f(layer, x):
        return np.sum(np.sin(layer(x)))

    pb.check_grads(f, (layer, x), order=2, atol=1e-4, rtol=1e-4)
    expected = pb.tree.leaves(pb.grad(f, (0, 1))(layer, x))
    for other in (pb.trace(pb.grad(f, (0, 1)), layer, x), pb.compile(pb.grad(f, (0, 1)))):
        for a, b in zip(pb.tree.leaves(other(layer, x)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    single = pb.vmap(layer)(x)  # without the axis of samples
    np.testing.assert_allclose(single, layer(x), rtol=1e-11, atol=1e-12)
    each = pb.vmap(pb.grad(f), (None, 0))(layer, x)
    total = pb.grad(f)(layer, x)
    for a, b in zip(pb.tree.leaves(each), pb.tree.leaves(total), strict=True):
        np.testing.assert_allclose(a.sum(axis=0), b, rtol=1e-9, atol=1e-10)


def test_the_backward_equations_are_those_of_a_dense_layer_of_windows():
    """delta: dL/dW = X^T delta, dL/db = 1^T delta, dL/dx = fold(delta W^T)."""
    rng = np.random.default_rng(3)
    layer = drawn(nn.Conv2d.create(KEY, 2, 3, (2, 3)), rng)
    x, delta = rng.normal(size=(2, 5, 6, 2)), rng.normal(size=(2, 4, 4, 3))
    _, pull = pb.vjp(lambda layer, x: layer(x), layer, x)
    gradient, dx = pull(delta)

    views = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(1, 2))
    rows = np.moveaxis(views, 3, -1).reshape(-1, 2 * 3 * 2)  # the windows, one in each row
    deltas = delta.reshape(-1, 3)
    weight = layer.weight.reshape(-1, 3)
    np.testing.assert_allclose(layer(x).reshape(-1, 3), rows @ weight + layer.bias)
    np.testing.assert_allclose(gradient.weight.reshape(-1, 3), rows.T @ deltas)
    np.testing.assert_allclose(gradient.bias, np.ones(len(deltas)) @ deltas)
    back = (deltas @ weight.T).reshape(2, 4, 4, 2, 3, 2)
    folded = np.zeros_like(x)
    for i, j in np.ndindex(4, 4):
        folded[:, i : i + 2, j : j + 3] += back[:, i, j]
    np.testing.assert_allclose(dx, folded)
    transposed = nn.ConvTranspose2d(layer.weight, None)
    np.testing.assert_allclose(transposed(delta), folded)


def test_same_padding_with_strides_gives_a_result_for_each_stride():
    for n in range(1, 12):
        for size, stride, dilation in [(3, 2, 1), (2, 3, 1), (4, 2, 2), (1, 4, 1)]:
            layer = nn.Conv1d(np.ones((size, 1, 1)), None, stride, "same", dilation)
            assert layer(np.ones((1, n, 1))).shape == (1, -(-n // stride), 1)


POOLS = {
    "MaxPool1d": ({"size": 3, "strides": 2, "padding": 1}, (2, 9, 3)),
    "MaxPool2d": ({"size": (3, 2), "strides": 2, "padding": 1, "dilation": (2, 1)}, (2, 8, 7, 3)),
    "AvgPool1d": ({"size": 3, "strides": 2, "padding": 1}, (2, 9, 3)),
    "AvgPool2d": ({"size": (2, 3), "padding": (1, 1), "count_padding": False}, (2, 8, 7, 3)),
    "AdaptiveMaxPool1d": ({"size": 4}, (2, 10, 3)),
    "AdaptiveMaxPool2d": ({"size": (2, 3)}, (2, 6, 7, 2)),
    "AdaptiveAvgPool1d": ({"size": 4}, (2, 10, 3)),
    "AdaptiveAvgPool2d": ({"size": (3, 4)}, (2, 6, 7, 2)),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("ties", [False, True])
def test_pooling_and_its_gradient_are_those_of_torch(torch, name, ties):
    options, shape = POOLS[name]
    rng = np.random.default_rng(4)
    x = rng.integers(0, 3, shape).astype(float) if ties else rng.normal(size=shape)
    layer = getattr(nn, name)(**options)
    y, pull = pb.vjp(layer, x)
    names = {"size": "output_size" if "Adaptive" in name else "kernel_size", "strides": "stride"}
    names["count_padding"] = "count_include_pad"
    module = getattr(torch.nn, name)(**{names.get(k, k): v for k, v in options.items()})
    leaf = torch.tensor(first(x).copy(), requires_grad=True)
    out = module(leaf)
    ct = rng.normal(size=y.shape)
    out.backward(torch.tensor(first(ct).copy()))
    np.testing.assert_allclose(first(y), out.detach(), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(first(pull(ct)[0]), leaf.grad, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(pb.vmap(layer)(x), y)
    np.testing.assert_allclose(pb.compile(layer)(x), y, rtol=1e-13)


@pytest.mark.parametrize("name", POOLS)
def test_pooling_has_derivatives_of_second_order(name):
    options, shape = POOLS[name]
    x = np.random.default_rng(5).normal(size=shape)
    layer = getattr(nn, name)(**options)
    pb.check_grads(lambda x: np.sin(layer(x)), (x,), order=2, atol=1e-5, rtol=1e-5)


def test_both_layouts_are_accepted_and_named():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(2, 6, 5, 3))
    conv = nn.Conv2d.create(KEY, 3, 4, 3, dtype=np.float64)
    for layer in (conv, nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2), nn.BatchNorm.create(3)):
        other = nn.replace(layer, layout="channels_first")
        np.testing.assert_allclose(other(first(x)), first(layer(x)), rtol=1e-12)
    with pytest.raises(ShapeError, match=r"Conv2d\(3 -> 4\): x: expected shape \(n, height, width"):
        conv(first(x))
    with pytest.raises(ShapeError, match="Create the layer with layout='channels_first'"):
        conv(first(x))
    with pytest.raises(ConfigError, match="layout: expected 'channels_last'"):
        nn.Conv2d.create(KEY, 3, 4, 3, layout="NCHW")


def test_what_does_not_fit_names_the_layer_and_its_place():
    model = nn.Sequential([
        nn.Conv2d.create(KEY, 1, 4, 3), nn.MaxPool2d(2), nn.Conv2d.create(KEY, 4, 8, 5)
    ])  # fmt: skip
    with pytest.raises(ShapeError, match=r"layers\[2\]: Conv2d\(4 -> 8\): .*5 places .* into 3"):
        model(np.ones((1, 9, 9, 1)))
    with pytest.raises(ShapeError, match=r"MaxPool2d: x: expected shape \(n, height, width, chan"):
        nn.MaxPool2d(2)(np.ones((3, 3)))
    with pytest.raises(ShapeError, match="Conv1d: bias: expected shape"):
        nn.Conv1d(np.ones((3, 2, 4)), np.ones(2))
    with pytest.raises(ShapeError, match="Conv2d: weight: expected 2 axes of the window"):
        nn.Conv2d(np.ones((3, 2, 4)), None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d.create(KEY, 3, 4, 3, groups=2), "groups: expected a divisor of 3"),
        (lambda: nn.Conv1d.create(KEY, 3, 4, (3, 3)), "size: expected a number, or 1 of them"),
        (lambda: nn.Conv1d.create(KEY, 0, 4, 3), "inputs: expected a whole number"),
        (lambda: nn.functional.conv(np.ones((1, 3, 1)), np.ones((1, 1, 1)), padding=-1), "0 or m"),
        (lambda: nn.functional.conv(np.ones((1, 3, 1)), np.ones((1, 1, 1)), padding="full"),
         "expected 'same', 'valid'"),
        (lambda: nn.MaxPool1d(2, padding=2)(np.ones((1, 4, 1))), "at most half the window"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
