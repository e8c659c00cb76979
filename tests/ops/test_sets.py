"""Sets: distinct values are elements, and carry their gradient."""

import numpy as np
import pytest
from against_numpy import compare

import pullback as pb
from pullback.core.errors import TracerError

A = np.array([3.0, 1.0, 2.0, 1.0, 3.0, 0.5])
B = np.array([2.0, 4.0, 1.0, 4.0])


def test_the_first_of_equal_elements_has_the_gradient():
    gradient = pb.grad(lambda a: np.sum(np.unique(a) * [1.0, 10.0, 100.0, 1000.0]))(A)
    np.testing.assert_array_equal(gradient, [1000.0, 10.0, 100.0, 0.0, 0.0, 1.0])


def test_unique_gives_indices_inverse_and_counts():
    def everything(a):
        return np.unique(a, return_index=True, return_inverse=True, return_counts=True)

    out, _ = pb.vjp(lambda a: everything(a)[0], A)
    compare(out, np.unique(A))
    found = []
    pb.grad(lambda a: found.extend(everything(a)[1:]) or np.sum(a))(A)
    compare(tuple(found), everything(A)[1:])
    rows = np.array([[2.0, 1.0], [0.5, 3.0], [2.0, 1.0]])
    np.testing.assert_array_equal(
        pb.grad(lambda a: np.unique(a, axis=0)[1, 0])(rows), [[1.0, 0], [0, 0], [0, 0]]
    )


@pytest.mark.parametrize("name", ["counts", "inverse", "all", "values"])
def test_the_array_apis_forms_have_its_fields(name):
    function = getattr(np, f"unique_{name}")
    results = []
    pb.grad(lambda a: results.append(function(a)) or np.sum(a))(A)
    expected = function(A)
    assert type(results[0]).__name__ in (type(expected).__name__, "TapeTracer")
    if name != "values":
        assert results[0]._fields == expected._fields
        compare(tuple(results[0])[1:], tuple(expected)[1:])


def test_operations_on_two_sets():
    for function in (np.union1d, np.setxor1d, np.setdiff1d, np.intersect1d):
        out, _ = pb.vjp(function, A, B)
        compare(out, function(A, B))
    np.testing.assert_array_equal(
        pb.jacobian(lambda b: np.setxor1d(A, b))(B)[-1], [0.0, 1.0, 0.0, 0.0]
    )
    np.testing.assert_array_equal(pb.jacobian(lambda a: np.intersect1d(a, B))(A), np.eye(6)[[1, 2]])
    found = []
    pb.grad(lambda a: found.extend(np.intersect1d(a, B, return_indices=True)) or a[0])(A)
    compare(tuple(found[1:]), np.intersect1d(A, B, return_indices=True)[1:])
    distinct = np.array([5.0, 2.0, 7.0])
    for function in (np.setdiff1d, np.setxor1d):
        out, _ = pb.vjp(lambda a, f=function: f(a, B[:2], assume_unique=True), distinct)
        compare(out, function(distinct, B[:2], assume_unique=True))


def test_isin_is_a_constant_that_traces():
    for invert in (False, True):
        for among in (B, B[:0], [3.0, np.nan]):
            graph = pb.trace(lambda a, s=among, i=invert: np.isin(a, s, invert=i) * a, A)
            np.testing.assert_array_equal(graph(A), np.isin(A, among, invert=invert) * A)


def test_a_number_of_elements_that_depends_on_values_is_an_error_in_a_graph():
    with pytest.raises(TracerError, match=r"np\.unique needs a concrete number"):
        pb.trace(np.unique, A)
