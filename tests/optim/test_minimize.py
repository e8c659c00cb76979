"""Minimisers: known minima, SciPy's own answers, and what they say where they fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, special

import pullback as pb
from pullback import optim
from pullback.core.errors import ConfigError, DivergenceError, DTypeError, ShapeError

METHODS = ("lbfgs", "newton-cg")
RNG = np.random.default_rng(0)


def rosenbrock(params: Any) -> Any:
    x = np.concatenate([np.ravel(leaf) for leaf in pb.tree.leaves(params)])
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("compiled", [True, False])
def test_rosenbrock_over_a_pytree_ends_at_ones(method: Any, compiled: bool) -> None:
    start = {"a": RNG.normal(size=(2, 3)), "b": [RNG.normal(size=4)]}
    found = optim.minimize(rosenbrock, start, method=method, tolerance=1e-8, compiled=compiled)
    assert found.converged
    assert found.gradient <= 1e-8
    assert found.params["a"].shape == (2, 3)
    for leaf in pb.tree.leaves(found.params):
        np.testing.assert_allclose(leaf, 1, rtol=1e-7)
    assert (found.products > 0) == (method == "newton-cg")


@pytest.mark.parametrize("method", METHODS)
def test_logistic_regression_equals_the_one_scipy_finds(method: Any) -> None:
    x = RNG.normal(size=(80, 4))
    t = (x @ [1.0, -2.0, 0.5, 0.0] + RNG.normal(size=80) > 0).astype(float)

    def loss(w: Any, x: Any, t: Any) -> Any:
        z = x @ w
        return np.sum(np.logaddexp(0, z) - t * z) + 0.5 * np.sum(w * w)

    def gradient(w: Any) -> Any:
        return x.T @ (special.expit(x @ w) - t) + w

    theirs = optimize.root(gradient, np.zeros(4), tol=1e-12).x
    found = optim.minimize(loss, np.zeros(4), (x, t), method=method, tolerance=1e-9)
    np.testing.assert_allclose(found.params, theirs, atol=1e-9)
    assert found.value == pytest.approx(loss(theirs, x, t), rel=1e-12)


def test_newtons_method_needs_two_steps_for_a_parabola() -> None:
    A = np.diag([1.0, 2.0, 3.0])
    found = optim.minimize(lambda x: x @ A @ x / 2 - np.sum(x) / 4, np.zeros(3), method="newton-cg")
    np.testing.assert_allclose(found.params, np.linalg.solve(A, np.full(3, 0.25)), rtol=1e-9)
    assert found.iterations <= 2


def test_newtons_method_leaves_a_saddle() -> None:
    found = optim.minimize(
        lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2, np.array([1e-3, 1.0]), method="newton-cg"
    )
    np.testing.assert_allclose(np.abs(found.params), [1, 0], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_float32_parameters_stay_float32(method: Any) -> None:
    found = optim.minimize(
        lambda x: np.sum((x - 3) ** 4), np.zeros(5, np.float32), method=method, tolerance=1e-3
    )
    assert found.params.dtype == np.float32
    np.testing.assert_allclose(found.params, 3, atol=0.1)


def test_a_network_is_fitted_in_one_call() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    model = pb.nn.mlp(pb.random.key(0), [1, 8, 1], "tanh", dtype=np.float64)
    found = optim.minimize(
        lambda model, x, t: pb.nn.mean_squared_error(model(x), t),
        model, (x, np.sin(3 * x)), iterations=200,
    )  # fmt: skip
    assert found.value < 1e-4
    assert found.params(x).shape == (40, 1)


@pytest.mark.parametrize("method", METHODS)
def test_the_callback_sees_values_fall_and_may_stop(method: Any) -> None:
    values: list[float] = []

    def look(params: Any, value: float) -> None:
        assert rosenbrock(params) == pytest.approx(value)
        values.append(value)
        if len(values) == 5:
            raise StopIteration

    found = optim.minimize(rosenbrock, np.zeros(6), method=method, callback=look)
    assert values == sorted(values, reverse=True)
    assert found.iterations == 5
    assert not found.converged


def test_too_few_iterations_do_not_count_as_converged() -> None:
    for method in METHODS:
        found = optim.minimize(rosenbrock, np.zeros(6), method=method, iterations=2)  # type: ignore[arg-type]
        assert not found.converged
        assert found.iterations == 2
        assert "LIMIT" in found.message.upper() or "iterations" in found.message


def test_a_start_at_the_minimum_is_left_as_it_is() -> None:
    found = optim.minimize(rosenbrock, np.ones(4))
    assert (found.converged, found.iterations, found.evaluations) == (True, 0, 1)


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="method: expected one of lbfgs, newton-cg, got 'bfgs'"):
        optim.minimize(rosenbrock, np.zeros(3), method="bfgs")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="tolerance: expected a positive number"):
        optim.minimize(rosenbrock, np.zeros(3), tolerance=0)
    with pytest.raises(DTypeError, match="params: expected real floating numbers, got int64"):
        optim.minimize(rosenbrock, np.zeros(3, int))
    with pytest.raises(ShapeError):
        optim.minimize(lambda x: 2 * x, np.zeros(3))
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="the value is nan"):
        optim.minimize(lambda x: np.sum(np.log(x)), -np.ones(3))
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="gradient has entries"):
        optim.minimize(lambda x: np.sum(np.sqrt(x)), np.zeros(3))
