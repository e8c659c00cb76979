from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, ShapeError

CASES: dict[str, Callable[[Any], Any]] = {
    **nn.ACTIVATIONS,
    "leaky_relu_slope": partial(nn.leaky_relu, slope=0.3),
    "gelu_tanh": partial(nn.gelu, approximate=True),
    "softmax_axis0": partial(nn.softmax, axis=0),
    "softplus_beta": partial(nn.softplus, beta=3.0),
    "celu_alpha": partial(nn.celu, alpha=2.0),
}
OF_JAX = [
    "sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softplus", "softmax", "identity",
    "leaky_relu_slope", "gelu_tanh", "softmax_axis0",
]  # fmt: skip
X = np.array([[-3.2, -0.7, 0.2], [0.9, 2.5, -1.3]])


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_agree_with_central_differences(name: str) -> None:
    pb.check_grads(CASES[name], (X,), order=2, modes=("fwd", "rev"))


OF_TORCH: dict[str, str | tuple[str, dict[str, Any]]] = {
    **{name: name for name in nn.ACTIVATIONS if name != "identity"},
    "log_sigmoid": "logsigmoid",
    "gelu_tanh": ("gelu", {"approximate": "tanh"}),
    "leaky_relu_slope": ("leaky_relu", {"negative_slope": 0.3}),
    "softplus_beta": ("softplus", {"beta": 3.0}),
    "celu_alpha": ("celu", {"alpha": 2.0}),
    "glu": "glu",
    **{name: (name, {"dim": -1}) for name in ("softmax", "softmin", "log_softmax")},
}
AT_KINKS = np.array([[-1.0, 0.0, 1.0, 6.0], [0.0, 0.0, 1.0, 2.0]])


@pytest.mark.parametrize("name", OF_TORCH)
def test_values_and_gradients_equal_those_of_torch(torch: Any, name: str) -> None:
    named = OF_TORCH[name]
    their_name, options = named if isinstance(named, tuple) else (named, {})
    ours = {**CASES, "glu": nn.glu}[name]
    theirs = getattr(torch.nn.functional, their_name)
    for points in (np.random.default_rng(4).normal(size=(3, 4)) * 3, AT_KINKS):
        leaf = torch.tensor(points, requires_grad=True)
        expected = theirs(leaf, **options)
        weights = np.random.default_rng(3).normal(size=expected.shape)
        (expected * torch.tensor(weights)).sum().backward()
        value, pull = pb.vjp(ours, points)
        np.testing.assert_allclose(value, expected.detach(), rtol=1e-12, atol=1e-14)
        rtol = 1e-7 if name == "hardsigmoid" else 1e-10  # where PyTorch takes 1/6 in float32
        np.testing.assert_allclose(pull(weights)[0], leaf.grad, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("name", OF_JAX)
def test_values_and_gradients_equal_those_of_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    theirs = {
        "sigmoid": jax.nn.sigmoid,
        "tanh": jax.numpy.tanh,
        "relu": jax.nn.relu,
        "leaky_relu": jax.nn.leaky_relu,
        "gelu": partial(jax.nn.gelu, approximate=False),
        "softplus": jax.nn.softplus,
        "softmax": jax.nn.softmax,
        "identity": lambda x: x,
        "leaky_relu_slope": partial(jax.nn.leaky_relu, negative_slope=0.3),
        "gelu_tanh": partial(jax.nn.gelu, approximate=True),
        "softmax_axis0": partial(jax.nn.softmax, axis=0),
    }[name]
    # At 0 JAX takes the other side of leaky_relu.
    points = X if name.startswith("leaky") else np.vstack([X, np.zeros(3)])
    weights = np.random.default_rng(3).normal(size=points.shape)
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        np.testing.assert_allclose(CASES[name](points), theirs(points), rtol=1e-12, atol=1e-15)
        ours = pb.grad(lambda x: np.sum(weights * CASES[name](x)))(points)
        expected = jax.grad(lambda x: (weights * theirs(x)).sum())(points)
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-14)
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32_in_value_and_gradient(name: str) -> None:
    x = X.astype(np.float32)
    assert CASES[name](x).dtype == np.float32
    value, gradient = pb.value_and_grad(lambda x: np.sum(CASES[name](x)))(x)
    assert value.dtype == gradient.dtype == np.float32


@pytest.mark.parametrize("name", CASES)
def test_large_inputs_do_not_overflow(name: str) -> None:
    x = np.array([[-1e4, 1e4], [1e4, -1e4]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(CASES[name](x)).all()
        gradient = pb.grad(lambda x: np.sum(CASES[name](x)))(x)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("f", "expected"), [(nn.relu, 0.0), (nn.leaky_relu, 0.01)])
def test_the_derivative_at_the_kink_is_the_left_one(
    f: Callable[[Any], Any], expected: float
) -> None:
    assert pb.grad(lambda x: f(x))(np.array(0.0)) == expected


@pytest.mark.parametrize("name", CASES)
def test_nan_is_not_hidden(name: str) -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(CASES[name](np.array([[np.nan]]))).all()


def test_the_activation_layer_applies_the_function_of_that_name() -> None:
    for name, function in nn.ACTIVATIONS.items():
        np.testing.assert_array_equal(nn.Activation(name)(X), function(X))
    with pytest.raises(ConfigError, match=r"activation: expected one of sigmoid, .*got 'rleu'"):
        nn.Activation("rleu")


def test_softmax_sums_to_one_along_its_axis() -> None:
    np.testing.assert_allclose(nn.softmax(X).sum(axis=1), 1)
    np.testing.assert_allclose(nn.softmax(X, axis=0).sum(axis=0), 1)


def test_glu_needs_two_halves_and_prelu_learns_its_slope() -> None:
    with pytest.raises(ShapeError, match="even number along axis -1"):
        nn.glu(np.ones((2, 3)))
    layer = nn.PReLU.create(3, 0.5, np.float64)
    gradient = pb.grad(lambda layer: np.sum(layer(X)))(layer)
    np.testing.assert_allclose(gradient.slope, np.minimum(X, 0).sum(axis=0))
    np.testing.assert_array_equal(layer(X), nn.leaky_relu(X, 0.5))
