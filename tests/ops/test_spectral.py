"""Eigenvalues, singular values, QR: values as NumPy's, gauges, equal values, JAX."""

import functools

import numpy as np
import pytest
from like_numpy import assert_as_numpy, assert_same

import pullback as pb

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + np.diag([0.0, 4.0, 9.0])
Z = A + 1j * RNG.normal(size=(3, 3))
STACK = RNG.normal(size=(2, 4, 3, 3)) + np.diag([0.0, 4.0, 9.0])
TURNING = np.array([[0.0, -5.0, 1.0], [5.0, 1.0, 0.5], [0.3, -1.0, 9.0]])
TALL = RNG.normal(size=(5, 3)) + 3 * np.eye(5, 3) * np.array([1.0, 2.0, 3.0])


def symmetric(x, xp=np):
    return (x + xp.conj(xp.swapaxes(x, -1, -2))) / 2


def adjoint(x, xp=np):
    return xp.conj(xp.swapaxes(x, -1, -2))


def square_root(xp, x):
    w, v = xp.linalg.eigh(x @ adjoint(x, xp) + np.eye(x.shape[-1]))
    return (v * xp.sqrt(w)[..., None, :]) @ adjoint(v, xp)


def polar(xp, x):
    u, _, vh = xp.linalg.svd(x, full_matrices=False)
    return u @ vh


def projector(xp, x):
    u = xp.linalg.svd(x, full_matrices=False)[0][..., :2]
    return u @ adjoint(u, xp)


FREE_OF_GAUGE = {
    "eigvalsh": lambda xp, x: xp.linalg.eigvalsh(symmetric(x, xp)),
    "eigvalsh U": lambda xp, x: xp.linalg.eigvalsh(symmetric(x, xp), UPLO="U"),
    "eigh projectors": lambda xp, x: xp.abs(xp.linalg.eigh(symmetric(x, xp))[1]) ** 2,
    "matrix root": square_root,
    "svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "svdvals hermitian": lambda xp, x: xp.linalg.svd(
        symmetric(x, xp), compute_uv=False, hermitian=True
    ),
    "polar": polar,
    "projector": projector,
    "svd": lambda xp, x: xp.abs(xp.linalg.svd(x, full_matrices=False)[2]),
    "qr": lambda xp, x: tuple(xp.linalg.qr(x)),
    "qr r": lambda xp, x: xp.linalg.qr(x, mode="r"),
}
SQUARE_ONLY = ("eigvalsh", "eigvalsh U", "eigh projectors", "matrix root", "svdvals hermitian")


def numpys(name):
    return functools.partial(FREE_OF_GAUGE[name], np)


@pytest.mark.parametrize("x", [A, Z, STACK[:, 0]], ids=["real", "complex", "stack"])
@pytest.mark.parametrize("name", FREE_OF_GAUGE)
def test_derivatives_to_second_order(name, x):
    assert_as_numpy(numpys(name), x)
    pb.check_grads(numpys(name), (x,), order=2, eps=1e-5, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("x", [TALL, TALL.T, TALL[:, :2] + 1j * TALL[:, 1:]])
@pytest.mark.parametrize("name", [n for n in FREE_OF_GAUGE if n not in SQUARE_ONLY])
def test_derivatives_for_matrices_that_are_not_square(name, x):
    assert_as_numpy(numpys(name), x)
    pb.check_grads(numpys(name), (x,), order=2, eps=1e-5, atol=2e-5, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE_OF_GAUGE)
def test_gradients_and_hessian_vector_products_are_those_of_jax(jax, name):
    def scalar(xp):
        return lambda x: sum(
            xp.sum(xp.sin(y)) for y in pb.tree.leaves((FREE_OF_GAUGE[name](xp, x),))
        )

    ours, theirs = scalar(np), scalar(jax.numpy)
    np.testing.assert_allclose(pb.grad(ours)(A), jax.grad(theirs)(A), rtol=1e-8, atol=1e-9)
    v = TALL[:3]
    (found,) = pb.hvp(ours, (A,), (v,))
    expected = jax.jvp(jax.grad(theirs), (jax.numpy.asarray(A),), (jax.numpy.asarray(v),))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", FREE_OF_GAUGE)
def test_functions_are_mapped(name):
    def scalar(x):
        return sum(np.sum(np.sin(y)) for y in pb.tree.leaves((numpys(name)(x),)))

    each = np.stack([pb.grad(scalar)(x) for x in STACK[0]])
    np.testing.assert_allclose(pb.vmap(pb.grad(scalar))(STACK[0]), each, rtol=1e-8, atol=1e-10)


# what the functions return


@pytest.mark.parametrize("x", [A, Z, STACK, A.astype("f"), Z.astype("F"), np.zeros((2, 0, 0))])
def test_results_have_numpys_types(x):
    assert_as_numpy(np.linalg.eigh, symmetric(x))
    assert_as_numpy(np.linalg.eigvalsh, symmetric(x))
    assert_as_numpy(np.linalg.svd, x)
    assert_as_numpy(lambda x: np.linalg.svd(symmetric(x), hermitian=True), x)
    assert_as_numpy(np.linalg.qr, x)
    assert_same(pb.vjp(np.linalg.eig, x)[0], np.linalg.eig(x))
    assert_same(pb.jvp(np.linalg.eigvals, (x,), (x,))[0], np.linalg.eigvals(x))
    for modes in ({"full_matrices": False}, {"compute_uv": False}):
        assert_as_numpy(lambda x, modes=modes: np.linalg.svd(x, **modes), x[..., :2])


def test_eigenvalues_are_real_where_numpys_are_and_complex_under_trace():
    turning = np.array([[0.0, -2.0], [2.0, 0.0]])
    assert pb.vjp(np.linalg.eigvals, A)[0].dtype == np.float64
    assert pb.vjp(np.linalg.eigvals, turning)[0].dtype == np.complex128
    traced = pb.trace(np.linalg.eig, A)(A)
    assert traced.eigenvalues.dtype == np.complex128
    np.testing.assert_allclose(traced.eigenvectors, np.linalg.eig(A)[1])
    mapped = pb.vmap(np.linalg.eigvals)(np.stack([A, A.T]))
    assert mapped.dtype == np.complex128


# eigenvectors of matrices that are not Hermitian


@pytest.mark.parametrize("x", [A, Z, TURNING, STACK])
def test_eig_moves_the_very_vectors_that_numpy_returns(x):
    pb.check_grads(np.linalg.eig, (x,), order=2, eps=1e-5, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("x", [A, Z, TURNING])
def test_a_function_of_a_matrix_through_its_eigenvectors(jax, x):
    def ours(x):
        w, v = np.linalg.eig(x)
        exponential = (v * np.exp(w / 9)) @ np.linalg.inv(v)
        return np.sum(np.real(np.sin(w))) + np.sum(np.real(np.sin(exponential)))

    def theirs(x):
        w = jax.numpy.linalg.eigvals(x)
        exponential = jax.scipy.linalg.expm(x / 9)
        return jax.numpy.sum(jax.numpy.sin(w).real) + jax.numpy.sum(jax.numpy.sin(exponential).real)

    np.testing.assert_allclose(pb.grad(ours)(x), jax.grad(theirs)(x), rtol=1e-8, atol=1e-9)


def test_the_sum_of_equal_eigenvalues_of_a_general_matrix():
    gradient = pb.grad(lambda x: np.sum(np.real(np.linalg.eigvals(x)) ** 2))(2 * np.eye(3))
    np.testing.assert_allclose(gradient, 4 * np.eye(3))


# equal values


EQUAL = [
    np.eye(3),
    np.zeros((3, 3)),
    np.diag([1.0, 2.0, 2.0]),
    np.ones((3, 3)),
    np.diag([1, 2, -2.0]),
]


@pytest.mark.parametrize("x", EQUAL)
def test_symmetric_functions_of_equal_eigenvalues_have_their_gradients(x):
    def powers(x):
        return np.sum(np.linalg.eigvalsh(x) ** 3)

    np.testing.assert_allclose(pb.grad(powers)(x), 3 * x @ x, atol=1e-12)
    np.testing.assert_allclose(
        pb.grad(lambda x: np.sum(np.linalg.svdvals(x) ** 2))(x), 2 * x, atol=1e-12
    )
    np.testing.assert_allclose(
        pb.grad(lambda x: np.sum(np.linalg.eigvals(x + x.T).real ** 2) / 4)(x), 2 * x, atol=1e-12
    )


@pytest.mark.parametrize("x", EQUAL)
@pytest.mark.parametrize("function", [np.linalg.eigh, np.linalg.svd, np.linalg.eig])
def test_no_derivative_at_equal_values_is_nan(function, x):
    def total(x):
        return sum(np.sum(np.real(y) * np.arange(1.0, 4.0)) for y in function(x))

    assert np.isfinite(pb.grad(total)(x)).all()
    assert np.isfinite(pb.jvp(total, (x,), (A,))[1])


def test_rounding_does_not_make_equal_eigenvalues_differ():
    q = np.linalg.qr(A)[0]
    x = symmetric(q @ np.diag([1.0, 1.0, 5.0]) @ q.T)

    def projected(x):
        v = np.linalg.eigh(x)[1][:, :2]
        return np.sum(v @ v.T * A)

    tangent = symmetric(Z.imag)
    low, high = q[:, :2], q[:, 2:]
    mixed = low @ low.T @ tangent @ high @ high.T / (1 - 5)
    np.testing.assert_allclose(
        pb.jvp(projected, (x,), (tangent,))[1], np.sum((mixed + mixed.T) * A), rtol=1e-10
    )


def test_the_polar_factor_is_smooth_where_singular_values_are_equal():
    pb.check_grads(numpys("polar"), (np.eye(3),), order=1, atol=1e-7)
    pb.check_grads(numpys("polar"), (2.0 * np.linalg.qr(Z)[0],), order=1, atol=1e-7)


def test_the_nuclear_norm_of_a_matrix_below_full_rank_has_a_subgradient():
    x = np.outer([3.0, 4.0], [1.0, 0.0])
    gradient = pb.grad(lambda x: np.linalg.norm(x, "nuc"))(x)
    np.testing.assert_allclose(gradient[:, 0], [0.6, 0.8])
    assert np.linalg.norm(gradient, 2) <= 1 + 1e-12


# triangles and completed bases


@pytest.mark.parametrize("UPLO", ["L", "U", "l"])
def test_eigh_reads_one_triangle_and_gives_a_symmetric_gradient(UPLO):
    full = symmetric(A)
    half = np.triu(full) if UPLO == "U" else np.tril(full)

    def function(x):
        w, v = np.linalg.eigh(x, UPLO=UPLO)
        return np.sum(np.sin(w)) + np.sum(v**4)

    value, gradient = pb.value_and_grad(function)(half)
    np.testing.assert_allclose(value, function(full))
    np.testing.assert_allclose(gradient, gradient.T)
    np.testing.assert_allclose(gradient, pb.grad(function)(full), rtol=1e-10)


@pytest.mark.parametrize("x", [TALL, TALL.T, TALL[:, :2] + 1j * TALL[:, 1:]])
def test_what_lies_beyond_the_range_is_the_complement(x):
    m, n = x.shape

    def left(x):
        u = np.linalg.svd(x)[0][:, min(m, n) :]
        return u @ adjoint(u)

    def right(x):
        v = adjoint(np.linalg.svd(x)[2])[:, min(m, n) :]
        return v @ adjoint(v)

    def range_of_qr(x):
        q = np.linalg.qr(x, mode="complete")[0][:, n:]
        return q @ adjoint(q)

    for function in (left, right, range_of_qr):
        assert_as_numpy(function, x)
        pb.check_grads(function, (x,), order=2, eps=1e-5, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("x", [TALL, TALL.T, STACK, np.zeros((3, 0)), np.zeros((0, 3))])
@pytest.mark.parametrize("mode", ["reduced", "complete", "r"])
def test_qr_in_every_mode(mode, x):
    assert_as_numpy(lambda x: np.linalg.qr(x, mode), x)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: np.linalg.eigh(x, UPLO="X"), ValueError, "UPLO: expected 'L' or 'U'"),
        (lambda x: np.linalg.qr(x, "raw"), pb.errors.NotDifferentiableError, "mode: expected"),
        (lambda x: np.linalg.eig(x[:2]), pb.errors.ShapeError, "eig: expected square"),
        (lambda x: np.linalg.svd(x[0]), pb.errors.ShapeError, "svd: expected a matrix"),
    ],
)
def test_errors_name_what_was_wrong(function, error, message):
    with pytest.raises(error, match=message):
        pb.vjp(function, A)
