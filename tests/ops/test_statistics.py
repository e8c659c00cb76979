"""Averages, deviations and norms: NumPy's values and dtypes, and gradients at the edges."""

import warnings

import numpy as np
import pytest

import pullback as pb

X = np.random.default_rng(0).normal(size=(3, 4))
MASK = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=bool)
HOLES = np.where(MASK, X, np.nan)
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25])


def assert_as_numpy(function, x):
    expected = np.asarray(function(x))
    eager, _ = pb.jvp(function, (x,), (np.ones_like(x),))
    for found in map(np.asarray, (eager, pb.trace(function, x)(x))):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        rtol = {2: 1e-2, 4: 1e-5}.get(x.dtype.itemsize, 1e-12)
        np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_averages_are_numpys_in_every_dtype(name, dtype):
    x = X.astype(dtype) if dtype != np.complex128 else X + 1j * X[::-1]
    function = getattr(np, name)
    assert_as_numpy(lambda x: function(x), x)
    assert_as_numpy(lambda x: function(x, axis=(0, 1), keepdims=True), x)
    assert_as_numpy(lambda x: function(x, axis=-1, where=MASK), x)
    assert_as_numpy(lambda x: function(x, where=MASK[0]), x)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_averages_take_a_dtype_and_average_integers_as_float64(name):
    function = getattr(np, name)
    assert_as_numpy(lambda x: function(x, axis=0, dtype=np.float32), X)
    whole = np.arange(12).reshape(3, 4)
    graph = pb.trace(lambda x: function(x, axis=0), whole)
    np.testing.assert_allclose(graph(whole), function(whole, axis=0), rtol=1e-15)
    assert graph(whole).dtype == np.float64


def test_the_mean_of_many_halves_does_not_overflow():
    x = np.full(5000, 60.0, np.float16)
    value, gradient = pb.value_and_grad(np.mean)(x)
    assert value == 60.0
    assert gradient.dtype == np.float16
    np.testing.assert_allclose(gradient, 1 / 5000, rtol=1e-3)


@pytest.mark.parametrize("name", ["mean", "var", "std", "nanmean", "nanstd"])
def test_gradients_of_float32_stay_float32_behind_a_mask(name):
    f = getattr(np, name)
    value, gradient = pb.value_and_grad(lambda x: np.sum(f(x, axis=1, where=MASK)))(
        X.astype(np.float32)
    )
    assert (value.dtype, gradient.dtype) == (np.float32, np.float32)


def test_degrees_of_freedom():
    assert_as_numpy(lambda x: np.var(x, axis=0, ddof=1), X)
    assert_as_numpy(lambda x: np.std(x, axis=1, correction=1.5), X)
    assert_as_numpy(lambda x: np.var(x, axis=0, ddof=1, where=MASK), X)
    assert_as_numpy(lambda x: np.var(x, axis=0, mean=np.mean(x, axis=0, keepdims=True)), X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dividing by zero, as NumPy warns
        assert_as_numpy(lambda x: np.var(x, axis=0, ddof=5), X)
        assert np.isnan(pb.jvp(np.mean, (X[:0],), (X[:0],))[0])


def test_the_gradient_of_the_variance_is_twice_the_deviation():
    found = pb.grad(np.var)(X)
    np.testing.assert_allclose(found, 2 * (X - X.mean()) / X.size, rtol=1e-12, atol=1e-15)
    found = pb.hessian(lambda x: np.var(x, ddof=1))(X[0])
    np.testing.assert_allclose(found, 2 * (np.eye(4) - 0.25) / 3, rtol=1e-12)


def test_the_deviation_of_equal_values_has_gradient_zero():
    for ddof in (0, 1):
        np.testing.assert_array_equal(pb.grad(lambda x: np.std(x, ddof=ddof))(np.ones(3)), 0)
    np.testing.assert_array_equal(pb.hessian(np.std)(np.ones(3)), 0)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_averages_with_masks_against_jax(jax, name):
    def f(xp):
        return lambda x: xp.sum(getattr(xp, name)(x, axis=1, where=MASK) ** 2)

    v = np.ones_like(X)
    v[0] = -2.0
    np.testing.assert_allclose(pb.grad(f(np))(X), jax.grad(f(jax.numpy))(X), rtol=1e-11, atol=1e-14)
    expected = jax.jvp(jax.grad(f(jax.numpy)), (X,), (v,))[1]
    np.testing.assert_allclose(pb.hvp(f(np), (X,), (v,))[0], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weighted_averages(dtype):
    w, x = WEIGHTS.astype(dtype), X.astype(dtype)
    assert_as_numpy(lambda x: np.average(x, axis=1, weights=w), x)
    assert_as_numpy(lambda x: np.average(x, weights=np.abs(X).astype(dtype)), x)
    assert_as_numpy(lambda x: np.average(x, axis=1, weights=w, keepdims=True), x)
    assert_as_numpy(lambda x: np.average(x, axis=1, returned=True)[1], x)
    assert_as_numpy(lambda x: np.average(x, axis=1, weights=w, returned=True)[1] * x[:, 0], x)
    assert_as_numpy(lambda x: np.average(x, axis=(1, 0), weights=np.abs(X.T).astype(dtype)), x)
    assert_as_numpy(lambda w: np.average(x, axis=1, weights=w), w)
    with pytest.raises(pb.errors.ShapeError, match=r"weights: expected .* got \(4,\)"):
        pb.grad(lambda x: np.average(x, weights=w))(x)


NAN_FUNCTIONS = "sum prod mean var std max min"


@pytest.mark.parametrize("name", NAN_FUNCTIONS.split())
def test_nan_functions_leave_nan_out(name):
    function = getattr(np, "nan" + name)
    assert_as_numpy(lambda x: function(x), HOLES)
    assert_as_numpy(lambda x: function(x, axis=1, keepdims=True), HOLES.astype(np.float32))
    gradient = pb.grad(lambda x: np.sum(function(x, axis=1) ** 2))(HOLES)
    np.testing.assert_array_equal(gradient[~MASK], 0)
    row = HOLES[0]
    alone = pb.grad(lambda x: getattr(np, name)(x) ** 2)(row[MASK[0]])
    np.testing.assert_allclose(gradient[0][MASK[0]], alone, rtol=1e-12)


@pytest.mark.parametrize("name", ["nancumsum", "nancumprod"])
def test_running_nan_functions_leave_nan_out(name):
    assert_as_numpy(lambda x: getattr(np, name)(x, axis=1), HOLES)


def test_the_extreme_of_only_nan_is_nan():
    value = pb.trace(lambda x: np.nanmax(x, axis=0), np.zeros(2))(np.array([np.nan, np.nan]))
    assert np.isnan(value)


ORDERS = [None, 2, 1, np.inf, -np.inf, 0, 3, 0.5, -1, -2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ord", ORDERS)
def test_vector_norms(ord, dtype):
    x = X.astype(dtype)
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord), x[0])
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord, axis=-1), x)
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord, axis=0, keepdims=True), x)
    if ord is not None:
        assert_as_numpy(lambda x: np.linalg.vector_norm(x, ord=ord), x)
    if ord != 0:
        rng = (lambda x: np.sum(np.linalg.norm(x, ord=ord, axis=1)), (X,))
        pb.check_grads(*rng, order=2, eps=1e-5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("ord", [-1, -2, -3])
def test_norms_of_negative_order_are_zero_where_an_element_is(ord):
    x = np.array([[1.0, 0.0], [2.0, 3.0]])
    with np.errstate(divide="ignore"):
        assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord, axis=1), x)
    gradient = pb.grad(lambda x: np.sum(np.linalg.norm(x, ord=ord, axis=1)))(x)
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(ord):
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord), X)
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord, axis=(1, 0)), X)
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord, axis=(-2, -1), keepdims=True), X[None])
    assert_as_numpy(lambda x: np.linalg.norm(x, ord=ord), X + 1j * X[::-1])
    pb.check_grads(lambda x: np.linalg.norm(x, ord=ord), (X,), order=2)
    if ord is not None:
        assert_as_numpy(lambda x: np.linalg.matrix_norm(x, ord=ord), X[None])


def test_norms_of_integers_are_float64():
    whole = np.arange(-2, 4).reshape(2, 3)
    for ord in (None, 1, np.inf):
        graph = pb.trace(lambda x, ord=ord: np.linalg.norm(x, ord=ord), whole)
        assert graph(whole) == np.linalg.norm(whole, ord=ord)
        assert graph(whole).dtype == np.float64
    graph = pb.trace(lambda x: np.linalg.vector_norm(x, axis=1), whole)
    np.testing.assert_allclose(graph(whole), np.linalg.norm(whole, axis=1))


def test_the_gradient_of_the_norm_is_the_unit_vector_and_zero_at_zero():
    x = np.array([3.0, 4.0])
    np.testing.assert_allclose(pb.grad(np.linalg.norm)(x), [0.6, 0.8], rtol=1e-15)
    np.testing.assert_array_equal(pb.grad(np.linalg.norm)(np.zeros(2)), 0)
    np.testing.assert_array_equal(pb.hessian(np.linalg.norm)(np.zeros(2)), 0)
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    for ord in (None, 2, 3, 0.5):
        gradient = pb.grad(lambda x: np.sum(np.linalg.norm(x, ord=ord, axis=1)))(rows)
        np.testing.assert_array_equal(gradient[0], 0)
        assert np.all(gradient[1] > 0)


def test_norms_that_do_not_exist_say_so():
    with pytest.raises(ValueError, match=r"ord: expected .* for matrices, got 3"):
        pb.grad(lambda x: np.linalg.norm(x, ord=3))(X)
    with pytest.raises(ValueError, match=r"ord: expected .* for vectors, got 'fro'"):
        pb.grad(lambda x: np.linalg.norm(x, ord="fro"))(X[0])
    with pytest.raises(pb.errors.ShapeError, match="one or two axes, got 3"):
        pb.grad(lambda x: np.linalg.norm(x, ord=1))(X[None])
