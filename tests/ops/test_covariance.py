"""Covariances, orders by several keys, and the making of numbers."""

import numpy as np
import pytest
from against_numpy import same_value_and_derivatives

import pullback as pb
from pullback.core.errors import DTypeError, ShapeError

COUNTS = [1, 2, 1, 3, 1, 1]
RNG = np.random.default_rng(9)
X = RNG.normal(size=(3, 6))
Y = RNG.normal(size=(2, 6))


@pytest.mark.parametrize(
    "options",
    [{}, {"rowvar": False}, {"bias": True}, {"ddof": 0}, {"ddof": 2}, {"fweights": COUNTS}],
    ids=["plain", "columns", "bias", "ddof0", "ddof2", "fweights"],
)  # fmt: skip
def test_covariances(options):
    same_value_and_derivatives(lambda x: np.cov(x, **options), X)


def test_covariances_move_with_importance_weights():
    w = RNG.uniform(0.5, 2.0, size=6)
    for options in ({}, {"ddof": 0}, {"fweights": COUNTS}):
        same_value_and_derivatives(lambda x, w, o=options: np.cov(x, aweights=w, **o), X, w)


def test_covariances_of_two_sets_of_vectors_and_of_complex_ones():
    same_value_and_derivatives(np.cov, X, Y)
    same_value_and_derivatives(np.cov, X[0], Y[0])
    same_value_and_derivatives(np.cov, X[0])
    same_value_and_derivatives(np.cov, X + 1j * X[::-1])
    assert pb.grad(lambda x: np.cov(x).sum())(X.astype(np.float32)).dtype == np.float32


def test_correlations():
    same_value_and_derivatives(np.corrcoef, X)
    same_value_and_derivatives(np.corrcoef, X[0], Y[0])
    same_value_and_derivatives(lambda x: np.corrcoef(x, rowvar=False), X[:, :2])
    same_value_and_derivatives(np.corrcoef, X[:2] + 1j * Y)
    np.testing.assert_allclose(pb.grad(np.corrcoef)(X[0]), 0, atol=1e-12)


def test_wrong_weights_are_named():
    for options, error, message in [
        ({"fweights": [0.5] * 6}, DTypeError, "whole numbers"),
        ({"aweights": [1.0] * 5}, ShapeError, "one weight for each of the 6"),
    ]:
        with pytest.raises(error, match=message):
            pb.grad(lambda x, o=options: np.cov(x, **o).sum())(X)
    with pytest.raises(ShapeError, match="one or two axes"):
        pb.grad(lambda x: np.cov(x[None]).sum())(X)
    with pytest.warns(RuntimeWarning, match="Degrees of freedom|divide|invalid"):
        pb.vjp(lambda x: np.cov(x, ddof=6), X)


def test_lexsort_orders_by_the_last_key_first():
    keys = np.array([[1.0, 2.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    graph = pb.trace(lambda a, b: np.lexsort((a, b)) * 1.0, *keys)
    np.testing.assert_array_equal(graph(*keys), np.lexsort(tuple(keys)))


def test_sort_complex_sorts_by_real_then_imaginary_part():
    same_value_and_derivatives(np.sort_complex, X[0] + 1j * X[1])
    same_value_and_derivatives(np.sort_complex, X[0])


def test_mantissa_and_exponent():
    same_value_and_derivatives(lambda x: np.frexp(x)[0], X)
    same_value_and_derivatives(lambda x: np.ldexp(*np.frexp(x)), X)
    same_value_and_derivatives(lambda x: np.ldexp(x, [1, 2, 3, 0, -1, -2]), X)
    np.testing.assert_array_equal(pb.grad(lambda x: np.ldexp(*np.frexp(x)).sum())(X), 1.0)


def test_zeros_are_trimmed_on_the_sides_named():
    x = np.array([0.0, 0.0, 1.0, 0.0, 2.0, 0.0])
    for trim in ("fb", "f", "b"):
        out, _ = pb.vjp(lambda x, t=trim: np.trim_zeros(x, t), x)
        np.testing.assert_array_equal(out, np.trim_zeros(x, trim))
    out, _ = pb.vjp(np.trim_zeros, np.zeros(3))
    assert out.shape == (0,)
    np.testing.assert_array_equal(pb.jacobian(np.trim_zeros)(x), np.eye(6)[2:5])
    with pytest.raises(ValueError, match="trim: expected"):
        pb.grad(lambda x: np.trim_zeros(x, "x").sum())(x)


def test_parts_and_replacements_of_complex_numbers():
    z = X[0] + 1e-17j
    assert pb.vjp(np.real_if_close, z)[0].dtype == np.float64
    assert pb.vjp(np.real_if_close, z + 1j)[0].dtype == np.complex128
    broken = np.array([complex(1, np.nan), complex(np.inf, 2), 3j])
    out, _ = pb.vjp(np.nan_to_num, broken)
    np.testing.assert_array_equal(out, np.nan_to_num(broken))


def test_questions_have_numpys_answers():
    x = np.array([1.0, np.inf, -np.inf, np.nan])
    for function in (np.isposinf, np.isneginf, np.isreal, np.iscomplex):
        answers = []
        pb.grad(lambda x, f=function: answers.append(f(x)) or x[0])(x)
        np.testing.assert_array_equal(answers[0], function(x))
    for function in (np.common_type, np.min_scalar_type, np.array2string, np.array_repr):
        answers = []
        pb.grad(lambda x, f=function: answers.append(f(x)) or x[0])(x)
        assert answers[0] == function(x)
    assert pb.trace(lambda x: x * np.allclose(x, x), X)(X).shape == X.shape
    for other in (x, x[:2], x * 2):
        for function in (np.array_equal, np.array_equiv):
            answers = []
            pb.grad(lambda x, f=function, o=other: answers.append(f(x, o)) or x[0])(x)
            assert answers[0] == function(x, other)
    for options in ({}, {"equal_nan": True}):
        answers = []
        pb.grad(lambda x, o=options: answers.append(np.isclose(x, x[::-1], **o)) or x[0])(x)
        np.testing.assert_array_equal(answers[0], np.isclose(x, x[::-1], **options))


def test_einsum_takes_lists_of_axes_and_a_dtype():
    same_value_and_derivatives(lambda x, y: np.einsum(x, [0, 2], y, [1, 2], [1, 0]), X, Y)
    same_value_and_derivatives(lambda x, y: np.einsum(x, [0, 2], y, [1, 2]), X, Y)
    same_value_and_derivatives(lambda x: np.einsum(x, [..., 0], [0, ...]), X)
    single = X.astype(np.float32)
    out, _ = pb.vjp(lambda x: np.einsum("ij->j", x, dtype=np.float64), single)
    assert out.dtype == np.float64
    paths = []
    pb.grad(lambda x: paths.append(np.einsum_path("ij,kj->ik", x, Y)[0]) or x.sum())(X)
    assert paths[0] == np.einsum_path("ij,kj->ik", X, Y)[0]
