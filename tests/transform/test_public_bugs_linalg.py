"""Linear algebra where others are reported wrong: equal values, zeros, singular matrices."""

import numpy as np
import pytest
from gradient_cases import Case, array, check, quiet

import pullback as pb
from pullback.scipy import linalg

EYE = np.eye(2)
A = np.array([[2.0, 1.0], [1.0, 3.0]])  # det 5
INVERSE = np.linalg.inv(A)
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])

LINALG = {
    "trace through eigvalsh of the identity": Case(
        lambda a: np.linalg.eigvalsh(a), [EYE], [EYE]
    ),
    "trace through eigh of equal values": Case(
        lambda a: np.linalg.eigh(a)[0], [3 * np.eye(3)], [np.eye(3)]
    ),
    "square sum of eigenvalues of the identity": Case(
        lambda a: np.linalg.eigvalsh(a) ** 2, [EYE], [2 * EYE]
    ),
    "trace of a function of a symmetric matrix with equal values": Case(
        lambda a: (lambda w, v: np.trace((v * w**2) @ v.T))(*np.linalg.eigh(a)), [EYE], [2 * EYE]
    ),
    "eigenvalues of a diagonal matrix": Case(
        lambda a: np.linalg.eigvalsh(a) * array(1, 10), [np.diag([2.0, 1.0])],
        [np.diag([10.0, 1.0])],
    ),
    "singular values of the identity": Case(
        lambda a: np.linalg.svd(a, compute_uv=False), [EYE], [EYE]
    ),
    "square sum of singular values": Case(
        lambda a: np.linalg.svd(a, compute_uv=False) ** 2, [A], [2 * A]
    ),
    "product of the factors of an svd": Case(
        lambda a: (lambda u, s, v: (u * s) @ v)(*np.linalg.svd(a)), [A], [np.ones((2, 2))]
    ),
    "nuclear norm": Case(
        lambda a: np.linalg.norm(a, "nuc"), [np.diag([2.0, 3.0])], [EYE]
    ),
    "spectral norm": Case(
        lambda a: np.linalg.norm(a, 2), [np.diag([2.0, 3.0])], [np.diag([0.0, 1.0])]
    ),
    "Frobenius norm at 0": Case(np.linalg.norm, [np.zeros((2, 2))], [np.zeros((2, 2))]),
    "1-norm of a matrix": Case(
        lambda a: np.linalg.norm(a, 1), [np.array([[1.0, -2.0], [0.5, 3.0]])], [[[0, -1], [0, 1]]]
    ),
    "det": Case(np.linalg.det, [A], [5 * INVERSE.T]),
    "det of a singular matrix": Case(np.linalg.det, [SINGULAR], [[[4, -2], [-2, 1]]]),
    "det of a zero matrix": Case(np.linalg.det, [np.zeros((3, 3))], [np.zeros((3, 3))]),
    "det of a matrix of one number": Case(np.linalg.det, [np.zeros((1, 1))], [[[1]]]),
    "slogdet of a negative determinant": Case(
        lambda a: np.linalg.slogdet(a)[1], [A[::-1]], [np.linalg.inv(A[::-1]).T]
    ),
    "inv": Case(np.linalg.inv, [A], [-np.outer(INVERSE.sum(0), INVERSE.sum(1))]),
    "solve with a vector": Case(
        np.linalg.solve, [A, array(1, 2)],
        [-np.outer(INVERSE.sum(0), INVERSE @ array(1, 2)), INVERSE.sum(0)],
    ),
    "solve with a matrix": Case(
        np.linalg.solve, [A, EYE], [-np.outer(INVERSE.sum(0), INVERSE.sum(1)),
                                    np.outer(INVERSE.sum(0), np.ones(2))],
    ),
    "solve for a stack": Case(
        lambda a, b: np.linalg.solve(a, b), [np.stack([EYE, 2 * EYE]), np.ones((2, 2, 1))],
        [np.stack([-np.ones((2, 2)), -np.full((2, 2), 0.25)]),
         [[[1], [1]], [[0.5], [0.5]]]],
    ),
    "pinv of an invertible matrix": Case(
        np.linalg.pinv, [A], [-np.outer(INVERSE.sum(0), INVERSE.sum(1))]
    ),
    "matrix_power 0": Case(lambda a: np.linalg.matrix_power(a, 0), [A], [np.zeros((2, 2))]),
    "matrix_power 2": Case(
        lambda a: np.trace(np.linalg.matrix_power(a, 2)), [SINGULAR], [2 * SINGULAR.T]
    ),
    "matrix_power -1": Case(
        lambda a: np.linalg.matrix_power(a, -1), [A], [-np.outer(INVERSE.sum(0), INVERSE.sum(1))]
    ),
    "multi_dot with vectors": Case(
        lambda x, a: np.linalg.multi_dot([x, a, x]), [array(1, 2), A], [(A + A.T) @ array(1, 2),
                                                                      [[1, 2], [2, 4]]],
    ),
    "cholesky of a diagonal matrix": Case(
        lambda a: np.diagonal(np.linalg.cholesky(a)), [np.diag([4.0, 9.0])],
        [np.diag([1 / 4, 1 / 6])],
    ),
    "logdet through cholesky": Case(
        lambda a: 2 * np.sum(np.log(np.diagonal(np.linalg.cholesky(a)))), [A], [INVERSE]
    ),
    "R of a triangular matrix": Case(
        lambda a: np.abs(np.diagonal(np.linalg.qr(a)[1])), [np.diag([2.0, -3.0])],
        [np.diag([1.0, -1.0])],
    ),
    "lstsq with a square matrix": Case(
        lambda b: np.linalg.lstsq(A, b)[0], [array(1, 2)], [INVERSE.sum(0)]
    ),
    "expm of 0": Case(linalg.expm, [np.zeros((2, 2))], [np.ones((2, 2))]),
    "masked inverse": Case(
        lambda a: np.where(np.eye(2, 1, dtype=bool), np.diagonal(a**-1.0, 0, 1, 2), 0.0),
        [np.stack([2 * EYE, np.zeros((2, 2))])],
        [np.stack([-0.25 * EYE, np.zeros((2, 2))])],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINALG)
def test_the_gradient_of_linear_algebra_is_right(name):
    check(LINALG[name], rtol=1e-9)


def test_the_hessian_of_a_determinant_is_right_at_a_singular_matrix():
    hessian = pb.hessian(np.linalg.det)(np.zeros((2, 2)))
    expected = np.zeros((2, 2, 2, 2))
    expected[0, 0, 1, 1] = expected[1, 1, 0, 0] = 1
    expected[0, 1, 1, 0] = expected[1, 0, 0, 1] = -1
    np.testing.assert_allclose(quiet(lambda: hessian), expected, atol=1e-12)


def test_a_singular_system_is_an_error_as_in_numpy():
    with pytest.raises(np.linalg.LinAlgError):
        pb.grad(lambda a: np.sum(np.linalg.inv(a)))(SINGULAR)


def test_single_precision_stays_in_linear_algebra():
    for function in (np.linalg.inv, np.linalg.det, np.linalg.eigvalsh, np.linalg.cholesky):
        gradient = pb.grad(lambda a, f=function: np.sum(f(a)))(A.astype(np.float32))
        assert gradient.dtype == np.float32


def test_the_rank_is_a_constant():
    found = pb.grad(lambda a: np.linalg.matrix_rank(a) * np.sum(a))(SINGULAR)
    np.testing.assert_array_equal(found, np.ones((2, 2)))


@pytest.mark.parametrize("op", ["eigh", "svd"])
def test_eigenvectors_of_equal_values_keep_their_stated_convention_and_are_diagnosed(op):
    def rebuilt(a):
        parts = getattr(np.linalg, op)(a)
        w, left, right = (parts[1], parts[0], parts[2]) if op == "svd" else (*parts, parts[1].T)
        return (left * w) @ right

    # the slope between equal values is 0 / 0: by convention the vectors do not turn, so that only
    # the values' own part is left; for another convention write the function without the vectors
    np.testing.assert_allclose(pb.grad(lambda a: np.sum(rebuilt(a)))(EYE), EYE, atol=1e-12)
    found = pb.diagnose(rebuilt, EYE).findings
    assert [(f.kind, f.convention != "") for f in found] == [("undefined", True)]
    assert not pb.diagnose(rebuilt, A).findings
