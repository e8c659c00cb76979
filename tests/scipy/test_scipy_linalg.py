"""pullback.scipy.linalg: values as SciPy's, derivatives to second order, against JAX."""

import functools

import numpy as np
import pytest
import scipy.linalg as sl
from like_numpy import assert_as_numpy, assert_same

import pullback as pb
from pullback.core.op import OPS
from pullback.scipy import linalg

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
Z = A + 1j * RNG.normal(size=(3, 3))
B = RNG.normal(size=(3, 2))
V = RNG.normal(size=3)


def positive(x):
    return x @ x.conj().T + np.eye(3)


FUNCTIONS = {
    "solve_triangular": lambda m, x: m.solve_triangular(x, B),
    "solve_triangular lower": lambda m, x: m.solve_triangular(x, V, lower=True),
    "solve_triangular unit": lambda m, x: m.solve_triangular(x, B, unit_diagonal=True),
    "solve_triangular T": lambda m, x: m.solve_triangular(x, x @ B, trans="T"),
    "solve_triangular 2": lambda m, x: m.solve_triangular(x, x @ B, trans=2, lower=True),
    "cholesky": lambda m, x: m.cholesky(positive(x)),
    "cholesky lower": lambda m, x: m.cholesky(positive(x), lower=True),
    "cho_solve": lambda m, x: m.cho_solve(m.cho_factor(positive(x)), V),
    "cho_solve lower": lambda m, x: m.cho_solve(m.cho_factor(positive(x), lower=True), B),
    "solve": lambda m, x: m.solve(x, B),
    "solve transposed": lambda m, x: m.solve(x, V, transposed=True),
    "solve hermitian": lambda m, x: m.solve(positive(x), V, assume_a="her"),
    "solve positive": lambda m, x: m.solve(positive(x), B, lower=True, assume_a="pos"),
    "inv": lambda m, x: m.inv(x),
    "det": lambda m, x: m.det(x),
    "expm": lambda m, x: m.expm(x),
    "sqrtm": lambda m, x: m.sqrtm(x),
    "solve_sylvester": lambda m, x: m.solve_sylvester(x, x @ x, x.T),
}


NOT_IN_JAX = {"solve transposed", "sqrtm", "solve_sylvester"}


def ours(name):
    return functools.partial(FUNCTIONS[name], linalg)


@pytest.mark.parametrize("x", [A, Z, A.astype("f"), Z.astype("F")], ids=["A", "Z", "f", "F"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_scipys(name, x):
    if name == "solve transposed" and x.dtype.kind == "c":
        expected = np.linalg.solve(x.T, V)  # which SciPy refuses
    else:
        expected = FUNCTIONS[name](sl, x)
    precise = x.dtype in (np.float64, np.complex128)
    np.testing.assert_allclose(ours(name)(x), expected, rtol=1e-9 if precise else 1e-2, atol=1e-4)
    assert ours(name)(x).dtype == expected.dtype
    assert_as_numpy(ours(name), x)


@pytest.mark.parametrize("x", [A, Z], ids=["real", "complex"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_to_second_order(name, x):
    pb.check_grads(ours(name), (x,), order=2, eps=1e-5, atol=3e-5, rtol=3e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_mapped(name):
    stack = np.stack([A, A.T, A @ A])

    def scalar(x):
        return np.sum(np.sin(ours(name)(x)))

    each = np.stack([pb.grad(scalar)(x) for x in stack])
    np.testing.assert_allclose(pb.vmap(pb.grad(scalar))(stack), each, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - NOT_IN_JAX))
def test_gradients_are_those_of_jax(jax, name):
    class Theirs:
        def __getattr__(self, attribute):
            return getattr(jax.scipy.linalg, attribute)

    theirs = jax.grad(lambda x: jax.numpy.sum(jax.numpy.sin(FUNCTIONS[name](Theirs(), x))))
    found = pb.grad(lambda x: np.sum(np.sin(ours(name)(x))))(A)
    np.testing.assert_allclose(found, theirs(jax.numpy.asarray(A)), rtol=1e-8, atol=1e-9)


def test_the_square_root_and_the_solution_satisfy_their_equations():
    e = RNG.normal(size=(3, 3))
    root, change = pb.jvp(linalg.sqrtm, (A,), (e,))
    np.testing.assert_allclose(root @ change + change @ root, e, atol=1e-12)
    x, dx = pb.jvp(lambda q: linalg.solve_sylvester(A, A @ A, q), (B @ B.T,), (e,))
    np.testing.assert_allclose(A @ x + x @ A @ A, B @ B.T, atol=1e-12)
    np.testing.assert_allclose(A @ dx + dx @ A @ A, e, atol=1e-12)


def test_the_derivative_of_the_exponential_is_scipys():
    e = RNG.normal(size=(3, 3))
    value, change = pb.jvp(linalg.expm, (A,), (e,))
    expected = sl.expm_frechet(A, e)
    np.testing.assert_allclose(value, expected[0], rtol=1e-10)
    np.testing.assert_allclose(change, expected[1], rtol=1e-10)
    commuting = pb.grad(lambda t: linalg.expm(t * A)[0, 1])(0.7)
    np.testing.assert_allclose(commuting, (A @ sl.expm(0.7 * A))[0, 1], rtol=1e-12)


def test_functions_of_matrices_with_equal_eigenvalues():
    e = RNG.normal(size=(3, 3))
    for x in (np.eye(3), np.diag([1.0, 1.0, 2.0])):
        pb.check_grads(linalg.sqrtm, (x,), order=2)
        pb.check_grads(linalg.expm, (x,), order=2)
    np.testing.assert_allclose(pb.jvp(linalg.sqrtm, (np.eye(3),), (e,))[1], e / 2)
    np.testing.assert_allclose(pb.jvp(linalg.expm, (np.zeros((3, 3)),), (e,))[1], e)


def test_only_the_triangle_that_is_read_has_a_gradient():
    gradient = pb.grad(lambda x: np.sum(linalg.solve_triangular(x, V, unit_diagonal=True)))(A)
    np.testing.assert_array_equal(gradient, np.triu(gradient, 1))
    gradient = pb.grad(lambda x: np.sum(linalg.solve_triangular(x, V, trans=1)))(A)
    np.testing.assert_array_equal(gradient, np.triu(gradient))


@pytest.mark.parametrize("name", ["solve", "solve_triangular", "solve_sylvester"])
def test_the_rule_of_one_argument_is_that_of_all(name):
    args, params = OPS[name].samples(np.random.default_rng(0))[0]
    out = OPS[name](*args, **params)
    for i, expected in enumerate(OPS[name].vjp_all(out, out, args, params)):
        np.testing.assert_array_equal(OPS[name].vjp(i, out, out, args, params), expected)


def test_stacks_broadcast():
    a, b = RNG.normal(size=(2, 1, 3, 3)) + 3 * np.eye(3), RNG.normal(size=(4, 3, 2))
    assert_as_numpy(linalg.solve_triangular, a, b)
    np.testing.assert_allclose(linalg.solve_triangular(a, b), np.linalg.solve(np.triu(a), b))
    assert_as_numpy(linalg.sqrtm, positive(A)[None])
    assert_as_numpy(linalg.solve_sylvester, a, a[:, 0], (b @ b.swapaxes(-1, -2))[:2])


def test_matrices_without_elements():
    for function in (linalg.expm, linalg.sqrtm, linalg.inv, linalg.cholesky):
        assert function(np.zeros((0, 0))).shape == (0, 0)
        assert function(np.zeros((2, 0, 0))).shape == (2, 0, 0)
    assert linalg.solve_triangular(np.zeros((0, 0)), np.zeros(0)).shape == (0,)


def test_a_complex_root_of_a_real_matrix_is_asked_for():
    with pytest.raises(pb.errors.DTypeError, match=r"a\.astype\(complex\)"):
        linalg.sqrtm(-np.eye(2))
    assert_same(linalg.sqrtm(-np.eye(2) + 0j), 1j * np.eye(2))


def test_other_names_are_scipys_own():
    assert linalg.block_diag is sl.block_diag
    assert pb.scipy.linalg is linalg
    assert {"expm", "block_diag"} <= set(dir(linalg))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: linalg.solve_triangular(x, V, trans="H"), ValueError, "trans: expected"),
        (lambda x: linalg.solve_triangular(x, V[:2]), pb.errors.ShapeError, "b with 3 rows"),
        (lambda x: linalg.solve(x, V, assume_a="banded"), ValueError, "assume_a: expected"),
        (lambda x: linalg.solve(x, x[0, 0]), pb.errors.ShapeError, "b with 3 rows"),
        (lambda x: linalg.expm(x[:2]), pb.errors.ShapeError, "expm: expected square"),
        (lambda x: linalg.solve_sylvester(x, x, x[:2]), pb.errors.ShapeError, "q: expected 3"),
    ],
)
def test_errors_name_what_was_wrong(function, error, message):
    with pytest.raises(error, match=message):
        pb.vjp(function, A)
