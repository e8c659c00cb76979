"""Running sums and products, and differences."""

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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_reductions_are_numpys(name, axis, dtype):
    function, x = getattr(np, name), X.astype(dtype)
    assert_as_numpy(lambda x: function(x, axis=axis), x)
    assert_as_numpy(lambda x: function(x, axis=axis, dtype=np.float32), x)
    assert_as_numpy(lambda x: function(x, axis=axis), np.zeros((0, 2), dtype))
    assert_as_numpy(lambda x: function(x, axis=axis), dtype(3.0))
    gradient = pb.grad(lambda x: np.sum(function(x, axis=axis)))(x)
    assert (gradient.shape, gradient.dtype) == (x.shape, x.dtype)


def test_running_reductions_of_integers_and_into_out():
    whole = np.array([[1, 0, 2]], np.int8)
    for name in ("cumsum", "cumprod"):
        found = pb.trace(lambda x, name=name: getattr(np, name)(x), whole)(whole)
        np.testing.assert_array_equal(found, getattr(np, name)(whole))
        assert found.dtype == getattr(np, name)(whole).dtype

    def f(x):
        out = x * 0
        np.cumsum(x, axis=0, out=out)
        return out

    assert_as_numpy(f, X)


def test_accumulate_of_a_ufunc_is_the_running_reduction():
    assert_as_numpy(lambda x: np.add.accumulate(x), X)
    assert_as_numpy(lambda x: np.multiply.accumulate(x, axis=1), X)
    assert_as_numpy(lambda x: np.maximum.accumulate(x), X)


def test_the_array_apis_names():
    assert_as_numpy(lambda x: np.cumulative_sum(x, axis=1), X)
    assert_as_numpy(lambda x: np.cumulative_prod(x, axis=0, include_initial=True), X)
    assert_as_numpy(lambda x: np.cumulative_sum(x, include_initial=True), X[0])
    with pytest.raises(ValueError, match="axis: expected an axis"):
        pb.grad(lambda x: np.sum(np.cumulative_sum(x)))(X)


def test_the_transpose_of_the_running_sum_is_the_running_sum_from_the_end():
    weights = np.array([1.0, 10.0, 100.0])
    found = pb.grad(lambda x: np.sum(weights * np.cumsum(x)))(np.ones(3))
    np.testing.assert_array_equal(found, [111.0, 110.0, 100.0])
    pb.check_grads(lambda x: np.cumsum(x, axis=1) ** 2, (X,), order=2)


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (1, 4), (0, 1, 2, 3, 4)])
def test_the_running_product_has_exact_derivatives_where_elements_are_zero(zeros):
    x = np.array([2.0, -1.5, 3.0, 0.5, 1.25])
    x[list(zeros)] = 0.0

    def partial(j, *without):
        return np.prod(np.delete(x[: j + 1], without)) if max(without) <= j else 0.0

    n = range(len(x))
    np.testing.assert_allclose(
        pb.jacobian(np.cumprod)(x), [[partial(j, i) for i in n] for j in n], rtol=1e-15
    )
    second = [[sum(partial(j, i, k) for j in n) if i != k else 0.0 for k in n] for i in n]
    found = pb.hessian(lambda x: np.sum(np.cumprod(x)))(x)
    np.testing.assert_allclose(found, second, rtol=1e-14, atol=1e-15)
    pb.check_grads(np.cumprod, (x,), order=3)


def test_the_gradient_of_a_long_running_product_needs_no_matrix():
    x = 1 + 1e-5 * np.random.default_rng(0).normal(size=50_000)  # a matrix would be 20 GB
    expected = np.flip(np.cumsum(np.flip(np.cumprod(x)))) / x
    found = pb.grad(lambda x: np.sum(np.cumprod(x)))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_differences_are_numpys():
    assert_as_numpy(lambda x: np.diff(x), X)
    assert_as_numpy(lambda x: np.diff(x, n=2, axis=0), X)
    assert_as_numpy(lambda x: np.diff(x, n=0), X)
    assert_as_numpy(lambda x: np.diff(x, n=9), X)
    assert_as_numpy(lambda x: np.diff(x, prepend=0.0, append=x[:, :2]), X)
    assert_as_numpy(lambda x: np.diff(X, prepend=x), X)
    assert_as_numpy(lambda x: np.ediff1d(x), X)
    assert_as_numpy(lambda x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=0.5), X)
    flags = X > 0
    np.testing.assert_array_equal(pb.trace(np.diff, flags)(flags), np.diff(flags))
    pb.check_grads(lambda x: np.diff(x, n=2, append=1.0) ** 2, (X,), order=2)
    with pytest.raises(ValueError, match=r"n: expected .* got -1"):
        pb.grad(lambda x: np.sum(np.diff(x, n=-1)))(X)
