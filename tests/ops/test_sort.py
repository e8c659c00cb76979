"""Sorting and order statistics."""

import warnings

import numpy as np
import pytest

import pullback as pb

X = np.random.default_rng(0).normal(size=(3, 4))


def assert_as_numpy(function, x):
    expected = np.asarray(function(x))
    eager, _ = pb.jvp(function, (x,), (np.ones_like(x),))
    for found in map(np.asarray, (eager, pb.trace(function, x)(x))):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_sorting_is_numpys(axis):
    for x in (X, X.astype(np.float32), np.zeros((0, 2)), np.round(X)):
        assert_as_numpy(lambda x: np.sort(x, axis=axis), x)
        assert_as_numpy(lambda x: np.argsort(x, axis=axis, kind="stable"), x)
    assert_as_numpy(lambda x: np.argsort(x, axis=axis), np.float64(3.0))


def test_sorting_in_place_and_as_methods():
    def f(x):
        y = x * 1.0
        y.sort(axis=0)
        return y + x.argsort(1)

    assert_as_numpy(f, X)


def test_the_gradient_goes_back_to_where_the_element_came_from():
    x = np.array([3.0, 1.0, 2.0])
    weights = np.array([1.0, 10.0, 100.0])
    found = pb.grad(lambda x: np.sum(weights * np.sort(x)))(x)
    np.testing.assert_array_equal(found, [100.0, 1.0, 10.0])


def test_ties_keep_their_order_as_in_jax(jax):
    x = np.array([[2.0, 1.0, 2.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0, -1.0]])
    weights = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0])

    def f(xp):
        return lambda x: xp.sum(weights * xp.sort(x, axis=1) ** 2 + weights * xp.sort(x))

    np.testing.assert_allclose(pb.grad(f(np))(x), jax.grad(f(jax.numpy))(x))
    pb.check_grads(lambda x: np.sort(x, axis=0) ** 3, (X,), order=2)


def test_partition_puts_the_element_in_its_place():
    assert_as_numpy(lambda x: np.partition(x, 2, axis=1)[:, 2], X)
    assert_as_numpy(lambda x: np.partition(x, -1, axis=None)[-1], X)
    assert_as_numpy(lambda x: np.argpartition(x, [0, 1], axis=0)[0], X)
    found = pb.grad(lambda x: np.partition(x, 1)[1])(np.array([3.0, 1.0, 2.0]))
    np.testing.assert_array_equal(found, [0.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="kth: expected places from -4 to 3, got 4"):
        pb.grad(lambda x: np.sum(np.partition(x, 4)))(X)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (1,)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_medians_and_quantiles_are_numpys(axis, keepdims):
    for x in (X, X.astype(np.float32), X[:, :3]):
        assert_as_numpy(lambda x: np.median(x, axis=axis, keepdims=keepdims), x)
        assert_as_numpy(lambda x: np.quantile(x, 0.3, axis=axis, keepdims=keepdims), x)
        assert_as_numpy(lambda x: np.percentile(x, 80.0, axis=axis, keepdims=keepdims), x)
    several = [[0.1, 0.5], [1.0, 0.0]]
    assert_as_numpy(lambda x: np.quantile(x, several, axis=axis, keepdims=keepdims), X)


def test_derivatives_of_medians_and_quantiles(jax):
    def f(xp):
        return lambda x: (
            xp.sum(xp.median(x, axis=0) ** 2)
            + xp.sum(xp.quantile(x, xp.asarray([0.2, 0.7]), axis=1) ** 3)
            + xp.median(x)
        )

    np.testing.assert_allclose(pb.grad(f(np))(X), jax.grad(f(jax.numpy))(X), rtol=1e-12, atol=1e-14)
    pb.check_grads(f(np), (X,), order=2)


def test_one_nan_makes_the_median_nan():
    x = X.copy()
    x[1, 2] = np.nan
    assert_as_numpy(lambda x: np.median(x, axis=1), x)
    assert_as_numpy(lambda x: np.quantile(x, [0.2, 0.7], axis=0), x)


def test_the_median_of_nothing_is_nan_and_its_quantile_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dividing by zero, as NumPy warns
        assert_as_numpy(lambda x: np.median(x, axis=0), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="a: expected at least one element"):
        pb.grad(lambda x: np.sum(np.quantile(x, 0.5)))(np.zeros(0))


def test_what_has_no_rule_is_refused():
    with pytest.raises(ValueError, match="q: expected numbers from 0 to 1"):
        pb.grad(lambda x: np.quantile(x, 1.5))(X)
    with pytest.raises(ValueError, match="order: expected None"):
        pb.grad(lambda x: np.sum(np.sort(x, order="name")))(X)
