"""Tracers behave as arrays, and refuse what would lose a gradient."""

import operator

import numpy as np
import pytest

import pullback as pb


def test_python_control_flow_sees_the_values():
    def f(x):
        total = 0.0
        for value in x:
            if value > 0:
                total = total + value**2
        return total

    np.testing.assert_array_equal(pb.grad(f)(np.array([1.0, -2.0, 3.0])), [2.0, 0.0, 6.0])


def test_queries_answer_as_an_array_does():
    def f(x):
        assert x.shape == (2, 3)
        assert x.ndim == 2
        assert x.size == 6
        assert x.dtype == np.float32
        assert x.nbytes == 24
        assert x.itemsize == 4
        assert len(x) == 2
        assert x.T.shape == (3, 2)
        return x.sum()

    assert pb.grad(f)(np.ones((2, 3), np.float32)).dtype == np.float32


def test_numbers_can_be_taken_out_of_concrete_scalars():
    def f(x):
        assert float(x) == 2.5
        assert int(x) == 2
        assert complex(x) == 2.5
        assert bool(x)
        assert x.item() == 2.5
        assert f"{x:.1f}" == "2.5"
        assert round(x) == 2
        return x * 1

    assert pb.grad(f)(2.5) == 1.0


def test_tolist_gives_python_numbers():
    def f(x):
        assert x.tolist() == [1.0, 2.0]
        return x.sum()

    pb.grad(f)(np.array([1.0, 2.0]))


@pytest.mark.parametrize("operation", [len, iter])
def test_zero_dimensional_tracers_have_no_length(operation):
    def f(x):
        with pytest.raises(TypeError):
            operation(x)
        return x

    pb.grad(f)(1.0)


def test_an_unknown_function_is_named_with_the_nearest_spelling():
    with pytest.raises(pb.errors.NotDifferentiableError, match=r"save.*pb\.custom_vjp"):
        pb.grad(lambda x: np.save("file", x))(np.ones(2))


def test_writing_a_traced_value_into_a_plain_array_says_what_to_write():
    def f(x):
        buffer = np.zeros(3)
        buffer[0] = x
        return buffer.sum()

    with pytest.raises(ValueError, match="setting an array element") as caught:
        pb.grad(f)(1.0)
    assert isinstance(caught.value.__cause__, pb.errors.TracerError)
    assert "pb.numpy.zeros" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "operation",
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow],
)
def test_operators_work_from_both_sides_and_with_lists(operation):
    x = np.array([1.5, 2.5])
    other = np.array([2.0, 3.0])
    for f, value in (
        (lambda x: operation(x, other), operation(x, other)),
        (lambda x: operation(other, x), operation(other, x)),
        (lambda x: operation(x, [2.0, 3.0]), operation(x, other)),
        (lambda x: operation([2.0, 3.0], x), operation(other, x)),
        (lambda x: operation(np.float64(2.0), x), operation(2.0, x)),
    ):
        out, _ = pb.jvp(f, (x,), (np.ones(2),))
        np.testing.assert_allclose(out, value)


def test_augmented_assignment_of_a_scalar_leaves_other_names_alone():
    def f(x):
        a = x.sum()
        b = a
        a += 1.0
        return a * b

    assert pb.grad(f)(np.array([2.0, 1.0])).tolist() == [7.0, 7.0]


def test_ufunc_out_and_where_follow_numpy():
    def f(x):
        y = x * 0
        np.add(x, 1.0, out=y)
        z = np.exp(x, out=x * 0, where=x > 0)
        return np.sum(y * y) + np.sum(z)

    x = np.array([-1.0, 2.0])
    np.testing.assert_allclose(pb.grad(f)(x), 2 * (x + 1) + np.where(x > 0, np.exp(x), 0))


def test_ufunc_methods_follow_numpy():
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(pb.grad(lambda x: np.add.reduce(x * x))(x), 2 * x)
    np.testing.assert_allclose(pb.grad(lambda x: np.multiply.outer(x, x).sum())(x), 12.0)
    np.testing.assert_allclose(
        pb.grad(lambda x: np.add.accumulate(x).sum())(x), np.array([3.0, 2.0, 1.0])
    )
    np.testing.assert_allclose(pb.grad(lambda x: np.add.reduceat(x, [0, 1])[0])(x), [1.0, 0.0, 0.0])
