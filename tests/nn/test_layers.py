from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, random
from pullback.core import pytree
from pullback.core.errors import ConfigError, ShapeError


def test_linear_is_x_w_plus_b_for_rows_and_for_one_sample() -> None:
    layer = nn.Linear(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([10.0, 20.0]))
    np.testing.assert_array_equal(layer(np.array([[1.0, 1.0], [0.0, 1.0]])), [[14, 26], [13, 24]])
    np.testing.assert_array_equal(layer(np.array([1.0, 1.0])), [14, 26])
    np.testing.assert_array_equal(layer(np.ones((2, 5, 2)))[1, 3], [14, 26])


def test_linear_without_bias_has_one_parameter() -> None:
    layer = nn.Linear.create(random.key(0), 3, 2, bias=False)
    assert layer.bias is None
    np.testing.assert_array_equal(layer(np.eye(3, dtype=np.float32)), layer.weight)


def test_create_draws_weights_by_init_and_zero_biases() -> None:
    layer = nn.Linear.create(random.key(3), 4, 5, init=nn.init.he_normal, dtype=np.float64)
    expected = nn.init.he_normal(random.key(3), (4, 5), 4, 5, np.float64)
    np.testing.assert_array_equal(layer.weight, expected)
    assert layer.weight.dtype == layer.bias.dtype == np.float64
    assert not layer.bias.any()


def test_wrong_input_names_the_layer_expected_and_got() -> None:
    model = nn.mlp(random.key(0), [4, 8, 2])
    with pytest.raises(ShapeError, match=r"layers\[0\]: Linear\(4 -> 8\): x: expected shape") as e:
        model(np.ones((3, 5)))
    assert "(..., 4), got (3, 5)" in str(e.value)
    with pytest.raises(ShapeError, match=r"Linear\(4 -> 8\): x: .*got \(\)"):
        model[0](np.float64(1.0))
    broken = nn.Sequential([model[0], nn.replace(model[0])])
    with pytest.raises(ShapeError, match=r"layers\[1\]: Linear\(4 -> 8\)"):
        broken(np.ones((3, 4)))


def test_weights_that_do_not_fit_are_refused_at_creation() -> None:
    with pytest.raises(ShapeError, match=r"weight: expected shape \(fan_in, fan_out\), got \(3,\)"):
        nn.Linear(np.ones(3))
    with pytest.raises(ShapeError, match=r"bias: expected shape \(2,\).*got \(3,\)"):
        nn.Linear(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ConfigError, match="fan_out: expected a whole number of 1 or more, got 0"):
        nn.Linear.create(random.key(0), 3, 0)


def test_sequential_takes_modules_only_and_indexes_them() -> None:
    model = nn.mlp(random.key(0), [2, 3, 1], activation="tanh")
    assert len(model) == 3
    assert [type(layer).__name__ for layer in model] == ["Linear", "Activation", "Linear"]
    with pytest.raises(ConfigError, match=r"layers\[1\]: expected a Module, got ufunc"):
        nn.Sequential([model[0], np.tanh])


def test_mlp_computes_the_layered_function() -> None:
    model = nn.mlp(random.key(1), [3, 5, 4, 2], activation="sigmoid", output="softmax")
    x = np.random.default_rng(0).normal(size=(6, 3))
    h = x
    for i in (0, 2):
        h = 1 / (1 + np.exp(-(h @ model[i].weight + model[i].bias)))
    z = np.exp(h @ model[4].weight + model[4].bias)
    np.testing.assert_allclose(model(x), z / z.sum(axis=1, keepdims=True), rtol=1e-6)


def test_mlp_chooses_he_for_rectifiers_and_glorot_otherwise() -> None:
    subkey = random.split(random.key(0), 2)[0]
    weight = nn.mlp(random.key(0), [6, 3, 1])[0].weight
    np.testing.assert_array_equal(weight, nn.init.he_uniform(subkey, (6, 3), 6, 3))
    weight = nn.mlp(random.key(0), [6, 3, 1], activation="tanh")[0].weight
    np.testing.assert_array_equal(weight, nn.init.glorot_uniform(subkey, (6, 3), 6, 3))


def test_mlp_options_reach_every_layer() -> None:
    model = nn.mlp(random.key(0), [2, 3, 1], bias=False, dtype=np.float64, init=nn.init.zeros)
    leaves = pytree.leaves(model)
    assert [(leaf.shape, leaf.dtype) for leaf in leaves] == [
        ((2, 3), np.float64),
        ((3, 1), np.float64),
    ]
    assert not any(leaf.any() for leaf in leaves)
    with pytest.raises(ConfigError, match=r"sizes: .*got \[4\]"):
        nn.mlp(random.key(0), [4])
    with pytest.raises(ConfigError, match=r"activation: expected one of sigmoid.*got 'swash'"):
        nn.mlp(random.key(0), [4, 2], activation="swash")


def test_the_backward_equations_of_a_dense_layer() -> None:
    """dL/dW = X^T delta, dL/db = delta^T 1, dL/dX = delta W^T."""
    rng = np.random.default_rng(0)
    layer = nn.Linear(rng.normal(size=(3, 2)), rng.normal(size=2))
    x, delta = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    _, pull = pb.vjp(lambda layer, x: layer(x), layer, x)
    gradient, dx = pull(delta)
    np.testing.assert_allclose(gradient.weight, x.T @ delta, rtol=1e-14)
    np.testing.assert_allclose(gradient.bias, delta.T @ np.ones(5), rtol=1e-14)
    np.testing.assert_allclose(dx, delta @ layer.weight.T, rtol=1e-14)


@pytest.mark.parametrize(
    ("layer", "sizes", "message"),
    [
        (nn.Linear, (784, 10), r"Linear.create\(key, fan_in, fan_out\)"),
        (nn.Conv2d, (3, 8, 3), r"Conv2d.create\(key, inputs, outputs, size\)"),
        (nn.BatchNorm, (32,), r"BatchNorm.create\(channels\)"),
        (nn.Embedding, (9, 4), r"Embedding.create\(key, count, features\)"),
        (nn.LSTM, (3, 4), r"LSTM.create\(key, inputs, hidden\)"),
        (nn.Dropout, (0.5,), r"Dropout.create\(random.key\(0\), rate\)"),
    ],
)
def test_sizes_in_the_place_of_arrays_lead_to_create(layer, sizes, message) -> None:
    with pytest.raises(ConfigError, match=f"Write {message}"):
        layer(*sizes)


def test_a_static_first_field_may_be_a_number() -> None:
    class Power(nn.Module):
        exponent: int = nn.static()

        @classmethod
        def create(cls) -> Power:
            return cls(2)

        def __call__(self, x: Any) -> Any:
            return x**self.exponent

    assert Power.create()(3.0) == 9.0


def test_a_first_field_of_state_and_an_init_of_ones_own_take_numbers() -> None:
    class Counter(nn.Module):
        calls: int = nn.state()

        @classmethod
        def create(cls) -> Counter:
            return cls(0)

    class Scale(nn.Module):
        factors: Any

        def __init__(self, size: int) -> None:
            object.__setattr__(self, "factors", np.ones(size))

        @classmethod
        def create(cls) -> Scale:
            return cls(3)

    assert Counter.create().calls == 0
    assert Scale.create().factors.shape == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear.create(random.key(0), 2.5, 3), "fan_in: expected a whole number"),
        (lambda: nn.Linear.create(3, 4, random.key(0)), "fan_out: expected a whole number"),
        (lambda: nn.mlp(random.key(0), "32"), "fan_in: expected a whole number .* got '3'"),
        (lambda: nn.mlp(random.key(0), [4, 4, 2], ["relu"]), "activation: expected one of"),
        (lambda: nn.Sequential(nn.Activation("relu"), nn.Flatten()), "layers: expected a list"),
        (lambda: nn.Sequential(nn.Activation("relu")), "layers: expected a list"),
        (lambda: nn.Sequential(nn.Flatten() for _ in range(2)), "layers: expected a list"),
        (lambda: nn.Reshape((-1,)), r"shape: expected a whole number of 1 or more, got \(-1,\)"),
        (lambda: nn.Dropout.create(random.key(0), "much"), "rate: expected a number"),
    ],
)
def test_arguments_that_make_no_layer_are_named(make, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
