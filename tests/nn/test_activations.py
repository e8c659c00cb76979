from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError

CASES: dict[str, Callable[[Any], Any]] = {
    **nn.ACTIVATIONS,
    "leaky_relu_slope": partial(nn.leaky_relu, slope=0.3),
    "gelu_tanh": partial(nn.gelu, approximate=True),
    "softmax_axis0": partial(nn.softmax, axis=0),
}
X = np.array([[-3.0, -0.7, 0.2], [0.9, 2.5, -1.3]])


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_agree_with_central_differences(name: str) -> None:
    pb.check_grads(CASES[name], (X,), order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize("name", CASES)
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
