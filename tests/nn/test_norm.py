"""Normalisation: that of PyTorch, its running statistics included; derivatives; errors."""

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, ShapeError

RNG = np.random.default_rng(0)
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def drawn(layer):
    return pb.tree.map(lambda leaf: RNG.uniform(0.5, 2, leaf.shape), layer)


def first(a):
    return np.moveaxis(a, -1, 1).copy()


LAYERS = {
    "LayerNorm": (nn.LayerNorm.create(4), (3, 5, 4), ("LayerNorm", (4,))),
    "LayerNorm of two axes": (nn.LayerNorm.create((5, 4)), (3, 5, 4), ("LayerNorm", ((5, 4),))),
    "RMSNorm": (nn.RMSNorm.create(4), (3, 5, 4), ("RMSNorm", (4, 1e-6))),
    "GroupNorm": (
        nn.GroupNorm.create(2, 4, layout="channels_first"), (3, 4, 5, 2), ("GroupNorm", (2, 4))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_state_are_those_of_torch(torch, name):
    layer, shape, (their_name, args) = LAYERS[name]
    layer, x = drawn(layer), RNG.normal(size=shape)
    module = getattr(torch.nn, their_name)(*args, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(layer.weight))
        if their_name != "RMSNorm":
            module.bias.copy_(torch.tensor(layer.bias))
    leaf = torch.tensor(x, requires_grad=True)
    expected = module(leaf)
    ct = RNG.normal(size=shape)
    expected.backward(torch.tensor(ct))
    y, pull = pb.vjp(lambda layer, x: layer(x), layer, x)
    gradient, dx = pull(ct)
    np.testing.assert_allclose(y, expected.detach(), **CLOSE)
    np.testing.assert_allclose(dx, leaf.grad, **CLOSE)
    np.testing.assert_allclose(gradient.weight, module.weight.grad, **CLOSE)
    pb.check_grads(lambda layer, x: layer(x), (layer, x), order=2, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(pb.compile(layer)(x), y, rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 3), (2, 4, 5, 3)])
def test_batch_norm_trains_and_evaluates_as_that_of_torch(torch, shape):
    parameters, state = nn.partition(nn.BatchNorm.create(3, momentum=0.3, dtype=np.float64))
    layer = nn.combine(drawn(parameters), state)
    module = getattr(torch.nn, f"BatchNorm{max(len(shape) - 2, 1)}d")(
        3, momentum=0.3, dtype=torch.float64
    )
    with torch.no_grad():
        module.weight.copy_(torch.tensor(layer.weight))
        module.bias.copy_(torch.tensor(layer.bias))
    for _ in range(3):
        x = RNG.normal(size=shape) * 2 + 1
        leaf = torch.tensor(first(x), requires_grad=True)
        expected = module(leaf)
        ct = RNG.normal(size=shape)
        expected.backward(torch.tensor(first(ct)))
        y, after = nn.training_call(layer, x)
        _, pull = pb.vjp(lambda x, layer=layer: nn.training_call(layer, x)[0], x)
        np.testing.assert_allclose(first(y), expected.detach(), **CLOSE)
        np.testing.assert_allclose(first(pull(ct)[0]), leaf.grad, **CLOSE)
        layer = after
        np.testing.assert_allclose(layer.running_mean, module.running_mean, **CLOSE)
        np.testing.assert_allclose(layer.running_variance, module.running_var, **CLOSE)
    module.eval()
    np.testing.assert_allclose(first(layer(x)), module(torch.tensor(first(x))).detach(), **CLOSE)
    pb.check_grads(lambda x: nn.training_call(layer, x)[0], (x,), order=2, atol=1e-4, rtol=1e-4)


def test_what_does_not_fit_is_named():
    with pytest.raises(ShapeError, match=r"LayerNorm\(4\): x: expected shape \(\.\.\., 4\), got"):
        nn.LayerNorm.create(4)(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"BatchNorm\(3\): x: expected shape \(n, \.\.\., 3\)"):
        nn.BatchNorm.create(3)(np.ones((2, 4)))
    with pytest.raises(ShapeError, match="2 values or more for each channel"):
        nn.training_call(nn.BatchNorm.create(3), np.ones((1, 3)))
    with pytest.raises(ConfigError, match="groups: expected a divisor of 4 channels, got 3"):
        nn.GroupNorm.create(3, 4)
    with pytest.raises(ConfigError, match="momentum"):
        nn.BatchNorm.create(3, momentum=2)
    with pytest.raises(ConfigError, match="rate"):
        nn.Dropout.create(pb.random.key(0), 1.0)


def test_dropout_keeps_the_mean_and_the_share():
    x = np.ones(20_000)
    y = nn.dropout(x, pb.random.key(3), 0.3)
    assert abs(y.mean() - 1) < 0.02
    assert abs((y == 0).mean() - 0.3) < 0.02
    gradient = pb.grad(lambda x: np.sum(nn.dropout(x, pb.random.key(3), 0.3)))(x)
    np.testing.assert_array_equal(gradient, y)
