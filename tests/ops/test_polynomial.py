"""Polynomials by coefficients: values as NumPy's, derivatives, and the roots' implicit ones."""

import numpy as np
import pytest
from against_numpy import same_value_and_derivatives

import pullback as pb
from pullback.core.errors import NotDifferentiableError, ShapeError

RNG = np.random.default_rng(5)
P = np.array([1.5, -2.0, 0.5, 3.0])
Q = np.array([0.7, 1.0, -1.2])
X = RNG.normal(size=(2, 3))


def test_values_of_polynomials():
    same_value_and_derivatives(np.polyval, P, X)
    same_value_and_derivatives(lambda p: np.polyval(p, [1, 2]), P)
    same_value_and_derivatives(lambda x: np.polyval([1, 2, 3], x), X)


def test_sums_products_and_quotients():
    for function in (np.polyadd, np.polysub, np.polymul, np.polydiv):
        same_value_and_derivatives(function, P, Q)
        same_value_and_derivatives(function, Q, Q[:2])
    same_value_and_derivatives(np.polyadd, Q, P)
    same_value_and_derivatives(np.polydiv, Q, P)


def test_a_division_is_undone_by_multiplication():
    def back(u, v):
        quotient, rest = np.polydiv(u, v)
        return np.polyadd(np.polymul(quotient, v), rest)

    du, dv = pb.jacobian(back, (0, 1))(P, Q)
    np.testing.assert_allclose(du, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(dv, np.zeros((4, 3)), atol=1e-12)


def test_derivatives_and_integrals():
    for m in (0, 1, 2, 4):
        same_value_and_derivatives(lambda p, m=m: np.polyder(p, m), P)
        same_value_and_derivatives(lambda p, m=m: np.polyint(p, m), P)
    same_value_and_derivatives(lambda p, k: np.polyint(p, 2, k), P, Q[:2])


def test_leading_zeros_are_kept_with_their_derivatives():
    product = pb.jacobian(lambda p: np.polymul(p, Q))(np.array([0.0, 2.0]))
    np.testing.assert_allclose(product[:, 0], [*Q, 0.0])


def test_the_polynomial_of_roots_or_of_a_matrix():
    same_value_and_derivatives(np.poly, P)
    matrix = RNG.normal(size=(3, 3))
    found = pb.grad(lambda a: np.real(np.poly(a))[-1])(matrix)
    np.testing.assert_allclose(found, -np.linalg.det(matrix) * np.linalg.inv(matrix).T)


def test_roots_move_by_the_implicit_function_theorem():
    real = np.array([1.0, -3.5, 2.0, 0.7])
    same_value_and_derivatives(np.roots, real, graph=False)
    complex_roots = np.array([1.0, 0.5, 2.0])
    same_value_and_derivatives(np.roots, complex_roots)
    same_value_and_derivatives(np.roots, np.array([1.0, -3.0, 2.0, 0.0]), graph=False)
    same_value_and_derivatives(np.roots, complex_roots + 0.3j)
    b, c = 5.0, 2.0
    gradient = pb.grad(lambda p: np.max(np.roots(p)))(np.array([1.0, b, c]))
    root = np.sqrt(b * b - 4 * c)
    np.testing.assert_allclose(gradient[1:], [(-1 + b / root) / 2, -1 / root])


def test_the_roots_of_a_batch_of_polynomials():
    p = RNG.normal(size=(3, 5))
    expected = np.stack([np.sort_complex(np.roots(row)) for row in p])
    np.testing.assert_allclose(np.sort_complex(pb.vmap(np.roots)(p)), expected)


def test_the_sum_of_the_roots_is_minus_the_second_coefficient():
    p = np.array([1.0, 0.3, 2.0, -0.8])
    gradient = pb.grad(lambda p: np.real(np.sum(np.roots(p))))(p)
    np.testing.assert_allclose(gradient, [0.3, -1.0, 0.0, 0.0], atol=1e-12)


def test_a_fit_of_least_squares_moves_with_points_and_weights():
    x, y = np.linspace(0.0, 2.0, 7), RNG.normal(size=7)
    w = RNG.uniform(0.5, 1.0, size=7)
    same_value_and_derivatives(lambda x, y: np.polyfit(x, y, 2), x, y)
    same_value_and_derivatives(lambda x, y, w: np.polyfit(x, y, 1, w=w), x, y, w)
    same_value_and_derivatives(lambda y: np.polyfit(x, y, 2), RNG.normal(size=(7, 2)))


def test_wrong_arguments_are_named():
    for call, error, message in [
        (lambda p: np.roots(p * [0, 1, 1, 1]), NotDifferentiableError, r"leave the zero out"),
        (lambda p: np.polyfit(p, p, 1, full=True), NotDifferentiableError, "full=True"),
        (lambda p: np.polyfit(p, p[:2], 1), ShapeError, "polyfit: expected"),
        (lambda p: np.polyval(p[None], 1.0), ShapeError, "sequence of coefficients"),
        (lambda p: np.polyder(p, -1), ValueError, "at least 0"),
        (lambda p: np.polyint(p, -1), ValueError, "at least 0"),
        (lambda p: np.polyint(p, 3, [1.0, 2.0]), ValueError, "at least 3"),
    ]:
        with pytest.raises(error, match=message):
            pb.grad(lambda p, call=call: np.sum(np.real(call(p))))(P)
