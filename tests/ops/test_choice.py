"""Choices, pieces, slices and writes in place, as NumPy makes them, with their derivatives."""

import numpy as np
import pytest
from against_numpy import compare, same_value_and_derivatives

import pullback as pb
from pullback.core.errors import ShapeError, TracerError

RNG = np.random.default_rng(8)
A, B = RNG.normal(size=(2, 3, 4))
V = RNG.normal(size=4)


def written(function):
    """A function that writes into its first argument, as one that returns what it wrote."""

    def result(a, *args):
        copy = a * 1.0
        assert function(copy, *args) is None
        return copy

    return result


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
def test_choose_broadcasts_numbers_and_choices(mode):
    numbers = np.array([[0, 1, 1, 0]]) if mode == "raise" else np.array([[-1, 4, 1, 0]])
    same_value_and_derivatives(lambda a, v: np.choose(numbers, [a, v], mode=mode), A, V)


def test_choose_refuses_a_number_without_choice():
    with pytest.raises(ValueError, match="expected numbers from 0 to 1"):
        pb.grad(lambda a: np.choose([2], [a, a]).sum())(V)


def test_choose_writes_into_out():
    def f(a):
        out = a * 0
        np.choose([0, 1, 1, 0], [a, a * a], out=out)
        return out

    same_value_and_derivatives(f, V)


def test_piecewise_shows_each_function_its_own_elements_alone():
    def f(x):
        return np.piecewise(x, [x < 0, x > 0.5], [lambda x: np.sqrt(-x), np.log, 2.0])

    same_value_and_derivatives(f, A, graph=False)
    assert np.all(np.isfinite(pb.grad(lambda x: f(x).sum())(A)))


def test_piecewise_in_a_graph_and_with_other_arguments():
    def f(x, y):
        return np.piecewise(x, [x < 0, x > 1], [lambda x, k: k * x * x, lambda x, k: x], 3.0) + y

    same_value_and_derivatives(f, A, B)
    same_value_and_derivatives(lambda x: np.piecewise(x, x < 0, [np.exp, np.sin]), V)
    same_value_and_derivatives(lambda x: np.piecewise(x, [x < 1], [np.exp]), np.float64(0.3))
    with pytest.raises(ValueError, match="expected 2 functions, or one more"):
        pb.grad(lambda x: np.piecewise(x, [x < 0, x > 1], [np.exp]).sum())(A)


def test_select_and_extract():
    same_value_and_derivatives(lambda a, b: np.select([a > 1, b > 0], [a, b * b], 3.0), A, B)
    same_value_and_derivatives(lambda a: np.extract(B > 0, a), A)


def test_put_writes_places_of_the_flat_array():
    for mode, places in (("raise", [0, 5, -1]), ("wrap", [13, 2]), ("clip", [100, 3, 1])):
        put = written(lambda a, v, m=mode, p=places: np.put(a, p, v, m))
        same_value_and_derivatives(put, A, V[:2])


def test_putmask_place_and_fill_diagonal():
    mask = B > 0
    same_value_and_derivatives(written(lambda a, v: np.putmask(a, mask, v)), A, V)
    same_value_and_derivatives(written(lambda a, v: np.place(a, mask, v)), A, V[:3])
    same_value_and_derivatives(written(np.fill_diagonal), A, V[:3])
    same_value_and_derivatives(written(lambda a, v: np.fill_diagonal(a, v, wrap=True)), A.T, V)
    same_value_and_derivatives(written(np.fill_diagonal), np.ones((3, 3, 3)), np.float64(2.0))
    same_value_and_derivatives(written(lambda a: np.putmask(a, a > 0, a * a)), A)


def test_writing_reaches_views():
    def f(a):
        b = a * 1.0
        np.fill_diagonal(b[:, 1:], 7.0)
        return b

    same_value_and_derivatives(f, A)


def test_what_cannot_be_written_is_an_error():
    plain = np.zeros((3, 4))
    for call in (
        lambda v: np.put(plain, [0], v),
        lambda v: np.putmask(plain, plain == 0, v),
        lambda v: np.place(plain, plain == 0, v),
        lambda v: np.fill_diagonal(plain, v),
    ):
        with pytest.raises(TracerError, match="plain numpy array"):
            pb.grad(lambda v, call=call: call(v) or v.sum())(V)
    with pytest.raises(ShapeError, match="expected a matrix"):
        pb.grad(lambda a: np.fill_diagonal(a * 1, 0.0) or a.sum())(V)
    with pytest.raises(ValueError, match="at least one value"):
        pb.grad(lambda a: np.place(a * 1, B > 0, []) or a.sum())(A)


def test_functions_of_slices():
    t = RNG.normal(size=(2, 3, 4))
    for function in (np.sum, np.cumsum, lambda v: np.outer(v, v[:2]), lambda v, k=2.0: k * v[0]):
        for axis in (0, 1, -1):
            same_value_and_derivatives(
                lambda a, f=function, i=axis: np.apply_along_axis(f, i, a), t
            )
    same_value_and_derivatives(lambda a: np.apply_over_axes(np.sum, a, [0, -1]), t)
    same_value_and_derivatives(lambda a: np.apply_over_axes(np.cumsum, a, 1), t)
    with pytest.raises(ShapeError, match="expected a result of 3 axes"):
        pb.grad(lambda a: np.apply_over_axes(lambda a, i: a[0, 0], a, [0]).sum())(t)
    with pytest.raises(ValueError, match="at least one vector"):
        pb.grad(lambda a: np.apply_along_axis(np.sum, 0, a).sum())(np.zeros((3, 0)))


def test_in_place_writes_run_for_a_batch():
    def f(a, v):
        b = a * 1.0
        np.fill_diagonal(b, v)
        return b

    vectors = RNG.normal(size=(2, 3))
    expected = np.stack([A, B])
    for k in range(2):
        np.fill_diagonal(expected[k], vectors[k])
    compare(pb.vmap(f)(np.stack([A, B]), vectors), expected)
