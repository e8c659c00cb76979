"""Arrays of pullback.numpy take traced values by assignment."""

import numpy as np
import pytest

import pullback as pb


def test_zeros_take_traced_values_in_every_mode():
    def f(x):
        y = pb.numpy.zeros((2, 2))
        y[0] = x
        y[1, 1] = x[0] * 3.0
        return np.sum(y * y)

    x = np.array([1.0, 2.0])
    expected = [2.0 + 18.0, 4.0]
    np.testing.assert_allclose(pb.grad(f)(x), expected)
    np.testing.assert_allclose(pb.trace(pb.grad(f), x)(x), expected)
    _, tangent = pb.jvp(f, (x,), (np.array([1.0, 0.0]),))
    assert tangent == 20.0
    assert f(x) == 1 + 4 + 9


def test_a_row_of_a_buffer_is_a_view():
    def f(x):
        y = pb.numpy.zeros((2, 2))
        row = y[0]
        y[0, 1] = x  # the row must see it
        row[0] = 2.0 * x  # and the buffer the row
        return row[1] * y[0, 0]

    assert pb.grad(f)(3.0) == 12.0


def test_a_buffer_may_be_the_result():
    def f(x):
        y = pb.numpy.ones(2)
        y[0] = x
        return y

    np.testing.assert_array_equal(pb.jacobian(f)(5.0), [1.0, 0.0])
    out, pullback = pb.vjp(f, 5.0)
    np.testing.assert_array_equal(out, [5.0, 1.0])
    assert pullback(np.array([2.0, 3.0])) == (2.0,)


def test_a_buffer_without_traced_values_is_an_array():
    y = pb.numpy.full(2, 3.0)
    y += 1.0
    np.testing.assert_array_equal(np.asarray(y), [4.0, 4.0])
    np.testing.assert_array_equal(np.exp(y), np.exp([4.0, 4.0]))


def test_a_result_that_would_be_a_view_cannot_be_written_silently():
    y = pb.numpy.empty((2, 3))
    with pytest.raises(ValueError, match="read-only"):
        y.T[0] = 1.0


def test_array_takes_lists_of_traced_values():
    x = np.array([1.0, 2.0])

    def f(x):
        return pb.numpy.array([[x[0], 1.0], [x[1], x[0] * x[1]]]).sum()

    np.testing.assert_allclose(pb.grad(f)(x), [1 + 2.0, 1 + 1.0])


def test_a_buffer_that_holds_traced_values_can_be_compared():
    def f(x):
        buffer = pb.numpy.zeros(3)
        buffer[...] = x
        return np.sum(np.where(buffer > 0, buffer, 0.0))

    np.testing.assert_array_equal(pb.grad(f)(np.array([1.0, -1.0, 2.0])), [1.0, 0.0, 1.0])
