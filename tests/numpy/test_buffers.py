"""Buffers: NumPy code that fills an array element by element, and the array API standard."""

import inspect
import threading

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import TracerError

X = np.array([1.0, 2.0, 3.0])


def filled(x):
    b = np.zeros(4)
    b[:3] = x**2
    b[3] = b[0] * x[1]
    return np.sum(b * np.arange(4.0))


EXPECTED = [3 * 2 * X[0] * X[1], 2 * X[1] + 3 * X[0] ** 2, 4 * X[2]]


def test_the_error_of_a_plain_buffer_names_the_ways_out():
    with pytest.raises(TracerError, match=r"pb\.numpy\.zeros.*traced_buffers"):
        pb.grad(filled)(X)


def test_plain_code_is_differentiated_inside_traced_buffers():
    with pb.traced_buffers():
        np.testing.assert_allclose(pb.grad(filled)(X), EXPECTED)
        np.testing.assert_allclose(pb.vmap(pb.grad(filled))(np.stack([X, X]))[1], EXPECTED)
        np.testing.assert_allclose(pb.trace(filled, X)(X), filled(X))
    assert type(np.zeros(2)) is np.ndarray


def test_creation_functions_are_restored_after_an_error_and_nesting():
    original = np.zeros
    with pb.traced_buffers():
        with pytest.raises(ZeroDivisionError), pb.traced_buffers():
            _ = 1 // 0
        assert np.zeros is not original
    assert np.zeros is original


def test_other_threads_keep_plain_arrays():
    kinds = []
    with pb.traced_buffers():
        thread = threading.Thread(target=lambda: kinds.append(type(np.zeros(2))))
        thread.start()
        thread.join()
        assert type(np.zeros(2)) is not np.ndarray
    assert kinds == [np.ndarray]


def test_numpy_itself_keeps_plain_arrays_inside():
    with pb.traced_buffers():
        assert type(np.pad(X, 1)) is np.ndarray
        assert pb.grad(lambda x: np.sum(np.pad(x, 1)[1:] * x[0]))(X).shape == (3,)


def test_lists_of_traced_values_are_arrays_inside_traced_buffers():
    with pb.traced_buffers():
        found = pb.grad(lambda x: np.sum(np.array([x[0] * x[1], 2.0, x[2]])))(X)
    np.testing.assert_array_equal(found, [2, 1, 1])


def test_full_like_takes_another_shape_and_traced_values():
    def f(x):
        b = np.full_like(x, 9.0, shape=(2, 2))
        b[0] = x[:2]
        return np.sum(b * np.full_like(x, x[2], shape=2))

    assert f(X) == (X[0] + X[1] + 18) * X[2]
    np.testing.assert_array_equal(pb.grad(f)(X), [3.0, 3.0, 21.0])


@pytest.mark.parametrize("create", [np.zeros_like, np.empty_like, np.ones_like])
def test_arrays_like_a_traced_one_take_traced_values(create):
    def f(x):
        b = create(x)
        b[:] = 1.0
        b[1:] *= x[:-1]
        b[0] = x[2]
        return np.sum(b)

    np.testing.assert_array_equal(pb.grad(f)(X), [1, 1, 1])
    np.testing.assert_array_equal(pb.trace(pb.grad(f), X)(X), [1, 1, 1])
    _, tangent = pb.jvp(f, (X,), (X,))
    assert tangent == 6.0


def norm_in_the_standard(x):
    xp = x.__array_namespace__()
    y = xp.astype(xp.asarray(x), xp.float64)
    return xp.sqrt(xp.sum(xp.square(xp.permute_dims(y, (0,))))) + xp.sum(xp.zeros(2))


def test_code_for_the_array_api_standard_is_differentiated():
    np.testing.assert_allclose(pb.grad(norm_in_the_standard)(X), X / np.linalg.norm(X))
    info = pb.numpy.__array_namespace_info__()
    assert info.default_device() == "cpu"


def test_the_standards_attributes_are_there():
    def f(x):
        assert x.device == "cpu"
        assert x.to_device("cpu") is x
        assert np.from_dlpack(x).tolist() == X.tolist()
        with pytest.raises(ValueError, match="only one there is"):
            x.to_device("gpu")
        return x.sum()

    pb.grad(f)(X)


def test_a_constant_leaves_the_trace_by_the_numbers_protocols():
    def f(x):
        i = x[1].astype(int)
        assert [10, 20, 30][i] == 30
        assert (float(x[0]), int(x[1]), complex(x[2]), bool(x[0])) == (1.0, 2, 3 + 0j, True)
        return x[0]

    np.testing.assert_array_equal(pb.grad(f)(X), [1, 0, 0])


def test_signatures_of_transformed_functions_are_those_of_the_function():
    def f(x, *, scale=2.0):
        return np.sum(x) * scale

    for transformed in (pb.grad(f), pb.value_and_grad(f), pb.vmap(f)):
        assert str(inspect.signature(transformed)) == "(x, *, scale=2.0)"
