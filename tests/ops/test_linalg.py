"""numpy.linalg without the spectra: values as NumPy's, derivatives as JAX's, singular matrices."""

import functools

import numpy as np
import pytest
from like_numpy import assert_as_numpy, assert_same

import pullback as pb

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
Z = A + 1j * RNG.normal(size=(3, 3))
STACK = RNG.normal(size=(2, 4, 3, 3)) + 3 * np.eye(3)
TALL = RNG.normal(size=(5, 3))
B = RNG.normal(size=(3, 2))
V = RNG.normal(size=3)


def positive(x, xp=np):
    return x @ xp.conj(xp.swapaxes(x, -1, -2)) + np.eye(x.shape[-1])


SQUARE = {
    "inv": lambda xp, x: xp.linalg.inv(x),
    "det": lambda xp, x: xp.linalg.det(x),
    "slogdet": lambda xp, x: xp.linalg.slogdet(x),
    "pinv": lambda xp, x: xp.linalg.pinv(x),
    "pinv rtol": lambda xp, x: xp.linalg.pinv(x, rtol=None),
    "pinv hermitian": lambda xp, x: xp.linalg.pinv(positive(x, xp), hermitian=True),
    "cholesky": lambda xp, x: xp.linalg.cholesky(positive(x, xp)),
    "cholesky upper": lambda xp, x: xp.linalg.cholesky(positive(x, xp), upper=True),
    "solve vector": lambda xp, x: xp.linalg.solve(x, V),
    "solve matrix": lambda xp, x: xp.linalg.solve(x, B),
    "solve own": lambda xp, x: xp.linalg.solve(x, x @ x),
    "matrix_power 0": lambda xp, x: xp.linalg.matrix_power(x, 0),
    "matrix_power 1": lambda xp, x: xp.linalg.matrix_power(x, 1),
    "matrix_power 5": lambda xp, x: xp.linalg.matrix_power(x, 5),
    "matrix_power -2": lambda xp, x: xp.linalg.matrix_power(x, -2),
    "cond": lambda xp, x: xp.linalg.cond(x),
    "cond -2": lambda xp, x: xp.linalg.cond(x, -2),
    "cond fro": lambda xp, x: xp.linalg.cond(x, "fro"),
    "cond 1": lambda xp, x: xp.linalg.cond(x, 1),
    "trace": lambda xp, x: xp.linalg.trace(x, offset=1),
    "diagonal": lambda xp, x: xp.linalg.diagonal(x, offset=-1),
    "matrix_transpose": lambda xp, x: xp.linalg.matrix_transpose(x) @ xp.matrix_transpose(x),
    "vecdot": lambda xp, x: xp.linalg.vecdot(x, x[..., ::-1, :], axis=-2),
    "matmul": lambda xp, x: xp.linalg.matmul(x, x),
    "cross": lambda xp, x: xp.linalg.cross(x, x[..., ::-1, :]),
    "matrix_norm": lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc"),
    "norm 2": lambda xp, x: xp.linalg.norm(x, 2, axis=(-2, -1), keepdims=True),
    "norm -2": lambda xp, x: xp.linalg.norm(x, -2, axis=(-1, -2)),
}


def numpys(name):
    return functools.partial(SQUARE[name], np)


def scalar(xp, name):
    """A scalar function of a matrix made of all results of one above."""

    def function(x):
        return sum(xp.sum(xp.sin(y)) for y in pb.tree.leaves((SQUARE[name](xp, x),)))

    return function


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize(
    "x", [A, Z, STACK, A.astype("f"), Z.astype("F")], ids=["A", "Z", "stack", "f", "F"]
)
def test_values_are_numpys(name, x):
    assert_as_numpy(numpys(name), x)


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("x", [A, Z, STACK[:, 0]], ids=["real", "complex", "stack"])
def test_derivatives_to_second_order(name, x):
    pb.check_grads(numpys(name), (x,), order=2, eps=1e-5, atol=2e-5, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SQUARE)
def test_gradients_and_hessian_vector_products_are_those_of_jax(jax, name):
    ours, theirs = scalar(np, name), scalar(jax.numpy, name)
    np.testing.assert_allclose(pb.grad(ours)(A), jax.grad(theirs)(A), rtol=1e-8, atol=1e-9)
    v = TALL[:3]
    (found,) = pb.hvp(ours, (A,), (v,))
    expected = jax.jvp(jax.grad(theirs), (jax.numpy.asarray(A),), (jax.numpy.asarray(v),))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", SQUARE)
def test_functions_are_mapped(name):
    gradient = pb.grad(scalar(np, name))
    each = np.stack([gradient(x) for x in STACK[0]])
    np.testing.assert_allclose(pb.vmap(gradient)(STACK[0]), each, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "pinv", "cholesky", "matrix_power 0"])
@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 2, 2)])
def test_matrices_without_elements(name, shape):
    assert_as_numpy(numpys(name), np.zeros(shape))
    _, pull = pb.vjp(numpys(name), np.zeros(shape))
    (gradient,) = pull(numpys(name)(np.zeros(shape)))
    assert gradient.shape == shape


# determinants of singular matrices


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_the_determinant_is_differentiated_twice_at_matrices_of_any_rank(rank):
    x = RNG.normal(size=(3, rank)) @ RNG.normal(size=(rank, 3))
    a, b, c = x
    cofactors = [np.cross(b, c), np.cross(c, a), np.cross(a, b)]
    np.testing.assert_allclose(pb.grad(np.linalg.det)(x), cofactors, atol=1e-13)
    pb.check_grads(np.linalg.det, (x,), order=2, atol=1e-7)
    pb.check_grads(np.linalg.det, (x + 1j * x,), order=2, atol=1e-7)


def test_the_third_derivative_of_the_determinant_at_the_identity():
    e = RNG.normal(size=(3, 3))

    def along(t):
        return np.linalg.det(np.eye(3) + t * e)

    third = pb.grad(pb.grad(pb.grad(along)))(0.0)
    np.testing.assert_allclose(third, 6 * np.linalg.det(e), rtol=1e-10)


def test_the_gradient_of_the_determinant_in_a_stack_with_a_singular_matrix():
    x = np.stack([np.eye(2), np.ones((2, 2)), np.zeros((2, 2))])
    gradient = pb.grad(lambda x: np.sum(np.linalg.det(x)))(x)
    np.testing.assert_allclose(
        gradient, [np.eye(2), [[1, -1], [-1, 1]], np.zeros((2, 2))], atol=1e-15
    )


@pytest.mark.parametrize("function", [np.linalg.inv, lambda x: np.linalg.slogdet(x)[1]])
def test_what_has_no_derivative_at_singular_matrices_raises(function):
    with pytest.raises(np.linalg.LinAlgError):
        pb.grad(lambda x: np.sum(function(x)))(np.zeros((2, 2)))


def test_the_condition_number_of_a_singular_matrix_is_infinite():
    x = np.diag([1.0, 0.0])
    assert pb.vjp(np.linalg.cond, x)[0] == np.inf
    with np.errstate(divide="ignore"):
        assert pb.trace(np.linalg.cond, x)(x) == np.inf


# triangles


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_reads_one_triangle_and_gives_a_symmetric_gradient(upper):
    full = positive(A)
    half = np.triu(full) if upper else np.tril(full)

    def function(x):
        return np.sum(np.sin(np.linalg.cholesky(x, upper=upper)))

    value, gradient = pb.value_and_grad(function)(half)
    assert value == function(half)
    np.testing.assert_allclose(value, function(full))
    np.testing.assert_allclose(gradient, gradient.T)
    np.testing.assert_allclose(gradient, pb.grad(function)(full), rtol=1e-12)


# least squares


@pytest.mark.parametrize("b", [RNG.normal(size=5), RNG.normal(size=(5, 2)), np.zeros((5, 0))])
def test_lstsq_is_numpys(b):
    assert_as_numpy(np.linalg.lstsq, TALL, b)
    wide = TALL.T
    assert_as_numpy(np.linalg.lstsq, wide, b[:3])
    pb.check_grads(lambda a, b: np.linalg.lstsq(a, b)[:2], (TALL, b), order=2)
    pb.check_grads(lambda a, b: np.linalg.lstsq(a, b)[0], (wide, b[:3]), order=2)


def test_lstsq_of_a_matrix_below_full_rank():
    a = TALL[:, [0, 1, 1]]
    b = TALL[:, 2]
    found = pb.vjp(lambda b: np.linalg.lstsq(a, b), b)[0]
    assert_same(found[:3], np.linalg.lstsq(a, b)[:3])
    assert found[1].shape == (0,)
    gradient = pb.jacobian(lambda b: np.linalg.lstsq(a, b)[0])(b)
    np.testing.assert_allclose(gradient, np.linalg.pinv(a), atol=1e-12)
    traced = pb.trace(np.linalg.lstsq, a, b)(a, b)
    assert np.isnan(traced[1]).all()  # the shape was fixed before the rank was known
    assert traced[2] == 2


def test_pinv_keeps_the_rank():
    low = TALL[:, :1] @ V[None]
    direction = TALL[:, 1:2] @ V[None] + TALL[:, :1] @ B[:, :1].T
    _, tangent = pb.jvp(lambda x: np.linalg.pinv(x, rcond=1e-10), (low,), (direction,))
    h = 1e-6
    ends = [
        np.linalg.pinv((TALL[:, :1] + s * TALL[:, 1:2]) @ (V[None] + s * B[:, :1].T), rcond=1e-10)
        for s in (h, -h)
    ]
    np.testing.assert_allclose(tangent, (ends[0] - ends[1]) / (2 * h), atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"tol": 0.1}, {"rtol": 0.5}, {"hermitian": True}])
def test_the_rank_is_a_constant(options):
    x = positive(A) - np.eye(3)
    assert_as_numpy(lambda x: x[0, 0] * np.linalg.matrix_rank(x, **options), x)
    assert pb.grad(lambda x: 1.0 * np.linalg.matrix_rank(x, **options))(x).sum() == 0
    assert pb.trace(np.linalg.matrix_rank, V)(V) == 1


# tensors


def test_tensor_equations():
    a, b = RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3))
    assert_as_numpy(np.linalg.tensorsolve, a, b)
    pb.check_grads(np.linalg.tensorsolve, (a, b), order=2, eps=1e-5, atol=1e-3, rtol=1e-4)
    moved = np.moveaxis(a, 2, 0)
    assert_as_numpy(lambda a, b: np.linalg.tensorsolve(a, b, axes=(0,)), moved, b)
    for ind, shape in ((1, (6, 2, 3)), (2, (2, 3, 6))):
        assert_as_numpy(lambda x, ind=ind: np.linalg.tensorinv(x, ind), RNG.normal(size=shape))
    assert_as_numpy(lambda x: np.linalg.tensordot(x, x, axes=1), A)
    assert_as_numpy(lambda x: np.linalg.multi_dot([x, B, B.T]), A)


def test_solutions_broadcast_and_keep_the_dtypes_of_their_arguments():
    a, b = STACK[:, :1].astype("f"), RNG.normal(size=(4, 3, 2))
    assert_as_numpy(np.linalg.solve, a, b)
    ga, gb = pb.grad(lambda a, b: np.sum(np.sin(np.linalg.solve(a, b))), (0, 1))(a, b)
    assert (ga.shape, ga.dtype) == (a.shape, a.dtype)
    assert (gb.shape, gb.dtype) == (b.shape, b.dtype)
    pb.check_grads(np.linalg.solve, (STACK[:, :1], b), order=2)
    pb.check_grads(np.linalg.solve, (Z, V), order=2)


def test_integer_matrices_are_float64():
    whole = np.array([[2, 1], [1, 3]])
    for function in (np.linalg.inv, np.linalg.det, np.linalg.cholesky):
        assert_same(pb.trace(function, whole)(whole), function(whole))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: np.linalg.inv(x[0]), pb.errors.ShapeError, r"inv: expected a matrix.*\(3,\)"),
        (
            lambda x: np.linalg.det(x[:2]),
            pb.errors.ShapeError,
            "det: expected square.*2 rows and 3",
        ),
        (lambda x: np.linalg.solve(x, x[:2]), pb.errors.ShapeError, "b with 3 rows"),
        (lambda x: np.linalg.lstsq(x, x[:2]), pb.errors.ShapeError, "of as many rows"),
        (lambda x: np.linalg.lstsq(x[None], x), pb.errors.ShapeError, r"np\.linalg\.pinv"),
        (lambda x: np.linalg.inv(x.astype("e")), pb.errors.DTypeError, "float32.*got float16"),
        (lambda x: np.linalg.matrix_power(x, 0.5), TypeError, "integer"),
        (lambda x: np.linalg.pinv(x, 1e-3, rtol=1e-3), ValueError, "rcond or rtol"),
        (lambda x: np.linalg.pinv(x, [1e-3]), ValueError, "one number"),
        (lambda x: np.linalg.matrix_rank(x, 1, rtol=1), ValueError, "tol or rtol"),
        (lambda x: np.linalg.cond(x[:0]), np.linalg.LinAlgError, "not empty"),
        (lambda x: np.linalg.tensorinv(x, 0), ValueError, "ind"),
        (lambda x: np.linalg.cholesky(-x @ x.T), np.linalg.LinAlgError, "positive definite"),
    ],
)
def test_errors_name_what_was_wrong(function, error, message):
    with pytest.raises(error, match=message):
        pb.vjp(function, A)
