"""reduce, accumulate, reduceat, outer and at of ufuncs, and their out, where and dtype."""

import functools

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import NotDifferentiableError, TracerError

RNG = np.random.default_rng(3)
X = RNG.uniform(0.5, 2.0, size=(3, 5))

REDUCED = [
    np.add, np.subtract, np.multiply, np.true_divide, np.maximum, np.minimum, np.fmax, np.fmin,
    np.logaddexp, np.logaddexp2, np.hypot, np.arctan2, np.power,
]  # fmt: skip


def same_value_and_derivatives(function, *args):
    out, _ = pb.vjp(function, *args)
    expected = function(*args)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    assert np.asarray(out).dtype == np.asarray(expected).dtype
    pb.check_grads(function, args, order=2, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(pb.trace(function, *args)(*args), expected, rtol=1e-13)


@pytest.mark.parametrize("ufunc", REDUCED, ids=lambda u: u.__name__)
def test_reduce_of_every_ufunc_folds_from_the_left(ufunc):
    # by hand: the vector loops of some NumPy builds fold power and arctan2 wrongly
    for axis in (0, 1):
        out, _ = pb.vjp(lambda x, axis=axis: ufunc.reduce(x, axis=axis), X)
        np.testing.assert_allclose(out, functools.reduce(ufunc, np.unstack(X, axis=axis)))
    pb.check_grads(lambda x: ufunc.reduce(x), (X,), order=2, rtol=2e-6, atol=2e-6)
    same_value_and_derivatives(lambda x: ufunc.reduce(x, axis=0, keepdims=True), X[:1])


@pytest.mark.parametrize("ufunc", [np.logaddexp, np.hypot, np.fmax, np.maximum])
def test_reduce_over_several_axes_with_a_start(ufunc):
    same_value_and_derivatives(lambda x: ufunc.reduce(x, axis=(0, 1)), X)
    same_value_and_derivatives(lambda x: ufunc.reduce(x, axis=None, initial=0.7), X)
    with pytest.raises(ValueError, match="expected one axis, since the order of terms matters"):
        pb.grad(lambda x: np.subtract.reduce(x, axis=None))(X)


def test_reduce_leaves_out_what_is_masked():
    mask = X > 1
    same_value_and_derivatives(lambda x: np.logaddexp.reduce(x, axis=1, where=mask), X)
    same_value_and_derivatives(lambda x: np.add.reduce(x, axis=1, where=mask), X)
    with pytest.raises(ValueError, match="needs a ufunc with an identity"):
        pb.grad(lambda x: np.fmax.reduce(x, where=mask).sum())(X)


def test_reduce_of_nothing_is_the_identity_or_an_error():
    empty = np.zeros((0, 2))
    out, _ = pb.vjp(lambda x: np.logaddexp.reduce(x), empty)
    np.testing.assert_array_equal(out, [-np.inf, -np.inf])
    with pytest.raises(ValueError, match="at least one element"):
        pb.vjp(lambda x: np.fmax.reduce(x), empty)


@pytest.mark.parametrize("ufunc", REDUCED, ids=lambda u: u.__name__)
def test_accumulate_of_every_ufunc(ufunc):
    same_value_and_derivatives(lambda x: ufunc.accumulate(x), X)
    same_value_and_derivatives(lambda x: ufunc.accumulate(x, axis=-1), X)


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.logaddexp, np.subtract])
def test_reduceat_goes_from_index_to_index(ufunc):
    for indices in ([0, 2, 4], [3, 1, 1, 0], [0]):
        same_value_and_derivatives(lambda x: ufunc.reduceat(x, indices, axis=1), X)
    same_value_and_derivatives(lambda x: ufunc.reduceat(x, [0, 2]), X)
    with pytest.raises(IndexError, match="expected indices from 0 to 2"):
        pb.grad(lambda x: ufunc.reduceat(x, [3]).sum())(X)


def test_outer_pairs_all_elements():
    y = RNG.uniform(0.5, 2.0, size=(2,))
    for ufunc in (np.multiply, np.subtract, np.power, np.arctan2):
        same_value_and_derivatives(ufunc.outer, X, y)
        same_value_and_derivatives(lambda y: ufunc.outer([1.0, 2.0], y), y)


@pytest.mark.parametrize(
    "ufunc", [np.add, np.subtract, np.multiply, np.true_divide, np.maximum, np.power]
)
@pytest.mark.parametrize(
    "index", [[0, 2, 0, 0], (np.array([1, 1, 2, 1]), np.array([3, 3, 0, 3])), slice(0, 2)]
)
def test_at_writes_in_place_in_turn(ufunc, index):
    shape = X[index].shape
    values = RNG.uniform(0.6, 1.8, size=shape)

    def f(x, values):
        y = x * 1.0
        ufunc.at(y, index, values)
        return y

    same_value_and_derivatives(f, X, values)
    same_value_and_derivatives(lambda x: f(x, 1.5), X)


def test_at_of_a_function_of_one_argument_and_with_a_mask():
    def f(x):
        y = x * 1.0
        np.square.at(y, [0, 2, 2])
        np.add.at(y, y > 2, x[0, 0])
        return y

    pb.check_grads(f, (X,), order=2, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(pb.vjp(f, X)[0], f(X))


def test_at_fills_a_buffer_with_traced_values():
    def f(x):
        counts = pb.numpy.zeros(3)
        np.add.at(counts, [0, 2, 2, 1, 0], x[0])
        return counts * 1.0

    same = pb.jacobian(f)(X)[:, 0]
    np.testing.assert_array_equal(same, np.eye(3)[[0, 2, 2, 1, 0]].T)


def test_at_refuses_a_plain_array():
    with pytest.raises(TracerError, match="create the destination with"):
        pb.grad(lambda x: np.add.at(np.zeros(3), 0, x[0, 0]))(X)


def test_dtype_is_that_of_the_computation():
    x = X.astype(np.float32)
    for call in (
        lambda x: np.add(x, x, dtype=np.float64),
        lambda x: np.exp(x, dtype=np.float64),
        lambda x: np.multiply(x, 3, dtype=np.complex128),
        lambda x: np.add.reduce(x, dtype=np.float64),
        lambda x: np.logaddexp.accumulate(x, dtype=np.float64),
    ):
        out, pull = pb.vjp(call, x)
        np.testing.assert_allclose(out, call(x), rtol=1e-14)
        assert out.dtype == call(x).dtype
        assert pull(np.ones_like(out))[0].dtype == np.float32


def test_out_takes_one_result_or_several():
    def f(x):
        whole, part = x * 0, x * 0
        np.modf(x, out=(part, whole))
        np.multiply(x, part, out=part, where=x > 1, casting="same_kind")
        np.logaddexp.reduce(x, axis=0, out=whole[0])
        return part + whole

    out, _ = pb.vjp(f, X)
    np.testing.assert_allclose(out, f(X))
    pb.check_grads(f, (X,), order=2, rtol=2e-6, atol=2e-6)


def test_a_mask_without_out_is_refused():
    with pytest.raises(NotDifferentiableError, match="leaves the other entries undefined"):
        pb.grad(lambda x: np.exp(x, where=x > 1).sum())(X)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, out: np.compress([True, True, False], x, axis=0, out=out[:2]),
        lambda x, out: np.trace(x[:, :, None], out=out[0, :1]),
        lambda x, out: np.round(x, 1, out=out),
        lambda x, out: np.fix(x, out=out),
        lambda x, out: np.isposinf(x, out=out),
    ],
)  # fmt: skip
def test_functions_write_into_out(call):
    written = []

    def f(x):
        out = x * 0
        call(x, out)
        written.append(out)
        return np.sum(out)

    pb.grad(f)(X)
    expected = X * 0
    call(X, expected)
    np.testing.assert_allclose(written[0].tolist(), expected)
