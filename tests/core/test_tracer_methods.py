"""The methods of a traced array are those of an ndarray."""

import copy

import numpy as np
import pytest

import pullback as pb

X = np.array([[3.0, 1.0, 2.0], [0.5, 4.0, -1.0]])


def changed(method, *args):
    def function(x):
        y = x * 1.0
        assert getattr(y, method)(*args) is None
        return y

    return function


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.compress([True, False], axis=0),
        lambda x: x.flatten("F") * np.arange(6),
        lambda x: x[0] * x.argpartition(1)[0],
        lambda x: x * np.sort(x[0]).searchsorted(1.5),
        changed("put", [0, 4], [7.0, 8.0]),
        changed("sort", 0),
        changed("partition", 1),
        lambda x: divmod(x, 0.7)[1],
        lambda x: divmod(5.1, x)[1],
        lambda x: copy.copy(x) * 2,
        lambda x: x.view() * x.view(np.float64),
        lambda x: x.ravel("F") * x[0].ravel("K").sum(),
        lambda x: x * (x == None) + (x != "a"),  # noqa: E711
        lambda x: sum(v * i for i, v in enumerate(x.flat)) + len(x.flat),
    ],
)
def test_methods_do_as_numpys(function):
    out, _ = pb.vjp(function, X)
    np.testing.assert_allclose(out, function(X))
    pb.check_grads(function, (X,), order=2)


def test_a_deep_copy_keeps_the_gradient():
    def f(x):
        held = copy.deepcopy({"x": x})["x"]
        held[0] = 0.0  # does not reach x
        return np.sum(held * x)

    np.testing.assert_array_equal(pb.grad(f)(np.array([1.0, 2.0])), [0.0, 4.0])


@pytest.mark.parametrize("order", ["A", "K"])
def test_what_depends_on_the_order_in_memory_is_refused(order):
    x = np.asfortranarray(X)
    with pytest.raises(pb.errors.NotDifferentiableError, match="rows first"):
        pb.vjp(lambda x: x.ravel(order), x)
    with pytest.raises(pb.errors.NotDifferentiableError, match="rows first"):
        pb.vjp(lambda x: np.reshape(x, (3, 2), "A"), x)


def test_bytes_of_traced_numbers_are_refused():
    with pytest.raises(pb.errors.NotDifferentiableError, match=r"astype.*1j"):
        pb.vjp(lambda x: x.view(complex), X[:, :2])


def test_elements_are_copies_and_no_plain_array():
    def f(x):
        y = x * 1.0
        some = y.flat[1:3]
        some[0] = 7.0  # does not reach y
        return y

    np.testing.assert_array_equal(pb.vjp(f, X)[0], X)
    with pytest.raises(pb.errors.TracerError, match=r"^asarray: "):
        pb.vjp(lambda x: np.asarray(x.flat), X)
