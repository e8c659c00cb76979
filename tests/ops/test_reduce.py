"""Reductions: NumPy's values, options and errors, and gradients where they are easily wrong."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.op import OPS

X = np.random.default_rng(0).normal(size=(3, 4))
MASK = np.random.default_rng(1).random((3, 4)) < 0.6
EMPTY = np.zeros((0, 3))
OPTIONS = {
    "all": {},
    "axis": {"axis": 1},
    "negative axis": {"axis": -2},
    "axes": {"axis": (0, -1)},
    "no axes": {"axis": ()},
    "keepdims": {"axis": 0, "keepdims": True},
    "keepdims as a number": {"axis": 0, "keepdims": 1},
    "initial": {"axis": 1, "initial": 0.3},
    "mask": {"axis": 1, "initial": 0.3, "where": MASK},
    "mask of a row": {"initial": 0.3, "where": MASK[0]},
}


def under_trace(function, x):
    """What `function` gives when its argument is traced: define by run, and as a graph."""
    eager, _ = pb.jvp(function, (x,), (np.ones_like(x),))
    return [eager, pb.trace(function, x)(x)]


def assert_as_numpy(function, x):
    expected = np.asarray(function(x))
    for found in map(np.asarray, under_trace(function, x)):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if x.dtype.itemsize == 4 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_reductions_take_the_options_of_numpy(name, options, dtype):
    given = OPTIONS[options]
    assert_as_numpy(lambda x: getattr(np, name)(x, **given), X.astype(dtype))


@pytest.mark.parametrize("options", sorted(set(OPTIONS) - {"initial", "mask", "mask of a row"}))
@pytest.mark.parametrize("name", ["ptp", "all", "any", "count_nonzero"])
def test_reductions_without_initial_take_the_options_of_numpy(name, options):
    given = OPTIONS[options]
    assert_as_numpy(lambda x: getattr(np, name)(x, **given), np.where(X > 0, X, 0))


@pytest.mark.parametrize("name", ["all", "any"])
def test_tests_look_only_behind_the_mask(name):
    sparse = np.where(MASK, X, 0.0)
    for where in (MASK, ~MASK, np.zeros_like(MASK)):
        assert_as_numpy(lambda x, where=where: getattr(np, name)(x, axis=1, where=where), sparse)


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arguments_of_extremes(name, axis):
    assert_as_numpy(lambda x: getattr(np, name)(x, axis=axis), X)
    assert_as_numpy(lambda x: getattr(np, name)(x, axis=axis, keepdims=True), X)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "ptp", "all", "any", "argmax"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_a_number_is_reduced_to_itself(name, axis):
    assert_as_numpy(lambda x: getattr(np, name)(x, axis=axis), np.float64(3.0))


UFUNCS = [np.add, np.multiply, np.maximum, np.minimum, np.logical_and, np.logical_or]


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_reduce_of_a_ufunc_is_the_reduction(ufunc):
    assert_as_numpy(lambda x: ufunc.reduce(x), X)
    assert_as_numpy(lambda x: ufunc.reduce(x, axis=None, keepdims=True), X)
    assert_as_numpy(lambda x: ufunc.reduce(x, 1, initial=0.3, where=MASK), X)


@pytest.mark.parametrize("name", ["sum", "prod"])
def test_the_dtype_asked_for_is_that_of_the_sum(name):
    assert_as_numpy(lambda x: getattr(np, name)(x, axis=0, dtype=np.float32), X)
    assert_as_numpy(lambda x: getattr(np, name)(x, dtype=np.float64), X.astype(np.float32))
    gradient = pb.grad(lambda x: getattr(np, name)(x, dtype=np.float64))(X.astype(np.float32))
    assert gradient.dtype == np.float32


def test_an_initial_value_does_not_change_the_dtype():
    x = X.astype(np.float32)
    assert_as_numpy(lambda x: np.sum(x, initial=np.float64(0.5)), x)
    assert_as_numpy(lambda x: np.max(x, initial=np.float64(0.5)), x)


def test_integers_under_a_graph_are_reduced_as_numpy_does():
    whole = np.arange(6, dtype=np.int8).reshape(2, 3)
    for name in ("sum", "prod", "max", "min", "argmax", "any"):
        function = getattr(np, name)
        found, expected = pb.trace(lambda x, f=function: f(x, axis=0), whole)(whole), None
        expected = function(whole, axis=0)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    graph = pb.trace(lambda x: np.max(x, axis=1, initial=1, where=x > 3), whole)
    np.testing.assert_array_equal(graph(whole), [1, 5])


def test_the_gradient_of_a_sum_is_a_broadcast_without_memory():
    (gradient,) = OPS["sum"].bprop((X,), np.arange(4.0), axis=(0,), keepdims=False)
    np.testing.assert_array_equal(gradient, np.tile(np.arange(4.0), (3, 1)))
    assert gradient.strides[0] == 0


def test_a_mask_keeps_the_gradient_from_what_is_behind_it():
    x = np.array([1.0, np.nan, 3.0])
    mask = np.array([True, False, True])
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(2 * x, where=mask))(x), [2.0, 0.0, 2.0])
    np.testing.assert_array_equal(pb.grad(lambda x: np.prod(x, where=mask))(x), [3.0, 0.0, 1.0])
    found = pb.grad(lambda x: np.max(x, where=mask, initial=0.0))(x)
    np.testing.assert_array_equal(found, [0.0, 0.0, 1.0])


@pytest.mark.parametrize("zeros", [(), (1,), (1, 3), (0, 1, 2, 3)])
def test_the_product_has_exact_derivatives_where_elements_are_zero(zeros):
    x = np.array([2.0, -1.5, 3.0, 0.5])
    x[list(zeros)] = 0.0
    others = [np.prod(np.delete(x, i)) for i in range(4)]
    np.testing.assert_allclose(pb.grad(np.prod)(x), others, rtol=1e-15)
    second = [
        [0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)
    ]
    np.testing.assert_allclose(pb.hessian(np.prod)(x), second, rtol=1e-15)
    pb.check_grads(np.prod, (x,), order=3)


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_share_the_gradient_equally(jax, name):
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, 0.0, 5.0]])

    def f(xp):
        return lambda x: xp.sum(getattr(xp, name)(x, axis=1) ** 2)

    np.testing.assert_allclose(pb.grad(f(np))(x), jax.grad(f(jax.numpy))(x), rtol=1e-15)
    v = np.random.default_rng(0).normal(size=x.shape)
    expected = jax.jvp(jax.grad(f(jax.numpy)), (x,), (v,))[1]
    np.testing.assert_allclose(pb.hvp(f(np), (x,), (v,))[0], expected, rtol=1e-14)


def test_the_maximum_is_a_router():
    x = np.array([1.0, 4.0, 2.0])
    np.testing.assert_array_equal(pb.grad(np.max)(x), [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(pb.grad(lambda x: np.max(x, initial=9.0))(x), np.zeros(3))
    np.testing.assert_array_equal(pb.grad(np.ptp)(x), [-1.0, 1.0, 0.0])


def test_empty_arrays_reduce_as_numpys_do():
    for name in ("sum", "prod", "all", "any"):
        assert_as_numpy(lambda x, name=name: getattr(np, name)(x), EMPTY)
        assert_as_numpy(lambda x, name=name: getattr(np, name)(x, axis=0), EMPTY)
    assert_as_numpy(lambda x: np.max(x, axis=1), EMPTY)
    assert_as_numpy(lambda x: np.max(x, axis=0, initial=2.0), EMPTY)
    assert pb.grad(np.sum)(EMPTY).shape == (0, 3)
    assert pb.grad(np.prod)(EMPTY).shape == (0, 3)
    assert pb.jvp(np.prod, (EMPTY,), (EMPTY,))[1] == 0.0


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_extreme_of_nothing_is_an_error_that_names_the_remedy(name):
    with pytest.raises(ValueError, match=r"at least one element .* \(0, 3\); pass initial="):
        pb.grad(lambda x: np.sum(getattr(np, name)(x, axis=0)))(EMPTY)
    with pytest.raises(ValueError, match="where= needs initial="):
        pb.grad(lambda x: getattr(np, name)(x, where=MASK))(X)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "mean", "var", "all"])
def test_wrong_axes_and_masks_are_refused(name):
    function = getattr(np, name)
    for axis, error in ((2, np.exceptions.AxisError), ((1, -1), ValueError), (0.5, TypeError)):
        with pytest.raises(error):
            pb.jvp(lambda x, axis=axis: function(x, axis=axis), (X,), (X,))
    if name != "max":
        with pytest.raises(pb.errors.ShapeError, match=r"where: expected .* \(4,\), got .* \(3, 4"):
            pb.jvp(lambda x: function(x, where=MASK), (X[0],), (X[0],))


def test_results_are_written_where_out_asks():
    def f(x, name):
        out = x[0] * 0
        getattr(np, name)(x, axis=0, out=out)
        return out

    for name in ("sum", "prod", "max", "mean", "var", "std", "ptp", "median"):
        assert_as_numpy(lambda x, name=name: f(x, name), X)


def test_the_methods_of_arrays_are_the_functions():
    assert_as_numpy(lambda x: x.sum(axis=1) + x.max(1) - x.min(axis=1) * x.prod(1), X)
    assert_as_numpy(lambda x: x.mean() + x.std(axis=0, ddof=1) + x.var(keepdims=True), X)
    assert_as_numpy(lambda x: x.argmax(0) + x.any(0) + x.all(0), X)
